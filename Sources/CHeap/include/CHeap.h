// Counts calls for heap memory of the whole process, so that a benchmark can watch them.

#ifndef CHEAP_H
#define CHEAP_H

/// Calls of malloc, calloc and realloc since the process began, by any thread and any library.
long cheap_allocations(void);

#endif
