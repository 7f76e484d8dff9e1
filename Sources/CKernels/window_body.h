// A convolution, its input gradient and its weight gradient walk along lines in the same way: position n meets tap t at
// source pixel start + n * step + t * turn, if that lies in the source line. Forward, the source is an input row, step
// is the stride and turn 1; for the input gradient, positions are every stride-th input pixel, the source is a row of
// the gradient, step is 1 and turn -1. Every loop runs over channels with constant numbers of taps and pixels.

// Where a line lies. Steps of the source are in pixels, all others in floats.
struct NAME(line) {
  long extent, start, step, turn, count, taps, channels, weight_step, target_step;
};

// `pixels` neighbours by `taps` taps: target += source * weight, or weight += source * target.
ATTR static inline __attribute__((always_inline)) void NAME(window_block)(
    const float *restrict source, float *restrict weight, float *restrict target, long channels, long step, long turn,
    long weight_step, long target_step, int taps, int pixels, int correlate) {
  for (long c = 0; c < channels; c++) {
    float values[4];
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) values[p] = target[p * target_step + c];
#pragma clang loop unroll(full)
    for (int t = 0; t < taps; t++) {
      float tap = weight[t * weight_step + c];
#pragma clang loop unroll(full)
      for (int p = 0; p < pixels; p++) {
        const float x = source[(p * step + t * turn) * channels + c];
        if (correlate)
          tap += x * values[p];
        else
          values[p] += x * tap;
      }
      if (correlate) weight[t * weight_step + c] = tap;
    }
    if (!correlate)
#pragma clang loop unroll(full)
      for (int p = 0; p < pixels; p++) target[p * target_step + c] = values[p];
  }
}

// Any number of taps, at most five at a time.
ATTR static inline __attribute__((always_inline)) void NAME(window_pixels)(
    const float *source, float *weight, float *target, const struct NAME(line) *line, long taps, long step, long turn,
    int pixels, int correlate) {
  const long channels = line->channels, weight_step = line->weight_step, target_step = line->target_step;
  while (taps > 0) {
    const int piece = taps < 5 ? (int)taps : 5;
#define CK_TAPS(n)                                                                                                 \
  case n:                                                                                                          \
    NAME(window_block)(source, weight, target, channels, step, turn, weight_step, target_step, n, pixels, correlate); \
    break;
    switch (piece) { CK_TAPS(1) CK_TAPS(2) CK_TAPS(3) CK_TAPS(4) CK_TAPS(5) }
#undef CK_TAPS
    taps -= piece;
    source += piece * turn * channels;
    weight += piece * weight_step;
  }
}

// First and last tap that position n meets inside the source line.
ATTR static inline __attribute__((always_inline)) void NAME(valid_taps)(const struct NAME(line) *line, long n,
                                                                        long *first, long *last) {
  const long place = line->start + n * line->step;
  const long low = line->turn > 0 ? -place : place - line->extent + 1;
  const long high = line->turn > 0 ? line->extent - place : place + 1;
  *first = low > 0 ? low : 0;
  *last = high < line->taps ? high : line->taps;
}

// Walks one line. Steps that the compiler knows let four neighbours share their loads.
ATTR static inline __attribute__((always_inline)) void NAME(window_line)(const float *source, float *weight,
                                                                         float *target, const struct NAME(line) *line,
                                                                         long step, long turn, int correlate) {
  for (long n = 0; n < line->count;) {
    long first, last, first_of_fourth = 0, last_of_fourth = 0;
    NAME(valid_taps)(line, n, &first, &last);
    if (n + 3 < line->count) NAME(valid_taps)(line, n + 3, &first_of_fourth, &last_of_fourth);
    const float *place = source + (line->start + n * step) * line->channels;
    float *values = target + n * line->target_step;
    const int whole = first == 0 && last == line->taps && first_of_fourth == 0 && last_of_fourth == line->taps;
    if (whole)
      NAME(window_pixels)(place, weight, values, line, line->taps, step, turn, 4, correlate);
    else if (first < last)
      NAME(window_pixels)(place + first * turn * line->channels, weight + first * line->weight_step, values, line,
                          last - first, line->step, line->turn, 1, correlate);
    n += whole ? 4 : 1;
  }
}

ATTR static __attribute__((noinline)) void NAME(convolve_line)(const float *source, const float *weight, float *target,
                                                               const struct NAME(line) *line) {
  if (line->step == 1 && line->turn == 1)
    NAME(window_line)(source, (float *)weight, target, line, 1, 1, 0);
  else if (line->step == 2 && line->turn == 1)
    NAME(window_line)(source, (float *)weight, target, line, 2, 1, 0);
  else if (line->step == 1)
    NAME(window_line)(source, (float *)weight, target, line, 1, -1, 0);
  else
    NAME(window_line)(source, (float *)weight, target, line, line->step, line->turn, 0);
}

ATTR static __attribute__((noinline)) void NAME(correlate_line)(const float *source, float *weight,
                                                                const float *gradient,
                                                                const struct NAME(line) *line) {
  if (line->step == 1)
    NAME(window_line)(source, weight, (float *)gradient, line, 1, 1, 1);
  else if (line->step == 2)
    NAME(window_line)(source, weight, (float *)gradient, line, 2, 1, 1);
  else
    NAME(window_line)(source, weight, (float *)gradient, line, line->step, 1, 1);
}

