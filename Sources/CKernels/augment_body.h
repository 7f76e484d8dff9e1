ATTR static void NAME(augment_normalise)(const unsigned char *restrict pixels, float *restrict out, long count,
                                         const float *mean, const float *deviation) {
  for (long i = 0; i < count; i++)
    for (int channel = 0; channel < 3; channel++)
      out[3 * i + channel] = (pixels[3 * i + channel] - mean[channel]) / deviation[channel];
}

ATTR static void NAME(augment_denormalise)(const float *restrict image, unsigned char *restrict out, long count,
                                           const float *mean, const float *deviation) {
  for (long i = 0; i < count; i++)
    for (int channel = 0; channel < 3; channel++) {
      float value = image[3 * i + channel] * deviation[channel] + mean[channel];
      value = value < 0 ? 0 : value > 255 ? 255 : value;
      // Adding 2^23 leaves no fraction bits, so the sum is rounded to nearest even.
      out[3 * i + channel] = (unsigned char)(int)((value + 8388608.f) - 8388608.f);
    }
}

ATTR static inline __attribute__((always_inline)) float NAME(clamped)(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

// Non-negative remainder by 6 of a number between -6 and 12.
ATTR static inline __attribute__((always_inline)) float NAME(remainder6)(float x) {
  return x >= 6 ? x - 6 : x < 0 ? x + 6 : x;
}

ATTR static inline __attribute__((always_inline)) float NAME(channel)(float hue6, float offset, float saturation,
                                                                      float value) {
  float k = NAME(remainder6)(hue6 + offset);
  float ramp = k < 4 - k ? k : 4 - k;
  return value * (1 - saturation * NAME(clamped)(ramp));
}

// Hue in 0...1, saturation and value of one pixel; adding 1 to a tiny negative turn gives 1 itself.
ATTR static inline __attribute__((always_inline)) void NAME(to_hsv)(float r, float g, float b, float *hue,
                                                                    float *saturation, float *value) {
  float most = r >= g ? (r >= b ? r : b) : (g >= b ? g : b);
  float least = r < g ? (r < b ? r : b) : (g < b ? g : b);
  float range = most - least;
  float safe = range == 0 ? 1 : range;
  // Ties go to the channel named first.
  float sector = r == most ? g - b : g == most ? 2 * safe + (b - r) : 4 * safe + (r - g);
  float turn = sector / safe / 6;
  *hue = turn < 0 ? turn + 1 : turn;
  *saturation = range / (most + 1e-6f);
  *value = most;
}

// Red, green and blue of one pixel.
ATTR static inline __attribute__((always_inline)) void NAME(to_rgb)(float hue, float saturation, float value, float *r,
                                                                    float *g, float *b) {
  float hue6 = hue * 6;
  *r = NAME(channel)(hue6, 5, saturation, value);
  *g = NAME(channel)(hue6, 3, saturation, value);
  *b = NAME(channel)(hue6, 1, saturation, value);
}

ATTR static void NAME(augment_hsv)(const float *restrict rgb, float *restrict hsv, long count) {
  for (long i = 0; i < count; i++)
    NAME(to_hsv)(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], hsv + 3 * i, hsv + 3 * i + 1, hsv + 3 * i + 2);
}

ATTR static void NAME(augment_rgb)(const float *restrict hsv, float *restrict rgb, long count) {
  for (long i = 0; i < count; i++)
    NAME(to_rgb)(hsv[3 * i], hsv[3 * i + 1], hsv[3 * i + 2], rgb + 3 * i, rgb + 3 * i + 1, rgb + 3 * i + 2);
}

// Saturation scaled by `factor` (and clamped), or hue turned by it, on planes of n pixels.
ATTR static inline __attribute__((always_inline)) void NAME(hue_saturation)(float *restrict red, float *restrict green,
                                                                            float *restrict blue, long n, float factor,
                                                                            int turnHue) {
  for (long i = 0; i < n; i++) {
    float hue, saturation, value;
    NAME(to_hsv)(red[i], green[i], blue[i], &hue, &saturation, &value);
    if (turnHue) {
      hue += factor;
      hue -= (float)(int)hue;
    } else {
      saturation = NAME(clamped)(saturation * factor);
    }
    NAME(to_rgb)(hue, saturation, value, red + i, green + i, blue + i);
  }
}

ATTR static inline __attribute__((always_inline)) void NAME(scale_shift)(float *restrict plane, long n, float scale,
                                                                         float shift) {
  for (long i = 0; i < n; i++) plane[i] = NAME(clamped)(plane[i] * scale + shift);
}

