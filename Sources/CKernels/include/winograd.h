#pragma once
// Transforms of Winograd's convolutions F(2x2, 3x3) and F(4x4, 3x3). A map is [height, width, pixelStride]; a tile has
// `tile` x `tile` outputs, 2 or 4 a side; tiles count row by row. A transformed tile has 16 or 36 positions,
// `positionStride` elements apart.

/// One row of input tiles (tile + 2 pixels a side, zeros outside) to the positions.
void ck_winograd_input(int tile, const float *x, long height, long width, long pixelStride, long channels, long tileRow,
                       float *out, long positionStride);
/// One row of tiles from the positions to outputs within the map, plus a bias (null for none).
void ck_winograd_output(int tile, const float *positions, long positionStride, const float *bias, float *y, long height,
                        long width, long pixelStride, long channels, long tileRow);
/// One row of output gradients (zeros outside the map) to the positions: the transpose of `output`. A position holds
/// panels [tiles, CK_PANEL] of channels, see panels.h.
void ck_winograd_output_gradient(int tile, const float *gradient, long height, long width, long pixelStride, long channels,
                                 long tileRow, float *panels, long positionStride);
/// The taps between `rows` inputs, `rowStride` apart, and up to CK_PANEL outputs, which follow each other, to the
/// `tile` + 2 positions of one line. The nine taps are `tapStride` apart; a position holds a panel [rows, CK_PANEL].
void ck_winograd_weight(int tile, const float *taps, long tapStride, long rowStride, long rows, long columns, int line,
                        float *panels, long positionStride);
/// The transpose of `weight`: adds to the nine taps of a gradient.
void ck_winograd_weight_gradient(int tile, const float *positions, long positionStride, long count, float *gradient,
                                 long tapStride);
