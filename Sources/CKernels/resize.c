// Bilinear resizing and its adjoint.
#include "include/resize.h"
#include "dispatch.h"
#define BODY "resize_body.h"
#include "variants.h"

CK_DISPATCH(resize_rows,
            (const float *x, float *out, long outStride, int adding, long height, long width, long outWidth, long channels,
             const int *rowLower, const float *rowFraction, const int *columnLower, const float *columnFraction,
             long firstRow, long lastRow),
            (x, out, outStride, adding, height, width, outWidth, channels, rowLower, rowFraction, columnLower, columnFraction, firstRow,
             lastRow))
CK_DISPATCH(resize_gradient_rows,
            (const float *gradient, long gradientStride, float *out, float *line, long width, long outWidth, long channels,
             const int *rowLower, const float *rowFraction, const int *rowFirst, const int *columnLower,
             const float *columnFraction, const int *columnFirst, long firstRow, long lastRow),
            (gradient, gradientStride, out, line, width, outWidth, channels, rowLower, rowFraction, rowFirst, columnLower,
             columnFraction, columnFirst, firstRow, lastRow))
