// Strided depthwise convolution and max pooling; see include/window.h.
#include "include/window.h"
#include "dispatch.h"
#define BODY "window_body.h"
#include "variants.h"

CK_DISPATCH(window_convolve,
            (const float *x, const float *weight, float *out, const struct ck_window *window, long first_row,
             long last_row),
            (x, weight, out, window, first_row, last_row))
CK_DISPATCH(window_input_gradient,
            (const float *gradient, const float *weight, float *result, const struct ck_window *window,
             long first_row, long last_row),
            (gradient, weight, result, window, first_row, last_row))
CK_DISPATCH(window_weight_gradient,
            (const float *x, const float *gradient, float *weight_gradient, const struct ck_window *window,
             long first_row, long last_row),
            (x, gradient, weight_gradient, window, first_row, last_row))
CK_DISPATCH(window_maximum,
            (const float *x, float *out, float *taps, const struct ck_window *window, long first_row, long last_row),
            (x, out, taps, window, first_row, last_row))
CK_DISPATCH(window_maximum_gradient,
            (const float *gradient, const float *taps, float *result, const struct ck_window *window, long first_row,
             long last_row),
            (gradient, taps, result, window, first_row, last_row))