ATTR static void NAME(jitter_planes)(float *red, float *green, float *blue, long n, int operation,
                                     const float *factors) {
  switch (operation) {
  case 0:
  case 1: {
    float scale = operation == 1 ? factors[1] : 1, shift = operation == 0 ? factors[0] - 1 : 0;
    NAME(scale_shift)(red, n, scale, shift);
    NAME(scale_shift)(green, n, scale, shift);
    NAME(scale_shift)(blue, n, scale, shift);
    break;
  }
  case 2: NAME(hue_saturation)(red, green, blue, n, factors[2], 0); break;
  default: NAME(hue_saturation)(red, green, blue, n, factors[3], 1);
  }
}

ATTR static void NAME(augment_jitter)(const float *restrict image, float *restrict out, long count,
                                      const float *factors, const int *order, long steps, const float *mean,
                                      const float *deviation) {
  enum { block = 256 };
  float red[block], green[block], blue[block];
  for (long start = 0; start < count; start += block) {
    long n = count - start < block ? count - start : block;
    const float *restrict from = image + 3 * start;
    float *restrict to = out + 3 * start;
    for (long i = 0; i < n; i++) {
      red[i] = (from[3 * i] * deviation[0] + mean[0]) / 255;
      green[i] = (from[3 * i + 1] * deviation[1] + mean[1]) / 255;
      blue[i] = (from[3 * i + 2] * deviation[2] + mean[2]) / 255;
    }
    for (long step = 0; step < steps; step++) NAME(jitter_planes)(red, green, blue, n, order[step], factors);
    for (long i = 0; i < n; i++) {
      to[3 * i] = (red[i] * 255 - mean[0]) / deviation[0];
      to[3 * i + 1] = (green[i] * 255 - mean[1]) / deviation[1];
      to[3 * i + 2] = (blue[i] * 255 - mean[2]) / deviation[2];
    }
  }
}

// Position in 0 ..< n of a point mirrored at the first and last position.
ATTR static inline __attribute__((always_inline)) long NAME(reflected)(long i, long n) {
  return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

ATTR static inline __attribute__((always_inline)) void NAME(add_scaled)(float *restrict sum, const float *restrict x,
                                                                        float factor, long n, int first) {
  if (first)
    for (long i = 0; i < n; i++) sum[i] = factor * x[i];
  else
    for (long i = 0; i < n; i++) sum[i] += factor * x[i];
}

ATTR static void NAME(augment_blur_rows)(const float *image, float *out, float *line, long height, long width,
                                         long channels, const float *rowTaps, long rowRadius, const float *columnTaps,
                                         long columnRadius, long firstRow, long lastRow) {
  long length = width * channels;
  float *middle = line + columnRadius * channels;
  for (long y = firstRow; y < lastRow; y++) {
    for (long t = -rowRadius; t <= rowRadius; t++)
      NAME(add_scaled)(middle, image + NAME(reflected)(y + t, height) * length, rowTaps[t + rowRadius], length,
                       t == -rowRadius);
    for (long p = 1; p <= columnRadius; p++)
      for (long c = 0; c < channels; c++) {
        middle[-p * channels + c] = middle[p * channels + c];
        middle[(width - 1 + p) * channels + c] = middle[(width - 1 - p) * channels + c];
      }
    for (long t = 0; t <= 2 * columnRadius; t++)
      NAME(add_scaled)(out + y * length, line + t * channels, columnTaps[t], length, t == 0);
  }
}

ATTR static void NAME(augment_mix)(const float *restrict source, const float *restrict target,
                                   const unsigned char *restrict mask, float *restrict out, long count, long channels) {
  if (channels == 3)
    for (long i = 0; i < count; i++)
      for (int c = 0; c < 3; c++) out[3 * i + c] = mask[i] ? source[3 * i + c] : target[3 * i + c];
  else
    for (long i = 0; i < count; i++)
      for (long c = 0; c < channels; c++)
        out[i * channels + c] = mask[i] ? source[i * channels + c] : target[i * channels + c];
}

ATTR static void NAME(augment_scale_pixels)(const float *restrict image, const float *restrict factors,
                                            float *restrict out, long count, long channels) {
  if (channels == 3)
    for (long i = 0; i < count; i++)
      for (int c = 0; c < 3; c++) out[3 * i + c] = image[3 * i + c] * factors[i];
  else
    for (long i = 0; i < count; i++)
      for (long c = 0; c < channels; c++) out[i * channels + c] = image[i * channels + c] * factors[i];
}
