// Bodies of soft-max and what rests on it, one copy per CPU level. Rows are taken in blocks that stay in cache, so that
// the exponentials run over whole blocks however short a row is.

ATTR static void NAME(exponentials)(const float *restrict x, float *restrict y, float *restrict sums, long rows,
                                    long columns) {
  for (long row = 0; row < rows; row++) {
    const float maximum = ck_row_maximum(x + row * columns, columns);
    for (long c = 0; c < columns; c++) y[row * columns + c] = x[row * columns + c] - maximum;
  }
  for (long i = 0; i < rows * columns; i++) y[i] = ck_exponential(y[i]);
  for (long row = 0; row < rows; row++) {
    float sum = 0;
    {
#pragma clang fp reassociate(on)
      for (long c = 0; c < columns; c++) sum += y[row * columns + c];
    }
    sums[row] = sum;
  }
}

ATTR static void NAME(softmax)(const float *restrict x, float *restrict y, long rows, long columns) {
  float sums[CK_BLOCK_ROWS];
  const long block = ck_block_rows(columns);
  for (long first = 0; first < rows; first += block) {
    const long part = rows - first < block ? rows - first : block;
    float *restrict target = y + first * columns;
    NAME(exponentials)(x + first * columns, target, sums, part, columns);
    for (long row = 0; row < part; row++) {
      const float share = 1.f / sums[row];
      for (long c = 0; c < columns; c++) target[row * columns + c] *= share;
    }
  }
}

ATTR static void NAME(softmax_gradient)(const float *restrict output, const float *restrict gradient,
                                        float *restrict result, long rows, long columns) {
  for (long row = 0; row < rows; row++, output += columns, gradient += columns, result += columns) {
    float dot = 0;
    {
#pragma clang fp reassociate(on)
      for (long c = 0; c < columns; c++) dot += output[c] * gradient[c];
    }
    for (long c = 0; c < columns; c++) result[c] = output[c] * (gradient[c] - dot);
  }
}

ATTR static void NAME(best_class)(const float *restrict logits, uint8_t *restrict labels, float *restrict confidence,
                                  float *restrict scratch, long rows, long columns) {
  float sums[CK_BLOCK_ROWS];
  for (long row = 0; row < rows; row++) {
    const float *restrict line = logits + row * columns;
    const float maximum = ck_row_maximum(line, columns);
    long best = 0;
    while (best < columns - 1 && line[best] != maximum) best++;
    // A positive not-a-number is the maximum and equal to nothing, so that the label is the last class; a negative one
    // counts as smallest. Either makes the confidence not-a-number.
    labels[row] = (uint8_t)best;
  }
  if (!confidence) return;
  const long block = ck_block_rows(columns);
  for (long first = 0; first < rows; first += block) {
    const long part = rows - first < block ? rows - first : block;
    NAME(exponentials)(logits + first * columns, scratch, sums, part, columns);
    for (long row = 0; row < part; row++) confidence[first + row] = 1.f / sums[row];
  }
}

ATTR static double NAME(row_loss)(const float *restrict line, float sum, long label, long columns) {
  const double maximum = ck_row_maximum(line, columns);
  return log((double)sum) + (maximum - (double)line[label]);
}

ATTR static void NAME(cross_entropy_sum)(const float *restrict logits, const uint8_t *restrict labels,
                                         const float *restrict weights, float *restrict scratch,
                                         double *restrict sum, long rows, long columns) {
  float sums[CK_BLOCK_ROWS];
  const long block = ck_block_rows(columns);
  double total = 0;
  for (long first = 0; first < rows; first += block) {
    const long part = rows - first < block ? rows - first : block;
    NAME(exponentials)(logits + first * columns, scratch, sums, part, columns);
    for (long row = 0; row < part; row++) {
      const long at = first + row;
      if (labels[at] == 255) continue;
      const double loss = NAME(row_loss)(logits + at * columns, sums[row], labels[at], columns);
      total += weights ? (double)weights[at] * loss : loss;
    }
  }
  *sum = total;
}

ATTR static void NAME(cross_entropy)(const float *restrict logits, const uint8_t *restrict labels,
                                     const float *restrict weights, float factor, float *restrict gradient,
                                     double *restrict sum, long rows, long columns) {
  float sums[CK_BLOCK_ROWS];
  const long block = ck_block_rows(columns);
  double total = 0;
  for (long first = 0; first < rows; first += block) {
    const long part = rows - first < block ? rows - first : block;
    float *restrict target = gradient + first * columns;
    NAME(exponentials)(logits + first * columns, target, sums, part, columns);
    for (long row = 0; row < part; row++) {
      const long at = first + row;
      const long label = labels[at];
      float *restrict line = target + row * columns;
      if (label == 255) {
        __builtin_memset(line, 0, columns * sizeof *line);
        continue;
      }
      const double loss = NAME(row_loss)(logits + at * columns, sums[row], label, columns);
      total += weights ? (double)weights[at] * loss : loss;
      const float weight = weights ? factor * weights[at] : factor;
      const float share = 1.f / sums[row];
      // Subtracting the one before scaling keeps the exact difference of nearly equal numbers.
      for (long c = 0; c < columns; c++) line[c] *= share;
      line[label] -= 1.f;
      for (long c = 0; c < columns; c++) line[c] *= weight;
    }
  }
  *sum = total;
}

ATTR static void NAME(largest_label)(const uint8_t *restrict labels, long count, int *restrict largest) {
  // Adding one turns the ignored label into 0.
  uint8_t highest = 0;
  for (long i = 0; i < count; i++) {
    const uint8_t next = (uint8_t)(labels[i] + 1);
    highest = next > highest ? next : highest;
  }
  *largest = (int)highest - 1;
}

ATTR static void NAME(count_at_least)(const float *restrict x, float threshold, long count, long *restrict result) {
  long number = 0;
  for (long i = 0; i < count; i++) number += x[i] >= threshold;
  *result = number;
}
