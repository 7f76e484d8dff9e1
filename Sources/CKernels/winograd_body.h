// Winograd transforms, once for tiles of 2x2 and once for tiles of 4x4 outputs. Loops run along channels, a block of them
// at a time, so that a tile stays in registers or in the first cache.
#ifndef CK_WINOGRAD_BLOCK
#define CK_WINOGRAD_BLOCK 16
#define CK_EACH for (int l = 0; l < CK_WINOGRAD_BLOCK; l++)
typedef float ck_lane[CK_WINOGRAD_BLOCK];
typedef float ck_block __attribute__((vector_size(sizeof(ck_lane))));
#endif

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

// Tiles of 2x2 outputs: the points 0, 1, -1 and infinity.

// Four inputs to four positions.
static inline __attribute__((always_inline)) void NAME(input_line2)(const float *const *restrict d, float *restrict v,
                                                                    long stride) {
  const float *restrict d0 = d[0], *restrict d1 = d[1], *restrict d2 = d[2], *restrict d3 = d[3];
  CK_EACH {
    v[l] = d0[l] - d2[l];
    v[stride + l] = d1[l] + d2[l];
    v[2 * stride + l] = d2[l] - d1[l];
    v[3 * stride + l] = d1[l] - d3[l];
  }
}

// Four positions to two outputs.
static inline __attribute__((always_inline)) void NAME(output_line2)(const float *restrict m, long stride,
                                                                     float *restrict y, long outStride) {
  CK_EACH {
    float b = m[stride + l], c = m[2 * stride + l];
    y[l] = m[l] + b + c;
    y[outStride + l] = b - c - m[3 * stride + l];
  }
}

// Two gradients of outputs to four positions.
static inline __attribute__((always_inline)) void NAME(output_gradient_line2)(const float *const *restrict g,
                                                                              float *restrict m, long stride) {
  const float *restrict g0 = g[0], *restrict g1 = g[1];
  CK_EACH {
    float a = g0[l], b = g1[l];
    m[l] = a;
    m[stride + l] = a + b;
    m[2 * stride + l] = a - b;
    m[3 * stride + l] = -b;
  }
}

// Three taps to one of four positions.
ATTR static inline __attribute__((always_inline)) void NAME(weight_value2)(const int position, const ck_block *a,
                                                                           const ck_block *b, const ck_block *c,
                                                                           ck_block *u) {
  switch (position) {
    case 0: *u = *a; break;
    case 1: *u = 0.5f * (*a + *c) + 0.5f * *b; break;
    case 2: *u = 0.5f * (*a + *c) - 0.5f * *b; break;
    case 3: *u = *c; break;
  }
}

// Four positions to three taps.
static inline __attribute__((always_inline)) void NAME(weight_gradient_line2)(const float *restrict u, long stride,
                                                                              float *restrict g, long outStride) {
  CK_EACH {
    float sum = 0.5f * (u[stride + l] + u[2 * stride + l]);
    g[l] = u[l] + sum;
    g[outStride + l] = 0.5f * (u[stride + l] - u[2 * stride + l]);
    g[2 * outStride + l] = sum + u[3 * stride + l];
  }
}

// Tiles of 4x4 outputs. Mixed points, 0, 1, -1, 1/2, -2 and infinity, keep the rounding error of 4x4 tiles low; 0, +-1, +-2 would triple it.

