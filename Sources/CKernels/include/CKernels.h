#pragma once
// Vector kernels in C, compiled three times (portable, AVX2, AVX-512) and chosen at run time. See level.h.
#include "level.h"
#include "activation.h"
#include "elementwise.h"
#include "normalization.h"
#include "optimizer.h"
#include "softmax.h"
#include "attention.h"
#include "augment.h"
#include "depthwise.h"
#include "distance.h"
#include "resize.h"
#include "winograd.h"
