#pragma once

// Windows that walk over one sample's map [height, width, channels] with a stride: depthwise convolution and max
// pooling. A window has kernel x kernel taps; tap (i, j) of output (y, x) reads row y * stride - top + i and column
// x * stride - left + j, and is left out where that lies outside the map.
struct ck_window {
  long height, width, output_height, output_width, channels, kernel, stride, top, left;
};

/// Depthwise convolution by weight [kernel, kernel, channels]: output rows first_row ..< last_row, overwritten.
void ck_window_convolve(const float *x, const float *weight, float *out, const struct ck_window *window, long first_row,
                        long last_row);
/// Its gradient with respect to the map: input rows first_row ..< last_row, overwritten.
void ck_window_input_gradient(const float *gradient, const float *weight, float *result,
                              const struct ck_window *window, long first_row, long last_row);
/// Its weight gradient [kernel, kernel, channels] from output rows first_row ..< last_row, overwritten.
void ck_window_weight_gradient(const float *x, const float *gradient, float *weight_gradient,
                               const struct ck_window *window, long first_row, long last_row);
/// Largest value of each window, and in `taps` the number i * kernel + j of the first tap that has it; not-a-number
/// counts as largest, and of several the last one does. Output rows first_row ..< last_row, overwritten.
void ck_window_maximum(const float *x, float *out, float *taps, const struct ck_window *window, long first_row,
                       long last_row);
/// Gradient of the maximum: input rows first_row ..< last_row, overwritten.
void ck_window_maximum_gradient(const float *gradient, const float *taps, float *result,
                                const struct ck_window *window, long first_row, long last_row);
