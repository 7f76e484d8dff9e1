#pragma once
// Activations element by element; input and result do not overlap.

/// x times the standard normal distribution at x (the exact GELU).
void ck_gelu(const float *x, float *y, long count);
/// Gradient of GELU at x.
void ck_gelu_gradient(const float *x, const float *gradient, float *result, long count);
/// x, or zero where x is negative.
void ck_relu(const float *x, float *y, long count);
/// The gradient where output is positive, else zero.
void ck_relu_gradient(const float *output, const float *gradient, float *result, long count);
/// x, or slope * x where x is negative.
void ck_leaky_relu(const float *x, float slope, float *y, long count);
/// The gradient where output is positive, else slope * gradient.
void ck_leaky_relu_gradient(const float *output, float slope, const float *gradient, float *result, long count);
/// The hyperbolic tangent.
void ck_tanh(const float *x, float *y, long count);
/// gradient * (1 - output * output).
void ck_tanh_gradient(const float *output, const float *gradient, float *result, long count);
/// 1 / (1 + exp(-x)).
void ck_sigmoid(const float *x, float *y, long count);
/// gradient * output * (1 - output).
void ck_sigmoid_gradient(const float *output, const float *gradient, float *result, long count);
