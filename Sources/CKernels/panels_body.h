// The product of some rows and a panel. The sums of a strip of rows and two vectors of columns stay in registers while
// the depth passes by.
#define VECTOR NAME(panel_vector)
#define LANES ((long)(sizeof(VECTOR) / sizeof(float)))
#define WIDTH (2 * LANES)

// `rows` is a constant in every copy. `out` has whole vectors.
ATTR static inline __attribute__((always_inline)) void NAME(panel_strip_of)(
    const int rows, const float *restrict a, long rowStride, long depthStride, const float *restrict panel, long depth,
    float *restrict out, long outStride, int accumulate) {
  // The next strip's numbers arrive while this one computes: a row lies too far from the next one for the hardware's guess.
  const float *ahead = rowStride == 1 ? a : a + rows * rowStride;
  VECTOR sums[panel_longest_strip][2];
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) {
    sums[r][0] = sums[r][1] = (VECTOR){0};
    if (accumulate) __builtin_memcpy(sums[r], out + r * outStride, sizeof sums[r]);
    __builtin_prefetch(out + (rows + r) * outStride);
    __builtin_prefetch(out + (rows + r) * outStride + LANES);
  }
  for (long k = 0; k < depth; k++) {
    __builtin_prefetch(ahead + k * rows);
    VECTOR right[2];
    __builtin_memcpy(right, panel + k * CK_PANEL, sizeof right);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
      // Subtracting zero changes nothing and turns the number into a vector.
      VECTOR left = a[r * rowStride + k * depthStride] - (VECTOR){0};
      sums[r][0] += left * right[0];
      sums[r][1] += left * right[1];
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < rows; r++) __builtin_memcpy(out + r * outStride, sums[r], sizeof sums[r]);
}

ATTR static void NAME(panel_rows)(const float *a, long rowStride, long depthStride, const float *panel, long depth,
                                  float *out, long outStride, long rows, int accumulate) {
#define STRIP(n)                                                                                      \
  case n:                                                                                             \
    if (n <= NAME(panel_strip)) /* others are never asked for */                                      \
      NAME(panel_strip_of)(n, a, rowStride, depthStride, panel, depth, out, outStride, accumulate);   \
    break;
  switch (rows) {
    STRIP(1) STRIP(2) STRIP(3) STRIP(4) STRIP(5) STRIP(6)
    STRIP(7) STRIP(8) STRIP(9) STRIP(10) STRIP(11) STRIP(12)
  }
#undef STRIP
}

ATTR static void NAME(panel_product)(const float *a, long rowStride, long depthStride, const float *panel, long depth,
                                     float *out, long outStride, long rows, long columns, int accumulate) {
  // Strips of nearly equal heights: short ones hide less of an addition's latency.
  const long strips = (rows + NAME(panel_strip) - 1) / NAME(panel_strip);
  for (long first = 0; first < columns; first += WIDTH)
    for (long strip = 0; strip < strips; strip++) {
      const long row = rows * strip / strips, count = rows * (strip + 1) / strips - row;
      const float *left = a + row * rowStride;
      float *target = out + row * outStride + first;
      if (columns - first >= WIDTH) {
        NAME(panel_rows)(left, rowStride, depthStride, panel + first, depth, target, outStride, count, accumulate);
        continue;
      }
      float edge[panel_longest_strip * WIDTH];
      for (long r = 0; r < count && accumulate; r++)
        for (long c = 0; c < WIDTH; c++) edge[r * WIDTH + c] = first + c < columns ? target[r * outStride + c] : 0;
      NAME(panel_rows)(left, rowStride, depthStride, panel + first, depth, edge, WIDTH, count, accumulate);
      for (long r = 0; r < count; r++)
        for (long c = 0; first + c < columns; c++) target[r * outStride + c] = edge[r * WIDTH + c];
    }
}

#undef VECTOR
#undef LANES
#undef WIDTH
