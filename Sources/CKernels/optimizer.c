// In-place updates of parameters; see include/optimizer.h.
#include "dispatch.h"
#include "include/optimizer.h"
#define BODY "optimizer_body.h"
#include "variants.h"

CK_DISPATCH(adamw,
            (float *parameters, const float *gradient, float *first, float *second, long count, float keep,
             float first_weight, float second_keep, float second_weight, float rate, float second_share,
             float epsilon),
            (parameters, gradient, first, second, count, keep, first_weight, second_keep, second_weight, rate,
             second_share, epsilon))
CK_DISPATCH(sgd,
            (float *parameters, const float *gradient, float *velocity, long count, float decay, float momentum,
             float rate),
            (parameters, gradient, velocity, count, decay, momentum, rate))
CK_DISPATCH(sum_of_squares, (const float *x, long count, double *sum), (x, count, sum))
CK_DISPATCH(exponential_average, (float *average, const float *value, float keep, float weight, long count),
            (average, value, keep, weight, count))
