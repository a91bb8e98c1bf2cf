#include "lm/kernel/isa_int.h"

#include <stdatomic.h>

static const char *const isa_names[] = {
    [LM_ISA_PLAIN] = "plain",
    [LM_ISA_NEON] = "neon",
    [LM_ISA_AVX2] = "avx2",
    [LM_ISA_AVX512] = "avx512",
    [LM_ISA_AVX512VNNI] = "avx512-vnni",
    [LM_ISA_AVX512BF16] = "avx512-bf16",
};
#define ISA_COUNT ((int)ARRAY_COUNT(isa_names))

static _Atomic int chosen = -1;

/* __builtin_cpu_supports answers for CPU and operating system: it looks at XCR0, too. */
bool lm_isa_has(enum lm_isa isa)
{
    switch (isa) {
    case LM_ISA_PLAIN:
        return true;
    case LM_ISA_NEON:
#ifdef LM_BUILT_NEON
        return true;
#else
        return false;
#endif
    case LM_ISA_AVX2:
#ifdef LM_BUILT_AVX2
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
        return false;
#endif
    case LM_ISA_AVX512:
#ifdef LM_BUILT_AVX512
        return lm_isa_has(LM_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq");
#else
        return false;
#endif
    case LM_ISA_AVX512VNNI:
#ifdef LM_BUILT_AVX512VNNI
        return lm_isa_has(LM_ISA_AVX512) && __builtin_cpu_supports("avx512vnni");
#else
        return false;
#endif
    case LM_ISA_AVX512BF16:
#ifdef LM_BUILT_AVX512BF16
        return lm_isa_has(LM_ISA_AVX512VNNI) && __builtin_cpu_supports("avx512bf16");
#else
        return false;
#endif
    default:
        return false;
    }
}

/* Several threads may come here at once: they find the same. */
enum lm_isa lm_isa(void)
{
    int isa = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (isa >= 0)
        return (enum lm_isa)isa;
    isa = ISA_COUNT - 1;
    while (!lm_isa_has((enum lm_isa)isa))
        isa--;
    int none = -1;
    if (!atomic_compare_exchange_strong(&chosen, &none, isa))
        isa = none;
    return (enum lm_isa)isa;
}

const char *lm_isa_name(void)
{
    return isa_names[lm_isa()];
}

bool lm_isa_limit(struct str name)
{
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        if (str_equal(name, str_from(isa_names[isa])) && lm_isa_has((enum lm_isa)isa)) {
            atomic_store(&chosen, isa);
            return true;
        }
    }
    return false;
}

const struct lm_kernels *lm_kernels(void)
{
    enum lm_isa isa = lm_isa();
#ifdef LM_BUILT_AVX512
    if (isa >= LM_ISA_AVX512)
        return &lm_kernels_avx512;
#endif
#ifdef LM_BUILT_AVX2
    if (isa == LM_ISA_AVX2)
        return &lm_kernels_avx2;
#endif
#ifdef LM_BUILT_NEON
    if (isa == LM_ISA_NEON)
        return &lm_kernels_neon;
#endif
    (void)isa;
    return &lm_kernels_plain;
}
