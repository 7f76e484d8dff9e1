#pragma once
// Products with panels: the columns of the right matrix are stored in panels of CK_PANEL columns, depth by depth, so that
// a product reads them from front to back. Columns of the last panel that are past the matrix are zero.

enum { CK_PANEL = 32 };

/// `out = a · panel`, or `out += a · panel` with `accumulate`. Element (r, k) of `a` is `a[r * rowStride + k *
/// depthStride]`; `panel` is [depth, CK_PANEL]; `out` has `rows` rows, `outStride` apart, of the first `columns` columns.
/// Every element is one chain of additions in the order of the depth: its bits depend on nothing but its row and column
/// and the CPU level.
void ck_panel_product(const float *a, long rowStride, long depthStride, const float *panel, long depth, float *out,
                      long outStride, long rows, long columns, int accumulate);
/// `to[column * toStride + row] = from[row * fromStride + column]`.
void ck_transpose(const float *from, long fromStride, long rows, long columns, float *to, long toStride);
