// Products with panels; see include/panels.h.
#include "dispatch.h"
#include "include/panels.h"

// Per level: a vector, and the rows of a strip, whose sums of two vectors a row fill most of the registers.
typedef float panel_vector_portable __attribute__((vector_size(16)));
typedef float panel_vector_avx2 __attribute__((vector_size(32)));
typedef float panel_vector_avx512 __attribute__((vector_size(64)));
enum { panel_strip_portable = 6, panel_strip_avx2 = 6, panel_strip_avx512 = 12 };
enum { panel_longest_strip = 12 };
#define BODY "panels_body.h"
#include "variants.h"

CK_DISPATCH(panel_product,
            (const float *a, long rowStride, long depthStride, const float *panel, long depth, float *out, long outStride,
             long rows, long columns, int accumulate),
            (a, rowStride, depthStride, panel, depth, out, outStride, rows, columns, accumulate))

// Four rows and four columns at a time.
static inline __attribute__((always_inline)) void transpose_square(const float *from, long fromStride, float *to,
                                                                   long toStride) {
  panel_vector_portable a, b, c, d;
  __builtin_memcpy(&a, from, sizeof a);
  __builtin_memcpy(&b, from + fromStride, sizeof b);
  __builtin_memcpy(&c, from + 2 * fromStride, sizeof c);
  __builtin_memcpy(&d, from + 3 * fromStride, sizeof d);
  panel_vector_portable ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  panel_vector_portable AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  c = __builtin_shufflevector(AB, CD, 0, 1, 4, 5);
  d = __builtin_shufflevector(AB, CD, 2, 3, 6, 7);
  __builtin_memcpy(to, &a, sizeof a);
  __builtin_memcpy(to + toStride, &b, sizeof b);
  __builtin_memcpy(to + 2 * toStride, &c, sizeof c);
  __builtin_memcpy(to + 3 * toStride, &d, sizeof d);
}

void ck_transpose(const float *from, long fromStride, long rows, long columns, float *to, long toStride) {
  for (long column = 0; column < columns; column += 4)
    for (long row = 0; row < rows; row += 4) {
      const float *source = from + row * fromStride + column;
      float *target = to + column * toStride + row;
      if (rows - row >= 4 && columns - column >= 4) {
        transpose_square(source, fromStride, target, toStride);
        continue;
      }
      for (long c = 0; c < 4 && column + c < columns; c++)
        for (long r = 0; r < 4 && row + r < rows; r++) target[c * toStride + r] = source[r * fromStride + c];
    }
}
