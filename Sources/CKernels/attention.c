// Vector kernels of attention; see attention_body.h.
#include "include/attention.h"
#include "dispatch.h"
#include "exponential.h"

#define BODY "attention_body.h"
#include "variants.h"

CK_DISPATCH(attention_softmax, (float *scores, long rows, long columns, float scale), (scores, rows, columns, scale))
CK_DISPATCH(attention_softmax_gradient,
            (const float *probabilities, float *gradient, long rows, long columns, float scale),
            (probabilities, gradient, rows, columns, scale))
