#pragma once

// Bilinear resizing of one sample and its adjoint, with one table per axis: output position p blends the input
// positions lower[p] (weight 1 - fraction[p]) and lower[p] + 1 (weight fraction[p]; 0 at the last input position).

/// Output rows firstRow ..< lastRow of [outHeight, outWidth, channels] from [height, width, channels], written or added.
/// Output pixels lie outStride elements apart.
void ck_resize_rows(const float *x, float *out, long outStride, int adding, long height, long width, long outWidth,
                    long channels, const int *rowLower, const float *rowFraction, const int *columnLower,
                    const float *columnFraction, long firstRow, long lastRow);

/// Rows firstRow ..< lastRow of the gradient [height, width, channels] from [outHeight, outWidth, channels]. `first[i]`
/// is the lowest output position whose lower is at least i (height + 1 or width + 1 entries); `line` holds
/// outWidth * channels floats. Output pixels lie gradientStride elements apart.
void ck_resize_gradient_rows(const float *gradient, long gradientStride, float *out, float *line, long width,
                             long outWidth, long channels, const int *rowLower, const float *rowFraction,
                             const int *rowFirst, const int *columnLower, const float *columnFraction,
                             const int *columnFirst, long firstRow, long lastRow);
