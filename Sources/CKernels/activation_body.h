// Bodies of the activations, one copy per CPU level.

ATTR static void NAME(gelu)(const float *restrict x, float *restrict y, long count) {
  for (long i = 0; i < count; i++) {
    float distribution, density;
    ck_normal(x[i], &distribution, &density);
    y[i] = x[i] * distribution;
  }
}

ATTR static void NAME(gelu_gradient)(const float *restrict x, const float *restrict gradient, float *restrict result,
                                     long count) {
  for (long i = 0; i < count; i++) {
    float distribution, density;
    ck_normal(x[i], &distribution, &density);
    result[i] = gradient[i] * (distribution + x[i] * density);
  }
}

ATTR static void NAME(relu)(const float *restrict x, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = x[i] < 0.f ? 0.f : x[i];
}

ATTR static void NAME(relu_gradient)(const float *restrict output, const float *restrict gradient,
                                     float *restrict result, long count) {
  for (long i = 0; i < count; i++) {
    const float arriving = gradient[i];
    result[i] = output[i] > 0.f ? arriving : 0.f;
  }
}

ATTR static void NAME(leaky_relu)(const float *restrict x, float slope, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = x[i] < 0.f ? slope * x[i] : x[i];
}

ATTR static void NAME(leaky_relu_gradient)(const float *restrict output, float slope, const float *restrict gradient,
                                           float *restrict result, long count) {
  for (long i = 0; i < count; i++) {
    const float arriving = gradient[i];
    result[i] = output[i] > 0.f ? arriving : slope * arriving;
  }
}

ATTR static void NAME(tanh)(const float *restrict x, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = ck_hyperbolic_tangent(x[i]);
}

ATTR static void NAME(tanh_gradient)(const float *restrict output, const float *restrict gradient,
                                     float *restrict result, long count) {
  for (long i = 0; i < count; i++) result[i] = gradient[i] * ((1.f - output[i]) * (1.f + output[i]));
}

ATTR static void NAME(sigmoid)(const float *restrict x, float *restrict y, long count) {
  for (long i = 0; i < count; i++) y[i] = ck_logistic(x[i]);
}

ATTR static void NAME(sigmoid_gradient)(const float *restrict output, const float *restrict gradient,
                                        float *restrict result, long count) {
  for (long i = 0; i < count; i++) result[i] = gradient[i] * (output[i] * (1.f - output[i]));
}
