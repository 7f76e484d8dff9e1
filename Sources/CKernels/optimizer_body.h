// Bodies of the in-place updates, one copy per CPU level.

ATTR static void NAME(adamw)(float *restrict parameters, const float *restrict gradient, float *restrict first,
                             float *restrict second, long count, float keep, float first_weight, float second_keep,
                             float second_weight, float rate, float second_share, float epsilon) {
  for (long i = 0; i < count; i++) {
    const float g = gradient[i];
    const float m = first[i] + first_weight * (g - first[i]);
    const float v = second_keep * second[i] + second_weight * (g * g);
    first[i] = m;
    second[i] = v;
    const float denominator = __builtin_elementwise_sqrt(v) * second_share + epsilon;
    parameters[i] = keep * parameters[i] - rate * (m / denominator);
  }
}

ATTR static void NAME(sgd)(float *restrict parameters, const float *restrict gradient, float *restrict velocity,
                           long count, float decay, float momentum, float rate) {
  for (long i = 0; i < count; i++) {
    const float g = gradient[i] + decay * parameters[i];
    const float v = momentum * velocity[i] + g;
    velocity[i] = v;
    parameters[i] -= rate * v;
  }
}

ATTR static void NAME(exponential_average)(float *restrict average, const float *restrict value, float keep,
                                           float weight, long count) {
  for (long i = 0; i < count; i++) average[i] = keep * average[i] + weight * value[i];
}

ATTR static void NAME(sum_of_squares)(const float *restrict x, long count, double *restrict sum) {
  enum { lanes = 16 };
  double sums[lanes] = {0};
  long i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (long lane = 0; lane < lanes; lane++) sums[lane] += (double)x[i + lane] * (double)x[i + lane];
  }
  for (long lane = 0; i < count; i++, lane++) sums[lane] += (double)x[i] * (double)x[i];
  for (long half = lanes / 2; half > 0; half /= 2) {
    for (long lane = 0; lane < half; lane++) sums[lane] += sums[lane + half];
  }
  *sum = sums[0];
}
