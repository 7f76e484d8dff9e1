// Winograd F(4x4, 3x3) over the points 0, 1, -1, 1/2, -2 and infinity. Mixed points keep the rounding error of single
// precision near that of direct sums; 0, +-1, +-2 would triple it. Every transform is a small matrix applied to rows,
// then to columns, of a tile; loops run along channels, a block of them at a time, so that a tile stays in registers
// or in the first cache.
#ifndef CK_WINOGRAD_BLOCK
#define CK_WINOGRAD_BLOCK 16
#define CK_EACH for (int l = 0; l < CK_WINOGRAD_BLOCK; l++)
typedef float ck_lane[CK_WINOGRAD_BLOCK];
#endif

// Six inputs to six positions.
static inline __attribute__((always_inline)) void NAME(input_line)(
    const float *restrict d0, const float *restrict d1, const float *restrict d2, const float *restrict d3,
    const float *restrict d4, const float *restrict d5, float *restrict v, long stride) {
  CK_EACH {
    float a = d0[l], b = d1[l], c = d2[l], d = d3[l], e = d4[l], f = d5[l];
    v[l] = a - 1.5f * b - 2 * c + 1.5f * d + e;
    v[stride + l] = 0.5f * c - b + 2.5f * d + e;
    v[2 * stride + l] = b - 2.5f * c + 0.5f * d + e;
    v[3 * stride + l] = 2 * (d - b) - c + e;
    v[4 * stride + l] = 0.5f * (b - d) - c + e;
    v[5 * stride + l] = b - 1.5f * c - 2 * d + 1.5f * e + f;
  }
}

// Six positions to four outputs.
static inline __attribute__((always_inline)) void NAME(output_line)(
    const float *restrict m, long stride, float *restrict y, long outStride) {
  CK_EACH {
    float b = m[stride + l], c = m[2 * stride + l], d = m[3 * stride + l], e = m[4 * stride + l];
    float sum = b + c, difference = b - c;
    y[l] = m[l] + sum + d + e;
    y[outStride + l] = difference + 0.5f * d - 2 * e;
    y[2 * outStride + l] = sum + 0.25f * d + 4 * e;
    y[3 * outStride + l] = difference + 0.125f * d - 8 * e + m[5 * stride + l];
  }
}

// Four gradients of outputs to six positions.
static inline __attribute__((always_inline)) void NAME(output_gradient_line)(
    const float *restrict g0, const float *restrict g1, const float *restrict g2, const float *restrict g3,
    float *restrict m, long stride) {
  CK_EACH {
    float a = g0[l], b = g1[l], c = g2[l], d = g3[l];
    m[l] = a;
    m[stride + l] = a + b + c + d;
    m[2 * stride + l] = a - b + c - d;
    m[3 * stride + l] = a + 0.5f * b + 0.25f * c + 0.125f * d;
    m[4 * stride + l] = a - 2 * b + 4 * c - 8 * d;
    m[5 * stride + l] = d;
  }
}

// Three taps to six positions.
static inline __attribute__((always_inline)) void NAME(weight_line)(
    const float *restrict g0, const float *restrict g1, const float *restrict g2, float *restrict u, long stride) {
  CK_EACH {
    float a = g0[l], b = g1[l], c = g2[l];
    u[l] = a;
    u[stride + l] = (a + b + c) * (1.0f / 3);
    u[2 * stride + l] = (b - a - c) * (1.0f / 3);
    u[3 * stride + l] = -(4 * a + 2 * b + c) * (4.0f / 15);
    u[4 * stride + l] = (a - 2 * b + 4 * c) * (1.0f / 15);
    u[5 * stride + l] = c;
  }
}

// Six positions to three taps.
static inline __attribute__((always_inline)) void NAME(weight_gradient_line)(
    const float *restrict u, long stride, float *restrict g, long outStride) {
  CK_EACH {
    float b = u[stride + l] * (1.0f / 3), c = u[2 * stride + l] * (1.0f / 3);
    float d = u[3 * stride + l] * (4.0f / 15), e = u[4 * stride + l] * (1.0f / 15);
    g[l] = u[l] + b - c - 4 * d + e;
    g[outStride + l] = b + c - 2 * d - 2 * e;
    g[2 * outStride + l] = b - c - d + 4 * e + u[5 * stride + l];
  }
}

// A block of `count` channels of a pixel, or zeros: pixels outside the map and channels past the last one are zero.
static inline __attribute__((always_inline)) const float *NAME(pixel)(
    const float *map, long height, long width, long pixelStride, long row, long column, long first, long count,
    float *restrict padded) {
  if (row < 0 || row >= height || column < 0 || column >= width) {
    CK_EACH padded[l] = 0;
    return padded;
  }
  const float *source = map + (row * width + column) * pixelStride + first;
  if (count == CK_WINOGRAD_BLOCK) return source;
  CK_EACH padded[l] = l < count ? source[l] : 0;
  return padded;
}

static inline __attribute__((always_inline)) void NAME(store)(float *restrict to, const float *restrict from,
                                                              long count) {
  if (count == CK_WINOGRAD_BLOCK) {
    CK_EACH to[l] = from[l];
  } else {
    for (long l = 0; l < count; l++) to[l] = from[l];
  }
}

