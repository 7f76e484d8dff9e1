// Bodies of the elementwise kernels, one copy per CPU level.

ATTR static void NAME(add)(const float *restrict a, const float *restrict b, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = a[i] + b[i];
}

ATTR static void NAME(add_in_place)(float *restrict y, const float *restrict x, long count) {
  for (long i = 0; i < count; i++) y[i] += x[i];
}

ATTR static void NAME(scale)(const float *restrict x, float factor, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = factor * x[i];
}

ATTR static void NAME(multiply)(const float *restrict a, const float *restrict b, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = a[i] * b[i];
}

ATTR static void NAME(add_scaled)(const float *restrict x, const float *restrict branch, float factor,
                                  float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = x[i] + factor * branch[i];
}

ATTR static void NAME(scale_columns)(const float *restrict x, const float *restrict factors, float *restrict y,
                                     long rows, long columns) {
  for (long row = 0; row < rows; row++, x += columns, y += columns) {
    for (long c = 0; c < columns; c++) y[c] = x[c] * factors[c];
  }
}

ATTR static void NAME(add_to_rows)(const float *restrict x, const float *restrict bias, float *restrict y, long rows,
                                   long columns) {
  for (long row = 0; row < rows; row++, x += columns, y += columns) {
    for (long c = 0; c < columns; c++) y[c] = x[c] + bias[c];
  }
}

ATTR static void NAME(column_sums)(const float *restrict x, float *restrict sums, long rows, long columns) {
  __builtin_memset(sums, 0, columns * sizeof *sums);
  long row = 0;
  for (; row + 4 <= rows; row += 4) {
    const float *restrict p = x + row * columns;
    for (long c = 0; c < columns; c++) {
      sums[c] += (p[c] + p[columns + c]) + (p[2 * columns + c] + p[3 * columns + c]);
    }
  }
  for (; row < rows; row++) {
    for (long c = 0; c < columns; c++) sums[c] += x[row * columns + c];
  }
}

ATTR static void NAME(add_partials)(const float *restrict partial, long parts, long stride, float *restrict target,
                                    long count) {
  enum { block = 64 };
  for (long first = 0; first < count; first += block) {
    const long width = count - first < block ? count - first : block;
    double sums[block] = {0};
    for (long part = 0; part < parts; part++) {
      const float *restrict p = partial + part * stride + first;
      for (long i = 0; i < width; i++) sums[i] += (double)p[i];
    }
    for (long i = 0; i < width; i++) target[first + i] += (float)sums[i];
  }
}

ATTR static void NAME(gated_context)(const float *restrict gate, const float *restrict context, float *restrict y,
                                     long count) {
  for (long i = 0; i < count; i++) y[i] = (1.f - gate[i]) * context[i];
}

ATTR static void NAME(gated_context_gradient)(const float *restrict gate, const float *restrict context,
                                              const float *restrict gradient, float *restrict gate_gradient,
                                              float *restrict context_gradient, long count) {
  for (long i = 0; i < count; i++) {
    gate_gradient[i] = -context[i] * gradient[i];
    context_gradient[i] = (1.f - gate[i]) * gradient[i];
  }
}

ATTR static void NAME(fuse)(const float *restrict gate, const float *restrict detail, const float *restrict context,
                            float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = gate[i] * detail[i] + context[i];
}

ATTR static void NAME(fuse_gradient)(const float *restrict gate, const float *restrict detail,
                                     const float *restrict gradient, float *restrict gate_gradient,
                                     float *restrict detail_gradient, long count) {
  for (long i = 0; i < count; i++) {
    gate_gradient[i] = detail[i] * gradient[i];
    detail_gradient[i] = gate[i] * gradient[i];
  }
}

ATTR static void NAME(is_finite)(const float *restrict x, long count, int *restrict result) {
  uint32_t bad = 0;
  for (long i = 0; i < count; i++) bad |= (ck_bits_from_float(x[i]) & 0x7f800000u) == 0x7f800000u;
  *result = !bad;
}
