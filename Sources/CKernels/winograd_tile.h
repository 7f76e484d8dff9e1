// The transforms of one tile size: TILE outputs a side, LINE(name) the transform of a line,
// VALUE(name) one number of it. Included by winograd_body.h.
#define SIDE (TILE + 2)

ATTR static void TILED(winograd_input)(const float *x, long height, long width, long pixelStride, long channels,
                                      long tileRow, float *out, long positionStride) {
  long tiles = (width + TILE - 1) / TILE;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      ck_lane rows[SIDE * SIDE], done[SIDE], padded[SIDE];
      const float *d[SIDE];
      for (int j = 0; j < SIDE; j++) {
        for (int i = 0; i < SIDE; i++)
          d[i] = NAME(pixel)(x, height, width, pixelStride, tileRow * TILE - 1 + i, tile * TILE - 1 + j, first, count,
                             padded[i]);
        LINE(input)(d, rows[j], SIDE * CK_WINOGRAD_BLOCK);
      }
      float *target = out + tile * channels + first;
      for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < SIDE; j++) d[j] = rows[SIDE * i + j];
        LINE(input)(d, done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < SIDE; j++) NAME(store)(target + (SIDE * i + j) * positionStride, done[j], count);
      }
    }
}

ATTR static void TILED(winograd_output)(const float *positions, long positionStride, const float *bias, float *y,
                                       long height, long width, long pixelStride, long channels, long tileRow) {
  long tiles = (width + TILE - 1) / TILE;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      const float *source = positions + tile * channels + first;
      ck_lane m[SIDE * SIDE], rows[TILE * SIDE], done[TILE], shift;
      for (int p = 0; p < SIDE * SIDE; p++) {
        if (count == CK_WINOGRAD_BLOCK)
          CK_EACH m[p][l] = source[p * positionStride + l];
        else
          CK_EACH m[p][l] = l < count ? source[p * positionStride + l] : 0;
      }
      CK_EACH shift[l] = bias && l < count ? bias[first + l] : 0;
      for (int j = 0; j < SIDE; j++) LINE(output)(m[j], SIDE * CK_WINOGRAD_BLOCK, rows[j], SIDE * CK_WINOGRAD_BLOCK);
      for (int i = 0; i < TILE && tileRow * TILE + i < height; i++) {
        LINE(output)(rows[SIDE * i], CK_WINOGRAD_BLOCK, done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < TILE && tile * TILE + j < width; j++) {
          CK_EACH done[j][l] += shift[l];
          NAME(store)(y + ((tileRow * TILE + i) * width + tile * TILE + j) * pixelStride + first, done[j], count);
        }
      }
    }
}

ATTR static void TILED(winograd_output_gradient)(const float *gradient, long height, long width, long pixelStride,
                                                long channels, long tileRow, float *panels, long positionStride) {
  const long tiles = (width + TILE - 1) / TILE, all = (height + TILE - 1) / TILE * tiles;
  const long wide = (channels + CK_PANEL - 1) / CK_PANEL * CK_PANEL;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < wide; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      ck_lane rows[SIDE * TILE], done[SIDE], padded[TILE];
      const float *d[TILE];
      for (int j = 0; j < TILE; j++) {
        for (int i = 0; i < TILE; i++)
          d[i] = NAME(pixel)(gradient, height, width, pixelStride, tileRow * TILE + i, tile * TILE + j, first, count,
                             padded[i]);
        LINE(output_gradient)(d, rows[j], TILE * CK_WINOGRAD_BLOCK);
      }
      float *target = panels + (first / CK_PANEL * all + tileRow * tiles + tile) * CK_PANEL + first % CK_PANEL;
      for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < TILE; j++) d[j] = rows[TILE * i + j];
        LINE(output_gradient)(d, done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < SIDE; j++) NAME(store)(target + (SIDE * i + j) * positionStride, done[j], CK_WINOGRAD_BLOCK);
      }
    }
}

// One line of positions; `line` is a constant in every copy.
ATTR static inline __attribute__((always_inline)) void TILED(weight_positions)(
    const int line, const float *taps, long tapStride, long rowStride, long rows, long columns, float *panels,
    long positionStride) {
  for (long row = 0; row < rows; row++)
    for (long first = 0; first < CK_PANEL; first += CK_WINOGRAD_BLOCK) {
      const float *source = taps + row * rowStride + first;
      float *target = panels + row * CK_PANEL + first;
      ck_lane padded[9];
      long stride = tapStride;
      if (columns - first < CK_WINOGRAD_BLOCK) {
        for (int t = 0; t < 9; t++) CK_EACH padded[t][l] = first + l < columns ? source[t * tapStride + l] : 0;
        source = padded[0];
        stride = CK_WINOGRAD_BLOCK;
      }
      ck_block tap[9], across[3];
      for (int t = 0; t < 9; t++) __builtin_memcpy(&tap[t], source + t * stride, sizeof tap[t]);
      for (int j = 0; j < 3; j++) VALUE(weight)(line, &tap[j], &tap[3 + j], &tap[6 + j], &across[j]);
      for (int j = 0; j < SIDE; j++) {
        ck_block value;
        VALUE(weight)(j, &across[0], &across[1], &across[2], &value);
        __builtin_memcpy(target + j * positionStride, &value, sizeof value);
      }
    }
}

ATTR static void TILED(winograd_weight)(const float *taps, long tapStride, long rowStride, long rows, long columns,
                                       int line, float *panels, long positionStride) {
#define POSITIONS(n)                                                                                    \
  case n:                                                                                               \
    TILED(weight_positions)(n, taps, tapStride, rowStride, rows, columns, panels, positionStride); \
    break;
  switch (line) {
    POSITIONS(0) POSITIONS(1) POSITIONS(2) POSITIONS(3)
#if TILE == 4
    POSITIONS(4) POSITIONS(5)
#endif
  }
#undef POSITIONS
}

ATTR static void TILED(winograd_weight_gradient)(const float *positions, long positionStride, long total,
                                                float *gradient, long tapStride) {
  for (long first = 0; first < total; first += CK_WINOGRAD_BLOCK) {
    long count = total - first < CK_WINOGRAD_BLOCK ? total - first : CK_WINOGRAD_BLOCK;
    ck_lane u[SIDE * SIDE], rows[3 * SIDE], done[3];
    for (int p = 0; p < SIDE * SIDE; p++) {
      const float *source = positions + p * positionStride + first;
      if (count == CK_WINOGRAD_BLOCK)
        CK_EACH u[p][l] = source[l];
      else
        CK_EACH u[p][l] = l < count ? source[l] : 0;
    }
    for (int j = 0; j < SIDE; j++)
      LINE(weight_gradient)(u[j], SIDE * CK_WINOGRAD_BLOCK, rows[j], SIDE * CK_WINOGRAD_BLOCK);
    for (int i = 0; i < 3; i++) {
      LINE(weight_gradient)(rows[SIDE * i], CK_WINOGRAD_BLOCK, done[0], CK_WINOGRAD_BLOCK);
      for (int j = 0; j < 3; j++) {
        float *tap = gradient + (3 * i + j) * tapStride + first;
        for (long l = 0; l < count; l++) tap[l] += done[j][l];
      }
    }
  }
}

#undef SIDE
