// A 3x3 output row is cut into column segments with the same valid taps, so that every loop runs over channels with a
// constant number of taps and no tests. The convolution and its weight gradient share the walk; a null bias tells them
// apart.

// Outputs `pixels` neighbours (at most 4) from rows x columns taps. Constant counts unroll into one loop; the pragmas
// are for the portable copy, where the compiler would keep the inner loops and then not vectorise.
ATTR static inline __attribute__((always_inline)) void NAME(convolve_block)(
    const float *restrict x, const float *restrict weight, const float *restrict bias, float *restrict out,
    long channels, long rowStride, long columnStride, int rows, int columns, int pixels) {
  for (long c = 0; c < channels; c++) {
    float sum[4];
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) sum[p] = bias[c];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int t = 0; t < columns; t++) {
        float tap = weight[(r * 3 + t) * channels + c];
#pragma clang loop unroll(full)
        for (int p = 0; p < pixels; p++) sum[p] += x[r * rowStride + t * columnStride + p * channels + c] * tap;
      }
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) out[p * channels + c] = sum[p];
  }
}

// Adds the products of `pixels` neighbours to the weight gradient of rows x columns taps.
ATTR static inline __attribute__((always_inline)) void NAME(correlate_block)(
    const float *restrict x, float *restrict weightGradient, const float *restrict gradient, long channels,
    long rowStride, long columnStride, int rows, int columns, int pixels) {
  for (long c = 0; c < channels; c++)
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
      for (int t = 0; t < columns; t++) {
        float sum = weightGradient[(r * 3 + t) * channels + c];
#pragma clang loop unroll(full)
        for (int p = 0; p < pixels; p++)
          sum += x[r * rowStride + t * columnStride + p * channels + c] * gradient[p * channels + c];
        weightGradient[(r * 3 + t) * channels + c] = sum;
      }
}

// `count` neighbours with the same taps. `correlate` writes `weight` from `out` instead of the reverse.
ATTR static inline __attribute__((always_inline)) void NAME(segment)(
    const float *x, float *weight, const float *bias, float *out, long count, long channels, long rowStride,
    long columnStride, int rows, int columns, int pixels, int correlate) {
  for (long p = 0; p + pixels <= count; p += pixels) {
    const float *source = x + p * channels;
    float *target = out + p * channels;
    if (correlate)
      NAME(correlate_block)(source, weight, target, channels, rowStride, columnStride, rows, columns, pixels);
    else
      NAME(convolve_block)(source, weight, bias, target, channels, rowStride, columnStride, rows, columns, pixels);
  }
}

// A segment whose tap counts are known only here. Where most outputs lie, neighbours go four at a time.
ATTR static inline __attribute__((always_inline)) void NAME(taps)(
    const float *x, float *weight, const float *bias, float *out, long count, long channels, long rowStride,
    long columnStride, int rows, int columns, int correlate) {
  long fours = rows == columns && rows > 1 ? count / 4 * 4 : 0;
  const float *rest = x + fours * channels;
  float *restOut = out + fours * channels;
  long left = count - fours;
#define CK_REST(r, c)                                                                                             \
  case 4 * r + c:                                                                                                 \
    NAME(segment)(rest, weight, bias, restOut, left, channels, rowStride, columnStride, r, c, 1, correlate);      \
    break;
  switch (4 * rows + columns) {
    CK_REST(1, 1) CK_REST(1, 2) CK_REST(1, 3) CK_REST(2, 1) CK_REST(2, 3) CK_REST(3, 1) CK_REST(3, 2)
  case 4 * 2 + 2:
    NAME(segment)(x, weight, bias, out, fours, channels, rowStride, columnStride, 2, 2, 4, correlate);
    NAME(segment)(rest, weight, bias, restOut, left, channels, rowStride, columnStride, 2, 2, 1, correlate);
    break;
  default:
    // A stride the compiler knows to be one pixel lets neighbouring outputs share their loads.
    if (columnStride == channels)
      NAME(segment)(x, weight, bias, out, fours, channels, rowStride, channels, 3, 3, 4, correlate);
    else
      NAME(segment)(x, weight, bias, out, fours, channels, rowStride, columnStride, 3, 3, 4, correlate);
    NAME(segment)(rest, weight, bias, restOut, left, channels, rowStride, columnStride, 3, 3, 1, correlate);
  }
#undef CK_REST
}

ATTR static __attribute__((noinline)) void NAME(convolve_taps)(
    const float *x, const float *weight, const float *bias, float *out, long count, long channels, long rowStride,
    long columnStride, int rows, int columns) {
  NAME(taps)(x, (float *)weight, bias, out, count, channels, rowStride, columnStride, rows, columns, 0);
}

ATTR static __attribute__((noinline)) void NAME(correlate_taps)(
    const float *x, float *weightGradient, const float *gradient, long count, long channels, long rowStride,
    long columnStride, int rows, int columns) {
  NAME(taps)(x, weightGradient, 0, (float *)gradient, count, channels, rowStride, columnStride, rows, columns, 1);
}

// Columns left ..< right of one row, whose valid taps are firstTap ..< firstTap + columns in each of `rows` tap rows.
ATTR static inline __attribute__((always_inline)) void NAME(columns)(
    const float *x, float *weight, const float *bias, float *out, long left, long right, long channels, long rowStride,
    long dilation, int rows, int firstTap, int columns) {
  if (left >= right) return;
  const float *first = x + (left + (firstTap - 1) * dilation) * channels;
  float *taps = weight + firstTap * channels, *target = out + left * channels;
  long step = dilation * channels;
  if (bias)
    NAME(convolve_taps)(first, taps, bias, target, right - left, channels, rowStride, step, rows, columns);
  else
    NAME(correlate_taps)(first, taps, target, right - left, channels, rowStride, step, rows, columns);
}

