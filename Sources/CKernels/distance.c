// Distance between feature maps, and its gradient.
#include "include/distance.h"
#include "dispatch.h"
#define BODY "distance_body.h"
#include "variants.h"

CK_DISPATCH(distance_norms,
            (const float *feature, const float *reference, const unsigned char *cells, float *norms, long count,
             long channels),
            (feature, reference, cells, norms, count, channels))
CK_DISPATCH(distance_gradient,
            (const float *feature, const float *reference, const unsigned char *cells, float *out, float factor,
             long count, long channels),
            (feature, reference, cells, out, factor, count, channels))
