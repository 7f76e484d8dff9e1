// Winograd transforms; see include/winograd.h.
#include "dispatch.h"
#include "include/panels.h"
#include "include/winograd.h"
#define BODY "winograd_body.h"
#include "variants.h"

CK_DISPATCH(winograd_input,
            (int tile, const float *x, long height, long width, long pixelStride, long channels, long
             tileRow, float *out, long positionStride),
            (tile, x, height, width, pixelStride, channels, tileRow, out, positionStride))
CK_DISPATCH(winograd_output,
            (int tile, const float *positions, long positionStride, const float *bias, float *y, long
             height, long width, long pixelStride, long channels, long tileRow),
            (tile, positions, positionStride, bias, y, height, width, pixelStride, channels, tileRow))
CK_DISPATCH(winograd_output_gradient,
            (int tile, const float *gradient, long height, long width, long pixelStride, long channels,
             long tileRow, float *panels, long positionStride),
            (tile, gradient, height, width, pixelStride, channels, tileRow, panels, positionStride))
CK_DISPATCH(winograd_weight,
            (int tile, const float *taps, long tapStride, long rowStride, long rows, long columns, int line,
             float *panels, long positionStride),
            (tile, taps, tapStride, rowStride, rows, columns, line, panels, positionStride))
CK_DISPATCH(winograd_weight_gradient,
            (int tile, const float *positions, long positionStride, long count, float *gradient, long
             tapStride),
            (tile, positions, positionStride, count, gradient, tapStride))
