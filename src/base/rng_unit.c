/* Apart from rng.c, so that a board that asks for no fractions links no floating point. */
#include "base/base.h"

double rng_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1.0p-53;
}

/* Always takes one draw, so that changing a probability does not shift what comes after it in a
 * replay. */
bool rng_chance(struct rng *rng, double probability)
{
    return rng_unit(rng) < probability;
}
