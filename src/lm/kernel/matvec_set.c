/* Which kernels decode uses: the best that the CPU, the build and lm_isa_limit allow. */
#include "lm/kernel/isa_int.h"
#include "lm/kernel/matvec_int.h"

const struct lm_matvec_set *lm_matvec_set(void)
{
    const struct lm_matvec_set *const sets[] = {
        [LM_ISA_PLAIN] = &lm_matvec_plain,
#ifdef LM_BUILT_NEON
        [LM_ISA_NEON] = &lm_matvec_neon,
#endif
#ifdef LM_BUILT_AVX2
        [LM_ISA_AVX2] = &lm_matvec_avx2,
#endif
#ifdef LM_BUILT_AVX512
        [LM_ISA_AVX512] = &lm_matvec_avx512,
#endif
#ifdef LM_BUILT_AVX512VNNI
        [LM_ISA_AVX512VNNI] = &lm_matvec_avx512vnni,
#endif
#ifdef LM_BUILT_AVX512BF16
        [LM_ISA_AVX512BF16] = &lm_matvec_avx512vnni,
#endif
    };
    return sets[lm_isa()];
}
