#pragma once
#include <dnnl.h>

// The OpenMP run time that oneDNN links; declared here so that no compiler header for it is needed.
void omp_set_num_threads(int count);
