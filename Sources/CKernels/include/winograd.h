#pragma once
// Transforms of Winograd's convolution F(4x4, 3x3). A map is [height, width, pixelStride]; a tile is 4x4 outputs, tiles
// count row by row. A transformed tile has 36 positions, `positionStride` elements apart.

/// One row of input tiles (6x6 pixels with zeros outside), channels first ..< first + channels, to the 36 positions.
void ck_winograd_input(const float *x, long height, long width, long pixelStride, long channels, long tileRow,
                       float *out, long positionStride);
/// One row of tiles from the 36 positions to outputs within the map, plus a bias (null for none).
void ck_winograd_output(const float *positions, long positionStride, const float *bias, float *y, long height,
                        long width, long pixelStride, long channels, long tileRow);
/// One row of output gradients (4x4 pixels with zeros outside) to the 36 positions: the transpose of `output`.
void ck_winograd_output_gradient(const float *gradient, long height, long width, long pixelStride, long channels,
                                 long tileRow, float *out, long positionStride);
/// `count` numbers of each of the nine taps, `tapStride` apart, to the 36 positions. `turned` reads the taps backwards.
void ck_winograd_weight(const float *weight, long tapStride, long count, int turned, float *out, long positionStride);
/// The transpose of `weight`: adds to the nine taps of a gradient.
void ck_winograd_weight_gradient(const float *positions, long positionStride, long count, float *gradient,
                                 long tapStride);
