/* Tiles for AVX512_BF16: VDPBF16PS, twice the products of single precision in one instruction. */
#include <immintrin.h>

/* Subnormal numbers count as zero here, as the instruction has it. */
static inline __attribute__((always_inline)) __m512 bf16_dot(__m512 sum, __m512i a, __m512i b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

#include "lm/kernel/gemm_bf16_body.h"

const struct lm_gemm_kind lm_gemm_kind_avx512bf16 = {
    .mr = MR,
    .nr = NR,
    .element_bytes = 2,
    .k_step = 2,
    .pack = pack,
    .tile = tile,
};
