#pragma once
#include <stdint.h>
// Soft-max, class choice and cross-entropy over rows of `columns` contiguous logits. Nothing overlaps in memory.
// `scratch` holds ck_softmax_scratch(columns) floats.

/// Floats of scratch that a row length needs.
long ck_softmax_scratch(long columns);
/// Soft-max of each row.
void ck_softmax(const float *x, float *y, long rows, long columns);
/// Gradient of soft-max from its output.
void ck_softmax_gradient(const float *output, const float *gradient, float *result, long rows, long columns);
/// The first largest class of each row; with confidence not null, also its soft-max probability. At most 256 columns.
void ck_best_class(const float *logits, uint8_t *labels, float *confidence, float *scratch, long rows, long columns);
/// Sum over rows of weight * (log of the sum of exponentials - logit of the label); weights may be null (all 1).
/// Rows with label 255 give nothing.
void ck_cross_entropy_sum(const float *logits, const uint8_t *labels, const float *weights, float *scratch,
                          double *sum, long rows, long columns);
/// The same sum, and the gradient of factor times it: factor * weight * (soft-max - one at the label), zero in rows with
/// label 255.
void ck_cross_entropy(const float *logits, const uint8_t *labels, const float *weights, float factor, float *gradient,
                      double *sum, long rows, long columns);
/// The largest label other than 255, or -1.
void ck_largest_label(const uint8_t *labels, long count, int *largest);
/// How many values reach the threshold.
void ck_count_at_least(const float *x, float threshold, long count, long *result);
