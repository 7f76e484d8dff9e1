#pragma once

// Depthwise convolution of one sample: x, out, gradient [height, width, channels]; weight [kernel, kernel, channels];
// stride 1, odd kernel, zero padding dilation * (kernel / 2).

/// Output rows firstRow ..< lastRow; `bias` [channels] is added first.
void ck_depthwise_rows(const float *x, const float *weight, const float *bias, float *out, long height, long width,
                       long channels, long kernel, long dilation, long firstRow, long lastRow);

/// Weight gradient [kernel, kernel, channels] from output rows firstRow ..< lastRow, overwritten.
void ck_depthwise_weight_gradient(const float *x, const float *gradient, float *weightGradient, long height, long width,
                                  long channels, long kernel, long dilation, long firstRow, long lastRow);

/// Sum of `pixels` rows of `channels` values, overwritten.
void ck_depthwise_bias_gradient(const float *gradient, float *biasGradient, long pixels, long channels);

/// slot[i] += parts[0][i] + parts[1][i] + ..., added in that order; `stride` floats lie between parts.
void ck_depthwise_add_parts(float *slot, const float *parts, long count, long partCount, long stride);
