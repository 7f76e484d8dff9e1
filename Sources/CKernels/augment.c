// Normalisation, colour jitter, blur, mixing and masking of images.
#include "include/augment.h"
#include "dispatch.h"
#define BODY "augment_body.h"
#include "variants.h"

CK_DISPATCH(augment_normalise,
            (const unsigned char *pixels, float *out, long count, const float *mean, const float *deviation),
            (pixels, out, count, mean, deviation))
CK_DISPATCH(augment_denormalise,
            (const float *image, unsigned char *out, long count, const float *mean, const float *deviation),
            (image, out, count, mean, deviation))
CK_DISPATCH(augment_hsv, (const float *rgb, float *hsv, long count), (rgb, hsv, count))
CK_DISPATCH(augment_rgb, (const float *hsv, float *rgb, long count), (hsv, rgb, count))
CK_DISPATCH(augment_jitter,
            (const float *image, float *out, long count, const float *factors, const int *order, long steps,
             const float *mean, const float *deviation),
            (image, out, count, factors, order, steps, mean, deviation))
CK_DISPATCH(augment_blur_rows,
            (const float *image, float *out, float *line, long height, long width, long channels, const float *rowTaps,
             long rowRadius, const float *columnTaps, long columnRadius, long firstRow, long lastRow),
            (image, out, line, height, width, channels, rowTaps, rowRadius, columnTaps, columnRadius, firstRow, lastRow))
CK_DISPATCH(augment_mix,
            (const float *source, const float *target, const unsigned char *mask, float *out, long count, long channels),
            (source, target, mask, out, count, channels))
CK_DISPATCH(augment_scale_pixels,
            (const float *image, const float *factors, float *out, long count, long channels),
            (image, factors, out, count, channels))
