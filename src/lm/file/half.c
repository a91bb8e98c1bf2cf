/* bf16 and f16. */
#include "lm/file/file_int.h"

#include <math.h>
#include <string.h>

uint16_t lm_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40); /* stays quiet, whatever bits go */
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float lm_from_bf16(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
}

float lm_from_f16(uint16_t bits)
{
    uint32_t exponent = bits >> 10 & 31u;
    float fraction = (float)(bits & 1023u);
    float value;
    if (exponent == 31)
        value = fraction == 0 ? INFINITY : NAN;
    else if (exponent == 0)
        value = ldexpf(fraction, -24);
    else
        value = ldexpf(fraction + 1024, (int)exponent - 25);
    return bits >> 15 != 0 ? -value : value;
}
