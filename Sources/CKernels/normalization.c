// Layer norm and batch norm; see include/normalization.h.
#include "dispatch.h"
#include "include/normalization.h"
#define BODY "normalization_body.h"
#include "variants.h"

CK_DISPATCH(layer_norm,
            (const float *x, const float *scale, const float *shift, float *y, float *statistics, long rows,
             long columns, float epsilon),
            (x, scale, shift, y, statistics, rows, columns, epsilon))
CK_DISPATCH(layer_norm_gradient,
            (const float *x, const float *scale, const float *statistics, const float *gradient, float *result,
             float *sums, long rows, long columns),
            (x, scale, statistics, gradient, result, sums, rows, columns))
CK_DISPATCH(batch_norm_sums, (const float *x, double *sums, long rows, long columns), (x, sums, rows, columns))
CK_DISPATCH(batch_norm_apply,
            (const float *x, const float *mean, const float *deviation, const float *scale, const float *shift,
             float *y, long rows, long columns, float lowest, float highest),
            (x, mean, deviation, scale, shift, y, rows, columns, lowest, highest))
CK_DISPATCH(batch_norm_gradient_sums,
            (const float *x, const float *output, const float *gradient, const float *mean, const float *deviation,
             double *sums, long rows, long columns, float lowest, float highest),
            (x, output, gradient, mean, deviation, sums, rows, columns, lowest, highest))
CK_DISPATCH(batch_norm_input_gradient,
            (const float *x, const float *output, const float *gradient, const float *mean, const float *deviation,
             const float *scale, const float *gradient_mean, const float *gradient_dot_mean, float *result, long rows,
             long columns, float lowest, float highest),
            (x, output, gradient, mean, deviation, scale, gradient_mean, gradient_dot_mean, result, rows, columns,
             lowest, highest))
