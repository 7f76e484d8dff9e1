#pragma once

/// In place: every row of `columns` scores becomes softmax(scale * row).
void ck_attention_softmax(float *scores, long rows, long columns, float scale);
/// In place on `gradient`: scale * p * (gradient - <p, gradient>) for every row of probabilities p.
void ck_attention_softmax_gradient(const float *probabilities, float *gradient, long rows, long columns, float scale);
