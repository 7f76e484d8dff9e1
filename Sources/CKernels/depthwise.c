// Depthwise convolution and its weight gradient.
#include "include/depthwise.h"
#include "dispatch.h"
#define BODY "depthwise_body.h"
#include "variants.h"

CK_DISPATCH(depthwise_rows,
            (const float *x, const float *weight, const float *bias, float *out, long height, long width, long channels,
             long kernel, long dilation, long firstRow, long lastRow),
            (x, weight, bias, out, height, width, channels, kernel, dilation, firstRow, lastRow))
CK_DISPATCH(depthwise_weight_gradient,
            (const float *x, const float *gradient, float *weightGradient, long height, long width, long channels,
             long kernel, long dilation, long firstRow, long lastRow),
            (x, gradient, weightGradient, height, width, channels, kernel, dilation, firstRow, lastRow))
CK_DISPATCH(depthwise_bias_gradient, (const float *gradient, float *biasGradient, long pixels, long channels),
            (gradient, biasGradient, pixels, channels))
CK_DISPATCH(depthwise_add_parts, (float *slot, const float *parts, long count, long partCount, long stride),
            (slot, parts, count, partCount, stride))
