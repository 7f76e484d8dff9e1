#pragma once
// Updates of parameters in place.

/// One AdamW update of all four arrays but the gradient, in place: parameters times keep, moments towards the gradient
/// and its square, then parameters -= rate * first / (sqrt(second) * second_share + epsilon).
void ck_adamw(float *parameters, const float *gradient, float *first, float *second, long count, float keep,
              float first_weight, float second_keep, float second_weight, float rate, float second_share,
              float epsilon);
/// One update by stochastic gradient descent with momentum, in place: velocity = momentum * velocity + gradient + decay *
/// parameters, then parameters -= rate * velocity.
void ck_sgd(float *parameters, const float *gradient, float *velocity, long count, float decay, float momentum,
            float rate);
/// Sum of squares in double, in one order for every CPU level: the squares are exact.
void ck_sum_of_squares(const float *x, long count, double *sum);
/// average = keep * average + weight * value, in place.
void ck_exponential_average(float *average, const float *value, float keep, float weight, long count);