// Six inputs to six positions.
static inline __attribute__((always_inline)) void NAME(input_line4)(const float *const *restrict x, float *restrict v,
                                                                    long stride) {
  const float *restrict d0 = x[0], *restrict d1 = x[1], *restrict d2 = x[2], *restrict d3 = x[3], *restrict d4 = x[4],
                       *restrict d5 = x[5];
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
static inline __attribute__((always_inline)) void NAME(output_line4)(const float *restrict m, long stride,
                                                                     float *restrict y, long outStride) {
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
static inline __attribute__((always_inline)) void NAME(output_gradient_line4)(const float *const *restrict g,
                                                                              float *restrict m, long stride) {
  const float *restrict g0 = g[0], *restrict g1 = g[1], *restrict g2 = g[2], *restrict g3 = g[3];
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

// Three taps to one of six positions.
ATTR static inline __attribute__((always_inline)) void NAME(weight_value4)(const int position, const ck_block *a,
                                                                           const ck_block *b, const ck_block *c,
                                                                           ck_block *u) {
  switch (position) {
    case 0: *u = *a; break;
    case 1: *u = (*a + *b + *c) * (1.0f / 3); break;
    case 2: *u = (*b - *a - *c) * (1.0f / 3); break;
    case 3: *u = -(4 * *a + 2 * *b + *c) * (4.0f / 15); break;
    case 4: *u = (*a - 2 * *b + 4 * *c) * (1.0f / 15); break;
    case 5: *u = *c; break;
  }
}

// Six positions to three taps.
static inline __attribute__((always_inline)) void NAME(weight_gradient_line4)(const float *restrict u, long stride,
                                                                              float *restrict g, long outStride) {
  CK_EACH {
    float b = u[stride + l] * (1.0f / 3), c = u[2 * stride + l] * (1.0f / 3);
    float d = u[3 * stride + l] * (4.0f / 15), e = u[4 * stride + l] * (1.0f / 15);
    g[l] = u[l] + b - c - 4 * d + e;
    g[outStride + l] = b + c - 2 * d - 2 * e;
    g[2 * outStride + l] = b - c - d + 4 * e + u[5 * stride + l];
  }
}

#define TILE 2
#define LINE(name) NAME(name##_line2)
#define VALUE(name) NAME(name##_value2)
#define TILED(name) NAME(name##2)
#include "winograd_tile.h"
#undef TILE
#undef LINE
#undef VALUE
#undef TILED
#define TILE 4
#define LINE(name) NAME(name##_line4)
#define VALUE(name) NAME(name##_value4)
#define TILED(name) NAME(name##4)
#include "winograd_tile.h"
#undef TILE
#undef LINE
#undef VALUE
#undef TILED

#define CK_BY_TILE(name, ...)   \
  do {                          \
    if (tile == 2)              \
      NAME(name##2)(__VA_ARGS__); \
    else                        \
      NAME(name##4)(__VA_ARGS__); \
  } while (0)

ATTR static void NAME(winograd_input)(int tile, const float *x, long height, long width, long pixelStride, long
    channels, long tileRow, float *out, long positionStride) {
  CK_BY_TILE(winograd_input, x, height, width, pixelStride, channels, tileRow, out, positionStride);
}

ATTR static void NAME(winograd_output)(int tile, const float *positions, long positionStride, const float *bias,
    float *y, long height, long width, long pixelStride, long channels, long tileRow) {
  CK_BY_TILE(winograd_output, positions, positionStride, bias, y, height, width, pixelStride, channels, tileRow);
}

ATTR static void NAME(winograd_output_gradient)(int tile, const float *gradient, long height, long width, long
    pixelStride, long channels, long tileRow, float *panels, long positionStride) {
  CK_BY_TILE(winograd_output_gradient, gradient, height, width, pixelStride, channels, tileRow, panels, positionStride);
}

ATTR static void NAME(winograd_weight)(int tile, const float *taps, long tapStride, long rowStride, long rows,
    long columns, int line, float *panels, long positionStride) {
  CK_BY_TILE(winograd_weight, taps, tapStride, rowStride, rows, columns, line, panels, positionStride);
}

ATTR static void NAME(winograd_weight_gradient)(int tile, const float *positions, long positionStride, long count,
    float *gradient, long tapStride) {
  CK_BY_TILE(winograd_weight_gradient, positions, positionStride, count, gradient, tapStride);
}

#undef CK_BY_TILE