// One 3x3 output row: finds the valid tap rows, then walks the column segments.
ATTR static void NAME(row3)(
    const float *x, float *weight, const float *bias, float *out, long height, long width, long channels, long dilation,
    long y) {
  int firstRow = y >= dilation ? 0 : 1, rows = (y + dilation < height ? 3 : 2) - firstRow;
  const float *top = x + (y + (firstRow - 1) * dilation) * width * channels;
  float *taps = weight + firstRow * 3 * channels, *target = out + y * width * channels;
  long rowStride = dilation * width * channels;
  long inner = dilation < width ? dilation : width, outer = width > dilation ? width - dilation : 0;
  long low = inner < outer ? inner : outer, high = inner < outer ? outer : inner;
  NAME(columns)(top, taps, bias, target, 0, low, channels, rowStride, dilation, rows, 1, 2);
  if (inner < outer)
    NAME(columns)(top, taps, bias, target, low, high, channels, rowStride, dilation, rows, 0, 3);
  else
    NAME(columns)(top, taps, bias, target, low, high, channels, rowStride, dilation, rows, 1, 1);
  NAME(columns)(top, taps, bias, target, high, width, channels, rowStride, dilation, rows, 0, 2);
}

// Any odd kernel, tap by tap.
ATTR static void NAME(rows_any)(const float *x, const float *weight, const float *bias, float *out, long height,
                                long width, long channels, long kernel, long dilation, long firstRow, long lastRow) {
  for (long y = firstRow; y < lastRow; y++)
    for (long column = 0; column < width; column++) {
      float *restrict target = out + (y * width + column) * channels;
      for (long c = 0; c < channels; c++) target[c] = bias[c];
      for (long i = 0; i < kernel; i++) {
        long row = y + (i - kernel / 2) * dilation;
        if (row < 0 || row >= height) continue;
        for (long j = 0; j < kernel; j++) {
          long from = column + (j - kernel / 2) * dilation;
          if (from < 0 || from >= width) continue;
          const float *restrict source = x + (row * width + from) * channels;
          const float *restrict tap = weight + (i * kernel + j) * channels;
          for (long c = 0; c < channels; c++) target[c] += source[c] * tap[c];
        }
      }
    }
}

ATTR static void NAME(weight_gradient_any)(const float *x, const float *gradient, float *weightGradient, long height,
                                           long width, long channels, long kernel, long dilation, long firstRow,
                                           long lastRow) {
  for (long y = firstRow; y < lastRow; y++)
    for (long i = 0; i < kernel; i++) {
      long row = y + (i - kernel / 2) * dilation;
      if (row < 0 || row >= height) continue;
      for (long j = 0; j < kernel; j++) {
        long shift = (j - kernel / 2) * dilation;
        float *restrict tap = weightGradient + (i * kernel + j) * channels;
        for (long column = shift < 0 ? -shift : 0; column < width && column + shift < width; column++) {
          const float *restrict source = x + (row * width + column + shift) * channels;
          const float *restrict cotangent = gradient + (y * width + column) * channels;
          for (long c = 0; c < channels; c++) tap[c] += source[c] * cotangent[c];
        }
      }
    }
}

ATTR static void NAME(depthwise_rows)(const float *x, const float *weight, const float *bias, float *out, long height,
                                      long width, long channels, long kernel, long dilation, long firstRow,
                                      long lastRow) {
  if (kernel == 3)
    for (long y = firstRow; y < lastRow; y++)
      NAME(row3)(x, (float *)weight, bias, out, height, width, channels, dilation, y);
  else
    NAME(rows_any)(x, weight, bias, out, height, width, channels, kernel, dilation, firstRow, lastRow);
}

ATTR static void NAME(depthwise_weight_gradient)(const float *x, const float *gradient, float *weightGradient,
                                                 long height, long width, long channels, long kernel, long dilation,
                                                 long firstRow, long lastRow) {
  for (long i = 0; i < kernel * kernel * channels; i++) weightGradient[i] = 0;
  if (kernel == 3)
    for (long y = firstRow; y < lastRow; y++)
      NAME(row3)(x, weightGradient, 0, (float *)gradient, height, width, channels, dilation, y);
  else
    NAME(weight_gradient_any)(x, gradient, weightGradient, height, width, channels, kernel, dilation, firstRow, lastRow);
}

ATTR static void NAME(depthwise_bias_gradient)(const float *restrict gradient, float *restrict biasGradient,
                                               long pixels, long channels) {
  for (long c = 0; c < channels; c++) biasGradient[c] = 0;
  for (long p = 0; p < pixels; p++)
    for (long c = 0; c < channels; c++) biasGradient[c] += gradient[p * channels + c];
}

// In Double: filters that a batch norm follows have gradients that nearly cancel.
ATTR static void NAME(depthwise_add_parts)(float *restrict slot, const float *restrict parts, long count,
                                           long partCount, long stride) {
  enum { block = 512 };
  double sum[block];
  for (long start = 0; start < count; start += block) {
    long n = count - start < block ? count - start : block;
    for (long i = 0; i < n; i++) sum[i] = (double)parts[start + i];
    for (long part = 1; part < partCount; part++)
      for (long i = 0; i < n; i++) sum[i] += (double)parts[part * stride + start + i];
    for (long i = 0; i < n; i++) slot[start + i] += (float)sum[i];
  }
}
