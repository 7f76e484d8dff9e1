// Soft-max, class choice and cross-entropy; see include/softmax.h.
#include <math.h>

#include "dispatch.h"
#include "exponential.h"
#include "include/softmax.h"

enum { CK_BLOCK_FLOATS = 4096, CK_BLOCK_ROWS = 512 };

/// Rows of a block: about sixteen kilobytes, at most CK_BLOCK_ROWS.
CK_INLINE long ck_block_rows(long columns) {
  const long rows = CK_BLOCK_FLOATS / columns;
  return rows < 1 ? 1 : rows > CK_BLOCK_ROWS ? CK_BLOCK_ROWS : rows;
}

/// Largest element; not-a-number if there is a positive one. Compares as integers of the same order, because only
/// integer maxima are vectorised without promises about not-a-number.
CK_INLINE float ck_row_maximum(const float *x, long columns) {
  int32_t highest = INT32_MIN;
  for (long c = 0; c < columns; c++) {
    const int32_t bits = (int32_t)ck_bits_from_float(x[c]);
    const int32_t ordered = bits ^ ((bits >> 31) & 0x7fffffff);
    highest = ordered > highest ? ordered : highest;
  }
  return ck_float_from_bits((uint32_t)(highest ^ ((highest >> 31) & 0x7fffffff)));
}

long ck_softmax_scratch(long columns) { return ck_block_rows(columns) * columns; }

#define BODY "softmax_body.h"
#include "variants.h"

CK_DISPATCH(softmax, (const float *x, float *y, long rows, long columns), (x, y, rows, columns))
CK_DISPATCH(softmax_gradient, (const float *output, const float *gradient, float *result, long rows, long columns),
            (output, gradient, result, rows, columns))
CK_DISPATCH(best_class,
            (const float *logits, uint8_t *labels, float *confidence, float *scratch, long rows, long columns),
            (logits, labels, confidence, scratch, rows, columns))
CK_DISPATCH(cross_entropy_sum,
            (const float *logits, const uint8_t *labels, const float *weights, float *scratch, double *sum, long rows,
             long columns),
            (logits, labels, weights, scratch, sum, rows, columns))
CK_DISPATCH(cross_entropy,
            (const float *logits, const uint8_t *labels, const float *weights, float factor, float *gradient,
             double *sum, long rows, long columns),
            (logits, labels, weights, factor, gradient, sum, rows, columns))
CK_DISPATCH(largest_label, (const uint8_t *labels, long count, int *largest), (labels, count, largest))
CK_DISPATCH(count_at_least, (const float *x, float threshold, long count, long *result), (x, threshold, count, result))
