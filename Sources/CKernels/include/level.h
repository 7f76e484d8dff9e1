#pragma once

/// Instruction-set levels of the vector kernels; higher levels include lower ones.
enum { ck_level_portable = 0, ck_level_avx2 = 1, ck_level_avx512 = 2 };

/// The highest level this CPU runs.
int ck_supported_level(void);
/// The level in use: the highest supported one until `ck_set_level`.
int ck_level(void);
/// Uses a lower level (never a higher one than supported); returns the level now in use.
int ck_set_level(int level);
