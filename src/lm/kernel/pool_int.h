/* The pool's other half, for kernels that run on it. */
#ifndef AUTOMAT_LM_POOL_INT_H
#define AUTOMAT_LM_POOL_INT_H

#include "lm/kernel/kernel_int.h"

#define LM_POOL_THREADS_MAX 64

/* At least `bytes` of memory aligned to 64, kept until the pool goes; what was in it is lost when
 * it grows.  For the thread that calls lm_pool_run, between runs.  NULL: out of memory. */
void *lm_pool_scratch(struct lm_pool *pool, size_t bytes);

#endif
