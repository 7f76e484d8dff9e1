// The transforms of one tile size: TILE outputs a side, LINE(name) the transform of a line. Included by winograd_body.h.
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
                                                long channels, long tileRow, float *out, long positionStride) {
  long tiles = (width + TILE - 1) / TILE;
  for (long tile = 0; tile < tiles; tile++)
    for (long first = 0; first < channels; first += CK_WINOGRAD_BLOCK) {
      long count = channels - first < CK_WINOGRAD_BLOCK ? channels - first : CK_WINOGRAD_BLOCK;
      ck_lane rows[SIDE * TILE], done[SIDE], padded[TILE];
      const float *d[TILE];
      for (int j = 0; j < TILE; j++) {
        for (int i = 0; i < TILE; i++)
          d[i] = NAME(pixel)(gradient, height, width, pixelStride, tileRow * TILE + i, tile * TILE + j, first, count,
                             padded[i]);
        LINE(output_gradient)(d, rows[j], TILE * CK_WINOGRAD_BLOCK);
      }
      float *target = out + tile * channels + first;
      for (int i = 0; i < SIDE; i++) {
        for (int j = 0; j < TILE; j++) d[j] = rows[TILE * i + j];
        LINE(output_gradient)(d, done[0], CK_WINOGRAD_BLOCK);
        for (int j = 0; j < SIDE; j++) NAME(store)(target + (SIDE * i + j) * positionStride, done[j], count);
      }
    }
}

ATTR static void TILED(winograd_weight)(const float *weight, long tapStride, long total, int turned, float *out,
                                       long positionStride) {
  for (long first = 0; first < total; first += CK_WINOGRAD_BLOCK) {
    long count = total - first < CK_WINOGRAD_BLOCK ? total - first : CK_WINOGRAD_BLOCK;
    ck_lane taps[9], rows[SIDE * 3], done[SIDE];
    const float *d[3];
    for (int t = 0; t < 9; t++) {
      const float *tap = weight + (turned ? 8 - t : t) * tapStride + first;
      if (count == CK_WINOGRAD_BLOCK)
        CK_EACH taps[t][l] = tap[l];
      else
        CK_EACH taps[t][l] = l < count ? tap[l] : 0;
    }
    for (int j = 0; j < 3; j++) {
      for (int i = 0; i < 3; i++) d[i] = taps[3 * i + j];
      LINE(weight)(d, rows[j], 3 * CK_WINOGRAD_BLOCK);
    }
    for (int i = 0; i < SIDE; i++) {
      for (int j = 0; j < 3; j++) d[j] = rows[3 * i + j];
      LINE(weight)(d, done[0], CK_WINOGRAD_BLOCK);
      for (int j = 0; j < SIDE; j++) NAME(store)(out + (SIDE * i + j) * positionStride + first, done[j], count);
    }
  }
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
