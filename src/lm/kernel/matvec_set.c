/* Which kernels decode uses: the best that the CPU, the build and lm_isa_limit allow. */
#include "lm/kernel/isa_int.h"
#include "lm/kernel/matvec_int.h"

const struct lm_matvec_set *lm_matvec_set(void)
{
    switch (lm_isa()) {
    case LM_ISA_PLAIN:
    case LM_ISA_NEON:
    case LM_ISA_AVX2:
    case LM_ISA_AVX512:
    case LM_ISA_AVX512VNNI:
    case LM_ISA_AVX512BF16:
    default:
        return &lm_matvec_plain;
    }
}
