#pragma once
// Sums and products element by element. Results overlap no input unless a function says "in place".

/// y = a + b.
void ck_add(const float *a, const float *b, float *y, long count);
/// y += x, in place.
void ck_add_in_place(float *y, const float *x, long count);
/// y = factor * x.
void ck_scale(const float *x, float factor, float *y, long count);
/// y = a * b.
void ck_multiply(const float *a, const float *b, float *y, long count);
/// y = x + factor * branch.
void ck_add_scaled(const float *x, const float *branch, float factor, float *y, long count);
/// Column c of every row times factors[c].
void ck_scale_columns(const float *x, const float *factors, float *y, long rows, long columns);
/// bias[c] added to column c of every row.
void ck_add_to_rows(const float *x, const float *bias, float *y, long rows, long columns);
/// Sum of every column.
void ck_column_sums(const float *x, float *sums, long rows, long columns);
/// target[i] += the sum over parts of partial[part * stride + i], formed in double precision, in place.
void ck_add_partials(const float *partial, long parts, long stride, float *target, long count);
/// (1 - gate) * context.
void ck_gated_context(const float *gate, const float *context, float *y, long count);
/// Gradients of ck_gated_context.
void ck_gated_context_gradient(const float *gate, const float *context, const float *gradient, float *gate_gradient,
                               float *context_gradient, long count);
/// gate * detail + context.
void ck_fuse(const float *gate, const float *detail, const float *context, float *y, long count);
/// Gradients of ck_fuse with respect to gate and detail.
void ck_fuse_gradient(const float *gate, const float *detail, const float *gradient, float *gate_gradient,
                      float *detail_gradient, long count);
/// 1 if every value is finite, else 0.
void ck_is_finite(const float *x, long count, int *result);
