ATTR static void NAME(resize_rows)(const float *x, float *out, long outStride, int adding, long height, long width,
                                   long outWidth, long channels, const int *rowLower, const float *rowFraction,
                                   const int *columnLower, const float *columnFraction, long firstRow, long lastRow) {
  for (long y = firstRow; y < lastRow; y++) {
    long above = rowLower[y], below = above + 1 < height ? above + 1 : above;
    float down = rowFraction[y];
    for (long p = 0; p < outWidth; p++) {
      long left = columnLower[p], right = left + 1 < width ? left + 1 : left;
      float across = columnFraction[p];
      const float *restrict aboveLeft = x + (above * width + left) * channels;
      const float *restrict aboveRight = x + (above * width + right) * channels;
      const float *restrict belowLeft = x + (below * width + left) * channels;
      const float *restrict belowRight = x + (below * width + right) * channels;
      float *restrict target = out + (y * outWidth + p) * outStride;
      float a = (1 - down) * (1 - across), b = (1 - down) * across, c = down * (1 - across), d = down * across;
      if (adding)
        for (long i = 0; i < channels; i++)
          target[i] += a * aboveLeft[i] + b * aboveRight[i] + c * belowLeft[i] + d * belowRight[i];
      else
        for (long i = 0; i < channels; i++)
          target[i] = a * aboveLeft[i] + b * aboveRight[i] + c * belowLeft[i] + d * belowRight[i];
    }
  }
}

ATTR static inline __attribute__((always_inline)) float NAME(share)(const int *lower, const float *fraction, long output,
                                                                    long input) {
  return lower[output] == input ? 1 - fraction[output] : fraction[output];
}

// Gathers down the columns into `line`, then along it. Blocks of `line` stay in the first-level cache meanwhile.
ATTR static void NAME(resize_gradient_rows)(const float *gradient, long gradientStride, float *out, float *line,
                                            long width, long outWidth, long channels, const int *rowLower,
                                            const float *rowFraction, const int *rowFirst, const int *columnLower,
                                            const float *columnFraction, const int *columnFirst, long firstRow,
                                            long lastRow) {
  // A dense gradient is walked in blocks, one among other channels pixel by pixel.
  long block = gradientStride == channels ? 4096 : channels;
  long length = outWidth * channels, apart = gradientStride == channels ? block : gradientStride;
  for (long i = firstRow; i < lastRow; i++) {
    long top = rowFirst[i > 0 ? i - 1 : 0], bottom = rowFirst[i + 1];
    for (long start = 0, from = 0; start < length; start += block, from += apart) {
      long n = length - start < block ? length - start : block;
      float *restrict sum = line + start;
      for (long e = 0; e < n; e++) sum[e] = 0;
      for (long y = top; y < bottom; y++) {
        float weight = NAME(share)(rowLower, rowFraction, y, i);
        const float *restrict source = gradient + y * outWidth * gradientStride + from;
        for (long e = 0; e < n; e++) sum[e] += weight * source[e];
      }
    }
    for (long j = 0; j < width; j++) {
      float *restrict target = out + (i * width + j) * channels;
      for (long c = 0; c < channels; c++) target[c] = 0;
      for (long p = columnFirst[j > 0 ? j - 1 : 0]; p < columnFirst[j + 1]; p++) {
        float weight = NAME(share)(columnLower, columnFraction, p, j);
        const float *restrict source = line + p * channels;
        for (long c = 0; c < channels; c++) target[c] += weight * source[c];
      }
    }
  }
}
