/* Between the forms of the rows. */
#ifndef AUTOMAT_LM_ROWS_INT_H
#define AUTOMAT_LM_ROWS_INT_H

#include "lm/kernel/isa_int.h"

/* 32 bits for element i of a row: two rounds of a multiply-and-shift mixer, the same in every
 * instruction set. */
static inline uint32_t lm_dropout_word(uint32_t i, const uint32_t key[2])
{
    uint32_t x = i * 0x9e3779b9u + key[0];
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    x ^= (x >> 16) ^ key[1];
    x *= 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

#endif
