// Bodies of layer norm and batch norm, one copy per CPU level.

ATTR static void NAME(layer_norm)(const float *restrict x, const float *restrict scale, const float *restrict shift,
                                  float *restrict y, float *restrict statistics, long rows, long columns,
                                  float epsilon) {
  const float share = 1.f / (float)columns;
  for (long row = 0; row < rows; row++, x += columns, y += columns) {
    float sum = 0;
    {
#pragma clang fp reassociate(on)
      for (long c = 0; c < columns; c++) sum += x[c];
    }
    const float mean = sum * share;
    float squares = 0;
    {
#pragma clang fp reassociate(on)
      for (long c = 0; c < columns; c++) squares += (x[c] - mean) * (x[c] - mean);
    }
    const float deviation = 1.f / __builtin_elementwise_sqrt(squares * share + epsilon);
    for (long c = 0; c < columns; c++) y[c] = (x[c] - mean) * deviation * scale[c] + shift[c];
    statistics[2 * row] = mean;
    statistics[2 * row + 1] = deviation;
  }
}

ATTR static void NAME(layer_norm_gradient)(const float *restrict x, const float *restrict scale,
                                           const float *restrict statistics, const float *restrict gradient,
                                           float *restrict result, float *restrict sums, long rows, long columns) {
  const float share = 1.f / (float)columns;
  float *restrict shift_sums = sums;
  float *restrict scale_sums = sums ? sums + columns : sums;
  if (sums) __builtin_memset(sums, 0, 2 * columns * sizeof *sums);
  for (long row = 0; row < rows; row++, x += columns, gradient += columns, result += columns) {
    const float mean = statistics[2 * row], deviation = statistics[2 * row + 1];
    float plain = 0, dotted = 0;
    {
#pragma clang fp reassociate(on)
      for (long c = 0; c < columns; c++) {
        const float scaled = gradient[c] * scale[c];
        plain += scaled;
        dotted += scaled * ((x[c] - mean) * deviation);
      }
    }
    plain *= share;
    dotted *= share;
    for (long c = 0; c < columns; c++) {
      const float normalised = (x[c] - mean) * deviation;
      result[c] = deviation * (gradient[c] * scale[c] - plain - normalised * dotted);
    }
    if (!sums) continue;
    for (long c = 0; c < columns; c++) {
      shift_sums[c] += gradient[c];
      scale_sums[c] += gradient[c] * ((x[c] - mean) * deviation);
    }
  }
}

ATTR static void NAME(batch_norm_sums)(const float *restrict x, double *restrict sums, long rows, long columns) {
  double *restrict squares = sums + columns;
  __builtin_memset(sums, 0, 2 * columns * sizeof *sums);
  long row = 0;
  for (; row + 4 <= rows; row += 4) {
    const float *restrict p = x + row * columns;
    for (long c = 0; c < columns; c++) {
      const double v0 = p[c], v1 = p[columns + c], v2 = p[2 * columns + c], v3 = p[3 * columns + c];
      sums[c] += (v0 + v1) + (v2 + v3);
      squares[c] += (v0 * v0 + v1 * v1) + (v2 * v2 + v3 * v3);
    }
  }
  for (; row < rows; row++) {
    for (long c = 0; c < columns; c++) {
      const double v = x[row * columns + c];
      sums[c] += v;
      squares[c] += v * v;
    }
  }
}

ATTR static void NAME(batch_norm_apply)(const float *x, const float *restrict mean, const float *restrict deviation,
                                        const float *restrict scale, const float *restrict shift, float *y, long rows,
                                        long columns, float lowest, float highest) {
  for (long row = 0; row < rows; row++, x += columns, y += columns) {
    // Result and input may be the same rows.
#pragma clang loop vectorize(assume_safety)
    for (long c = 0; c < columns; c++) {
      const float value = (x[c] - mean[c]) * deviation[c] * scale[c] + shift[c];
      // Written so that not-a-number passes.
      const float raised = value < lowest ? lowest : value;
      y[c] = raised > highest ? highest : raised;
    }
  }
}

ATTR static void NAME(batch_norm_gradient_sums)(const float *restrict x, const float *restrict output,
                                                const float *restrict gradient, const float *restrict mean,
                                                const float *restrict deviation, double *restrict sums, long rows,
                                                long columns, float lowest, float highest) {
  const int all = lowest == -__builtin_inff();
  double *restrict dotted = sums + columns;
  __builtin_memset(sums, 0, 2 * columns * sizeof *sums);
  for (long row = 0; row < rows; row++, x += columns, output += columns, gradient += columns) {
    for (long c = 0; c < columns; c++) {
      const float arriving = gradient[c];
      const float g = ((output[c] > lowest) & (output[c] < highest)) | all ? arriving : 0.f;
      sums[c] += (double)g;
      dotted[c] += (double)(g * ((x[c] - mean[c]) * deviation[c]));
    }
  }
}

ATTR static void NAME(batch_norm_input_gradient)(const float *restrict x, const float *restrict output,
                                                 const float *restrict gradient, const float *restrict mean,
                                                 const float *restrict deviation, const float *restrict scale,
                                                 const float *restrict gradient_mean,
                                                 const float *restrict gradient_dot_mean, float *restrict result,
                                                 long rows, long columns, float lowest, float highest) {
  const int all = lowest == -__builtin_inff();
  for (long row = 0; row < rows; row++, x += columns, output += columns, gradient += columns, result += columns) {
    for (long c = 0; c < columns; c++) {
      const float arriving = gradient[c];
      const float g = ((output[c] > lowest) & (output[c] < highest)) | all ? arriving : 0.f;
      const float normalised = (x[c] - mean[c]) * deviation[c];
      result[c] = scale[c] * deviation[c] * (g - gradient_mean[c] - normalised * gradient_dot_mean[c]);
    }
  }
}
