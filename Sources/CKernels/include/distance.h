#pragma once

// Euclidean distance between the channel vectors of two feature maps, in the cells a mask selects.

/// norms[i] = |feature[i] - reference[i]| where the mask is set, else 0; `count` cells.
void ck_distance_norms(const float *feature, const float *reference, const unsigned char *cells, float *norms,
                       long count, long channels);

/// factor * (feature - reference) / norm where the mask is set and the norm is not 0, else 0.
void ck_distance_gradient(const float *feature, const float *reference, const unsigned char *cells, float *out,
                          float factor, long count, long channels);