ATTR static inline __attribute__((always_inline)) struct NAME(line) NAME(forward_line)(const struct ck_window *window) {
  struct NAME(line) line = {window->width,  -window->left,    window->stride,   1, window->output_width,
                            window->kernel, window->channels, window->channels, window->channels};
  return line;
}

ATTR static void NAME(window_convolve)(const float *x, const float *weight, float *out, const struct ck_window *window,
                                       long first_row, long last_row) {
  const struct NAME(line) line = NAME(forward_line)(window);
  const long run = window->output_width * window->channels, taps = window->kernel * window->channels;
  for (long y = first_row; y < last_row; y++) {
    __builtin_memset(out + y * run, 0, run * sizeof *out);
    for (long i = 0; i < window->kernel; i++) {
      const long row = y * window->stride - window->top + i;
      if (row < 0 || row >= window->height) continue;
      NAME(convolve_line)(x + row * window->width * window->channels, weight + i * taps, out + y * run, &line);
    }
  }
}

ATTR static void NAME(window_weight_gradient)(const float *x, const float *gradient, float *weight_gradient,
                                              const struct ck_window *window, long first_row, long last_row) {
  const struct NAME(line) line = NAME(forward_line)(window);
  const long run = window->output_width * window->channels, taps = window->kernel * window->channels;
  __builtin_memset(weight_gradient, 0, window->kernel * taps * sizeof *weight_gradient);
  for (long y = first_row; y < last_row; y++)
    for (long i = 0; i < window->kernel; i++) {
      const long row = y * window->stride - window->top + i;
      if (row < 0 || row >= window->height) continue;
      NAME(correlate_line)(x + row * window->width * window->channels, weight_gradient + i * taps, gradient + y * run,
                           &line);
    }
}

ATTR static void NAME(window_input_gradient)(const float *gradient, const float *weight, float *result,
                                             const struct ck_window *window, long first_row, long last_row) {
  const long channels = window->channels, stride = window->stride, run = window->width * channels;
  for (long y = first_row; y < last_row; y++) {
    __builtin_memset(result + y * run, 0, run * sizeof *result);
    for (long i = 0; i < window->kernel; i++) {
      const long distance = y + window->top - i;
      if (distance < 0 || distance % stride || distance / stride >= window->output_height) continue;
      const float *source = gradient + distance / stride * window->output_width * channels;
      // Input columns that meet the taps phase, phase + stride, ...
      for (long phase = 0; phase < stride && phase < window->kernel; phase++) {
        const long first = ((phase - window->left) % stride + stride) % stride;
        if (first >= window->width) continue;
        const struct NAME(line) line = {window->output_width,
                                        (first + window->left - phase) / stride,
                                        1,
                                        -1,
                                        (window->width - first + stride - 1) / stride,
                                        (window->kernel - phase + stride - 1) / stride,
                                        channels,
                                        stride * channels,
                                        stride * channels};
        NAME(convolve_line)(source, weight + (i * window->kernel + phase) * channels, result + y * run + first * channels,
                            &line);
      }
    }
  }
}

ATTR static void NAME(window_maximum)(const float *x, float *out, float *taps, const struct ck_window *window,
                                      long first_row, long last_row) {
  const long channels = window->channels;
  for (long y = first_row; y < last_row; y++)
    for (long column = 0; column < window->output_width; column++) {
      float *restrict best = out + (y * window->output_width + column) * channels;
      float *restrict where = taps + (y * window->output_width + column) * channels;
      int started = 0;
      for (long tap = 0; tap < window->kernel * window->kernel; tap++) {
        const long row = y * window->stride - window->top + tap / window->kernel;
        const long from = column * window->stride - window->left + tap % window->kernel;
        if (row < 0 || row >= window->height || from < 0 || from >= window->width) continue;
        const float *restrict source = x + (row * window->width + from) * channels;
        for (long c = 0; c < channels; c++) {
          const float value = source[c];
          const int better = !started | (value > best[c]) | (value != value);
          best[c] = better ? value : best[c];
          where[c] = better ? (float)tap : where[c];
        }
        started = 1;
      }
    }
}

ATTR static void NAME(window_maximum_gradient)(const float *gradient, const float *taps, float *result,
                                               const struct ck_window *window, long first_row, long last_row) {
  const long channels = window->channels, stride = window->stride;
  for (long y = first_row; y < last_row; y++)
    for (long column = 0; column < window->width; column++) {
      float *restrict target = result + (y * window->width + column) * channels;
      for (long c = 0; c < channels; c++) target[c] = 0;
      for (long tap = 0; tap < window->kernel * window->kernel; tap++) {
        const long down = y + window->top - tap / window->kernel, across = column + window->left - tap % window->kernel;
        if (down < 0 || across < 0 || down % stride || across % stride) continue;
        if (down / stride >= window->output_height || across / stride >= window->output_width) continue;
        const long place = (down / stride * window->output_width + across / stride) * channels;
        const float *restrict arriving = gradient + place;
        const float *restrict where = taps + place;
        for (long c = 0; c < channels; c++) target[c] += where[c] == (float)tap ? arriving[c] : 0.f;
      }
    }
}
