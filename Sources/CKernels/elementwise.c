// Elementwise kernels; see include/elementwise.h.
#include "dispatch.h"
#include "exponential.h"
#include "include/elementwise.h"
#define BODY "elementwise_body.h"
#include "variants.h"

CK_DISPATCH(add, (const float *a, const float *b, float *y, long count), (a, b, y, count))
CK_DISPATCH(add_in_place, (float *y, const float *x, long count), (y, x, count))
CK_DISPATCH(scale, (const float *x, float factor, float *y, long count), (x, factor, y, count))
CK_DISPATCH(multiply, (const float *a, const float *b, float *y, long count), (a, b, y, count))
CK_DISPATCH(add_scaled, (const float *x, const float *branch, float factor, float *y, long count),
            (x, branch, factor, y, count))
CK_DISPATCH(scale_columns, (const float *x, const float *factors, float *y, long rows, long columns),
            (x, factors, y, rows, columns))
CK_DISPATCH(add_to_rows, (const float *x, const float *bias, float *y, long rows, long columns),
            (x, bias, y, rows, columns))
CK_DISPATCH(column_sums, (const float *x, float *sums, long rows, long columns), (x, sums, rows, columns))
CK_DISPATCH(add_partials, (const float *partial, long parts, long stride, float *target, long count),
            (partial, parts, stride, target, count))
CK_DISPATCH(gated_context, (const float *gate, const float *context, float *y, long count), (gate, context, y, count))
CK_DISPATCH(gated_context_gradient,
            (const float *gate, const float *context, const float *gradient, float *gate_gradient,
             float *context_gradient, long count),
            (gate, context, gradient, gate_gradient, context_gradient, count))
CK_DISPATCH(fuse, (const float *gate, const float *detail, const float *context, float *y, long count),
            (gate, detail, context, y, count))
CK_DISPATCH(fuse_gradient,
            (const float *gate, const float *detail, const float *gradient, float *gate_gradient,
             float *detail_gradient, long count),
            (gate, detail, gradient, gate_gradient, detail_gradient, count))
CK_DISPATCH(is_finite, (const float *x, long count, int *result), (x, count, result))
