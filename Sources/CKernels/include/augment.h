#pragma once

// Image arithmetic of the strong augmentation; pixels are interleaved RGB.

/// out = (pixel - mean) / deviation, per channel.
void ck_augment_normalise(const unsigned char *pixels, float *out, long count, const float *mean,
                          const float *deviation);

/// Nearest byte to pixel * deviation + mean, ties to even, clamped.
void ck_augment_denormalise(const float *image, unsigned char *out, long count, const float *mean,
                            const float *deviation);

/// Hue in 0...1 (1 where a tiny negative turn is rounded up), saturation and value of `count` pixels.
void ck_augment_hsv(const float *rgb, float *hsv, long count);

/// Red, green and blue of `count` pixels of hue, saturation and value.
void ck_augment_rgb(const float *hsv, float *rgb, long count);

/// Applies `steps` operations in `order` (0 brightness, 1 contrast, 2 saturation, 3 hue) with `factors` to RGB in 0...1.
void ck_augment_jitter(const float *image, float *out, long count, const float *factors, const int *order, long steps,
                       const float *mean, const float *deviation);

/// Rows firstRow ..< lastRow of a separable filter with reflected border: 2 * rowRadius + 1 taps down, then
/// 2 * columnRadius + 1 across. `line` holds (width + 2 * columnRadius) * channels floats.
void ck_augment_blur_rows(const float *image, float *out, float *line, long height, long width, long channels,
                          const float *rowTaps, long rowRadius, const float *columnTaps, long columnRadius,
                          long firstRow, long lastRow);

/// Pixel from `source` where the mask is set, else from `target`.
void ck_augment_mix(const float *source, const float *target, const unsigned char *mask, float *out, long count,
                    long channels);

/// Every channel of a pixel times the pixel's factor.
void ck_augment_scale_pixels(const float *image, const float *factors, float *out, long count, long channels);
