// Soft-max of attention scores and its gradient, one row per query.

ATTR static void NAME(attention_softmax)(float *scores, long rows, long columns, float scale) {
  for (long row = 0; row < rows; row++) {
    float *s = scores + row * columns;
    float highest = s[0];
    {
#pragma clang fp reassociate(on)
      for (long i = 1; i < columns; i++) highest = s[i] > highest ? s[i] : highest;
    }
    for (long i = 0; i < columns; i++) s[i] = ck_exponential(scale * (s[i] - highest));
    float sum = 0;
    {
#pragma clang fp reassociate(on)
      for (long i = 0; i < columns; i++) sum += s[i];
    }
    const float inverse = 1.f / sum;
    for (long i = 0; i < columns; i++) s[i] *= inverse;
  }
}

ATTR static void NAME(attention_softmax_gradient)(const float *probabilities, float *gradient, long rows, long columns,
                                                  float scale) {
  for (long row = 0; row < rows; row++) {
    const float *p = probabilities + row * columns;
    float *g = gradient + row * columns;
    float dot = 0;
    {
#pragma clang fp reassociate(on)
      for (long i = 0; i < columns; i++) dot += p[i] * g[i];
    }
    for (long i = 0; i < columns; i++) g[i] = scale * p[i] * (g[i] - dot);
  }
}
