ATTR static inline __attribute__((always_inline)) float NAME(distance)(const float *feature, const float *reference,
                                                                       long channels) {
  float squares = 0;
  {
#pragma clang fp reassociate(on)
    for (long c = 0; c < channels; c++) {
      float difference = feature[c] - reference[c];
      squares += difference * difference;
    }
  }
  return __builtin_elementwise_sqrt(squares);
}

ATTR static void NAME(distance_norms)(const float *feature, const float *reference, const unsigned char *cells,
                                      float *norms, long count, long channels) {
  for (long i = 0; i < count; i++)
    norms[i] = cells[i] ? NAME(distance)(feature + i * channels, reference + i * channels, channels) : 0;
}

ATTR static void NAME(distance_gradient)(const float *restrict feature, const float *restrict reference,
                                         const unsigned char *cells, float *restrict out, float factor, long count,
                                         long channels) {
  for (long i = 0; i < count; i++) {
    const float *f = feature + i * channels, *r = reference + i * channels;
    float *target = out + i * channels;
    float norm = cells[i] ? NAME(distance)(f, r, channels) : 0;
    float scale = norm > 0 ? factor / norm : 0;
    for (long c = 0; c < channels; c++) target[c] = norm > 0 ? scale * (f[c] - r[c]) : 0;
  }
}
