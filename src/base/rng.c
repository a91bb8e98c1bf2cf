#include "base/base.h"

static uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

/* splitmix64: spreads any seed, zero too, over the state, which must not be all zero. */
static uint64_t spread(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void rng_init(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_COUNT(rng->state); i++)
        rng->state[i] = spread(&seed);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Lemire's method: the high half of a 32x32 product, with the few low halves that would favour some
 * values redrawn. */
uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    ASSERT(bound > 0);
    uint64_t product = (rng_next(rng) >> 32) * bound;
    if ((uint32_t)product < bound) {
        uint32_t unfair = (uint32_t)(0u - bound) % bound;
        while ((uint32_t)product < unfair)
            product = (rng_next(rng) >> 32) * bound;
    }
    return (uint32_t)(product >> 32);
}
