#pragma once
// The one definition of the exponential and of the normal distribution for all kernels; scalar on paper, vectors once
// inlined into a loop. Keep `reassociate` off in the block that calls these: it would undo the rounding trick.
#include <stdint.h>

#define CK_INLINE static inline __attribute__((always_inline))

CK_INLINE float ck_float_from_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

CK_INLINE uint32_t ck_bits_from_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// e to the power of x, to 1.2e-7 relative, for x from -87.33 to 88.37; constant outside, so never zero nor infinite.
/// Not-a-number stays not-a-number. The polynomial is a minimax fit, 3e-9 relative in exact arithmetic.
CK_INLINE float ck_exponential(float x) {
  x = x < -87.33f ? -87.33f : x;
  x = x > 88.37f ? 88.37f : x;
  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits; its low nine bits are zero, so a shift by 23 keeps
  // the integer alone.
  const float rounded = x * 1.44269504f + 12582912.f;
  const float whole = rounded - 12582912.f;
  // ln 2 in two parts, the first short enough for an exact product.
  const float y = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float q = 0.00138143206f;
  q = q * y + 0.00836885107f;
  q = q * y + 0.0416684011f;
  q = q * y + 0.166665195f;
  q = q * y + 0.499999934f;
  const float fraction = (q * y) * y + y + 1.f;
  return fraction * ck_float_from_bits((ck_bits_from_float(rounded) << 23) + 0x3f800000u);
}

/// The logistic function, to 1.5e-7 absolute.
CK_INLINE float ck_logistic(float x) { return 1.f / (1.f + ck_exponential(-x)); }

/// The hyperbolic tangent, to 2e-7 relative. Near zero by a minimax polynomial of 5e-9, since the difference of
/// exponentials has no digits left there.
CK_INLINE float ck_hyperbolic_tangent(float x) {
  const float distance = x < 0.f ? -x : x;
  const float square = x * x;
  float q = -0.00570498547f;
  q = q * square + 0.0206390861f;
  q = q * square - 0.0537397154f;
  q = q * square + 0.133314416f;
  q = q * square - 0.333332807f;
  const float near = x + (x * square) * q;
  const float far = 1.f - 2.f / (ck_exponential(2.f * distance) + 1.f);
  return distance < 0.625f ? near : x < 0.f ? -far : far;
}

/// Distribution (to 2.5e-7 absolute) and density (to 5e-8) of the standard normal at x.
/// The lower tail keeps its relative accuracy (3e-5 down to x = -6).
/// The tail is exp(-x*x/2) times a polynomial in 1 / (1 + |x| / 4), a minimax fit of 6e-9.
CK_INLINE void ck_normal(float x, float *distribution, float *density) {
  const float distance = x < 0.f ? -x : x;
  const float bell = ck_exponential(-0.5f * x * x);
  const float t = 1.f / (1.f + 0.25f * distance);
  float tail = -0.0920450989f;
  tail = tail * t + 0.343201458f;
  tail = tail * t - 0.268975711f;
  tail = tail * t + 0.281890598f;
  tail = tail * t + 0.0252449547f;
  tail = tail * t + 0.111772107f;
  tail = tail * t + 0.0989116864f;
  tail = tail * t * bell;
  *distribution = x < 0.f ? tail : 1.f - tail;
  *density = 0.39894228f * bell;
}
