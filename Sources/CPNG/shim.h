#pragma once
#include <png.h>
#include <zlib.h>

// Casts and function-like macros that Swift cannot import.
static inline unsigned int cpng_image_version(void) { return PNG_IMAGE_VERSION; }
static inline unsigned int cpng_format_rgb(void) { return PNG_FORMAT_RGB; }
static inline unsigned int cpng_format_rgba(void) { return PNG_FORMAT_RGBA; }
static inline unsigned int cpng_format_gray(void) { return PNG_FORMAT_GRAY; }
static inline unsigned int cpng_format_grey16(void) { return PNG_FORMAT_LINEAR_Y; }
static inline unsigned int cpng_format_rgb16(void) { return PNG_FORMAT_LINEAR_RGB; }
static inline unsigned int cpng_format_rgb_colormap(void) { return PNG_FORMAT_RGB_COLORMAP; }
static inline unsigned int cpng_flag_16bit_srgb(void) { return PNG_IMAGE_FLAG_16BIT_sRGB; }
static inline int cpng_image_failed(png_image *image) { return PNG_IMAGE_FAILED(*image); }
static inline size_t cpng_size_bound(png_image image) { return PNG_IMAGE_PNG_SIZE_MAX(image); }
