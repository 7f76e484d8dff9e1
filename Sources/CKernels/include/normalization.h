#pragma once
// Layer norm and batch norm over rows of `columns` contiguous channels. Nothing overlaps in memory.

/// Two-pass layer norm of each row; statistics receives (mean, 1 / deviation) per row, biased variance.
void ck_layer_norm(const float *x, const float *scale, const float *shift, float *y, float *statistics, long rows,
                   long columns, float epsilon);
/// Input gradient of layer norm; with sums not null, also the rows' sums of the gradient (the shift's gradient, first
/// `columns` numbers) and of gradient times normalised input (the scale's).
void ck_layer_norm_gradient(const float *x, const float *scale, const float *statistics, const float *gradient,
                            float *result, float *sums, long rows, long columns);
/// Column sums (first `columns` numbers) and column sums of squares.
void ck_batch_norm_sums(const float *x, double *sums, long rows, long columns);
/// (x - mean) * deviation * scale + shift, cut to lowest ... highest; y may be x.
void ck_batch_norm_apply(const float *x, const float *mean, const float *deviation, const float *scale,
                         const float *shift, float *y, long rows, long columns, float lowest,
                         float highest);
/// Column sums of the gradient and of gradient times normalised input; the gradient counts only where lowest < output <
/// highest, everywhere if lowest is minus infinity.
void ck_batch_norm_gradient_sums(const float *x, const float *output, const float *gradient, const float *mean,
                                 const float *deviation, double *sums, long rows, long columns, float lowest,
                                 float highest);
/// scale * deviation * (g - mean of g - normalised input * mean of g times normalised input).
void ck_batch_norm_input_gradient(const float *x, const float *output, const float *gradient, const float *mean,
                                  const float *deviation, const float *scale, const float *gradient_mean,
                                  const float *gradient_dot_mean, float *result, long rows, long columns, float lowest,
                                  float highest);