ATTR static void NAME(winograd_input)(const float *x, long height, long width, long pixelStride, long channels,
                                      long tileRow, float *out, long positionStride) {
  long tiles = (width + 3) / 4;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      ck_lane rows[36], done[36], padded[6];
      for (int j = 0; j < 6; j++) {
        const float *d[6];
        for (int i = 0; i < 6; i++)
          d[i] = NAME(pixel)(x, height, width, pixelStride, tileRow * 4 - 1 + i, tile * 4 - 1 + j, first, count,
                             padded[i]);
        NAME(input_line)(d[0], d[1], d[2], d[3], d[4], d[5], rows[j], 6 * CK_WINOGRAD_BLOCK);
      }
      for (int i = 0; i < 6; i++) {
        ck_lane *d = rows + 6 * i;
        NAME(input_line)(d[0], d[1], d[2], d[3], d[4], d[5], done[6 * i], CK_WINOGRAD_BLOCK);
      }
      float *target = out + tile * channels + first;
      for (int p = 0; p < 36; p++) NAME(store)(target + p * positionStride, done[p], count);
    }
}

ATTR static void NAME(winograd_output)(const float *positions, long positionStride, const float *bias, float *y,
                                       long height, long width, long pixelStride, long channels, long tileRow) {
  long tiles = (width + 3) / 4;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      const float *source = positions + tile * channels + first;
      ck_lane m[36], rows[24], done[4], shift;
      for (int p = 0; p < 36; p++) {
        if (count == CK_WINOGRAD_BLOCK)
          CK_EACH m[p][l] = source[p * positionStride + l];
        else
          CK_EACH m[p][l] = l < count ? source[p * positionStride + l] : 0;
      }
      CK_EACH shift[l] = bias && l < count ? bias[first + l] : 0;
      for (int j = 0; j < 6; j++) NAME(output_line)(m[j], 6 * CK_WINOGRAD_BLOCK, rows[j], 6 * CK_WINOGRAD_BLOCK);
      for (int i = 0; i < 4 && tileRow * 4 + i < height; i++) {
        NAME(output_line)(rows[6 * i], CK_WINOGRAD_BLOCK, done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < 4 && tile * 4 + j < width; j++) {
          CK_EACH done[j][l] += shift[l];
          NAME(store)(y + ((tileRow * 4 + i) * width + tile * 4 + j) * pixelStride + first, done[j], count);
        }
      }
    }
}

ATTR static void NAME(winograd_output_gradient)(const float *gradient, long height, long width, long pixelStride,
                                                long channels, long tileRow, float *out, long positionStride) {
  long tiles = (width + 3) / 4;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      ck_lane rows[24], done[6], padded[4];
      for (int j = 0; j < 4; j++) {
        const float *d[4];
        for (int i = 0; i < 4; i++)
          d[i] = NAME(pixel)(gradient, height, width, pixelStride, tileRow * 4 + i, tile * 4 + j, first, count,
                             padded[i]);
        NAME(output_gradient_line)(d[0], d[1], d[2], d[3], rows[j], 4 * CK_WINOGRAD_BLOCK);
      }
      float *target = out + tile * channels + first;
      for (int i = 0; i < 6; i++) {
        ck_lane *d = rows + 4 * i;
        NAME(output_gradient_line)(d[0], d[1], d[2], d[3], done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < 6; j++) NAME(store)(target + (6 * i + j) * positionStride, done[j], count);
      }
    }
}

ATTR static void NAME(winograd_weight)(const float *weight, long tapStride, long total, int turned, float *out,
                                       long positionStride) {
  for (long first = 0; first < total; first += CK_WINOGRAD_BLOCK) {
    long count = total - first < CK_WINOGRAD_BLOCK ? total - first : CK_WINOGRAD_BLOCK;
    ck_lane taps[9], rows[18], done[6];
    for (int t = 0; t < 9; t++) {
      const float *tap = weight + (turned ? 8 - t : t) * tapStride + first;
      if (count == CK_WINOGRAD_BLOCK)
        CK_EACH taps[t][l] = tap[l];
      else
        CK_EACH taps[t][l] = l < count ? tap[l] : 0;
    }
    for (int j = 0; j < 3; j++)
      NAME(weight_line)(taps[j], taps[3 + j], taps[6 + j], rows[j], 3 * CK_WINOGRAD_BLOCK);
    for (int i = 0; i < 6; i++) {
      NAME(weight_line)(rows[3 * i], rows[3 * i + 1], rows[3 * i + 2], done[0], CK_WINOGRAD_BLOCK);
      for (int j = 0; j < 6; j++) NAME(store)(out + (6 * i + j) * positionStride + first, done[j], count);
    }
  }
}

ATTR static void NAME(winograd_weight_gradient)(const float *positions, long positionStride, long total,
                                                float *gradient, long tapStride) {
  for (long first = 0; first < total; first += CK_WINOGRAD_BLOCK) {
    long count = total - first < CK_WINOGRAD_BLOCK ? total - first : CK_WINOGRAD_BLOCK;
    ck_lane u[36], rows[18], done[3];
    for (int p = 0; p < 36; p++) {
      const float *source = positions + p * positionStride + first;
      if (count == CK_WINOGRAD_BLOCK)
        CK_EACH u[p][l] = source[l];
      else
        CK_EACH u[p][l] = l < count ? source[l] : 0;
    }
    for (int j = 0; j < 6; j++) NAME(weight_gradient_line)(u[j], 6 * CK_WINOGRAD_BLOCK, rows[j], 6 * CK_WINOGRAD_BLOCK);
    for (int i = 0; i < 3; i++) {
      NAME(weight_gradient_line)(rows[6 * i], CK_WINOGRAD_BLOCK, done[0], CK_WINOGRAD_BLOCK);
      for (int j = 0; j < 3; j++) {
        float *tap = gradient + (3 * i + j) * tapStride + first;
        for (long l = 0; l < count; l++) tap[l] += done[j][l];
      }
    }
  }
}
