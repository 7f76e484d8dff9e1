// Activations; see include/activation.h.
#include "dispatch.h"
#include "exponential.h"
#include "include/activation.h"
#define BODY "activation_body.h"
#include "variants.h"

CK_DISPATCH(gelu, (const float *x, float *y, long count), (x, y, count))
CK_DISPATCH(gelu_gradient, (const float *x, const float *gradient, float *result, long count),
            (x, gradient, result, count))
CK_DISPATCH(relu, (const float *x, float *y, long count), (x, y, count))
CK_DISPATCH(relu_gradient, (const float *output, const float *gradient, float *result, long count),
            (output, gradient, result, count))
CK_DISPATCH(leaky_relu, (const float *x, float slope, float *y, long count), (x, slope, y, count))
CK_DISPATCH(leaky_relu_gradient,
            (const float *output, float slope, const float *gradient, float *result, long count),
            (output, slope, gradient, result, count))
CK_DISPATCH(tanh, (const float *x, float *y, long count), (x, y, count))
CK_DISPATCH(tanh_gradient, (const float *output, const float *gradient, float *result, long count),
            (output, gradient, result, count))
CK_DISPATCH(sigmoid, (const float *x, float *y, long count), (x, y, count))
CK_DISPATCH(sigmoid_gradient, (const float *output, const float *gradient, float *result, long count),
            (output, gradient, result, count))
