/* The body of the fast decode kernels, included once by each instruction set's file, which says
 * what a vector is:
 *
 *   LANES, VF, VI               floats or 32-bit integers a vector; their types
 *   F_LOAD F_STORE F_SET1 F_ZERO F_FMA(a, b, c) = a b + c, F_MUL
 *   I_LOAD I_SET1 I_ADD I_TO_F
 *   I_DOT(sum, w, x)  I_DOT4      sum += 4 unsigned bytes of w times 4 signed bytes of x, a lane;
 *                               I_DOT4 may count on w < 16
 *   I_LOW I_HIGH                a byte's low, high nibble
 *   BF_EVEN BF_ODD              floats of the low, high half of each 32 bits
 *   PREFETCH(address)
 *   F_ROWS F_BLOCKS I_ROWS I_BLOCKS   rows of X and blocks of W that the registers hold at once
 *   SET, SET_NAME               the table's name
 *
 * Sums have one order whatever the tile: a row's result does not depend on its neighbours. */
#include "lm/kernel/matvec_int.h"

#include <string.h>

#define NV      (16 / LANES)
#define INLINE  static inline __attribute__((always_inline))
#define UNROLL  _Pragma("GCC unroll 16")
#define AHEAD_B 2048 /* how far decode asks for memory before it is needed */
#define NEAR_B  512  /* and how far a tile of many rows, whose weights are in the second cache */

/* ---- f32 ---- */

INLINE void f32_tile(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                     uint32_t row, float *y, size_t ldy, const uint32_t blocks, const uint32_t t)
{
    const float *data = (const float *)(const void *)(w->data + block * w->block_bytes);
    size_t step = w->block_bytes / sizeof(float);
    const float *in = x->x + (size_t)row * x->ldx;
    VF sum[F_ROWS][4][NV];
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++) sum[r][b][v] = F_ZERO;
    for (uint32_t i = 0; i < w->k; i++, data += 16) {
        UNROLL for (uint32_t b = 0; b < blocks; b++)
            PREFETCH((const char *)(data + b * step) + (t == 1 ? AHEAD_B : NEAR_B));
        VF wide[4][NV];
        UNROLL for (uint32_t b = 0; b < blocks; b++) UNROLL for (uint32_t v = 0; v < NV; v++)
            wide[b][v] = F_LOAD(data + b * step + v * LANES);
        UNROLL for (uint32_t r = 0; r < t; r++)
        {
            VF value = F_SET1(in[(size_t)r * x->ldx + i]);
            UNROLL for (uint32_t b = 0; b < blocks; b++) UNROLL for (uint32_t v = 0; v < NV; v++)
                sum[r][b][v] = F_FMA(wide[b][v], value, sum[r][b][v]);
        }
    }
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++)
            F_STORE(y + r * ldy + (size_t)b * 16 + v * LANES, sum[r][b][v]);
}

/* ---- bf16: X stays f32 ---- */

INLINE void bf16_tile(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                      uint32_t row, float *y, size_t ldy, const uint32_t blocks, const uint32_t t)
{
    const unsigned char *data = w->data + block * w->block_bytes;
    const float *in = x->x + (size_t)row * x->ldx;
    VF sum[F_ROWS][4][NV];
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++) sum[r][b][v] = F_ZERO;
    for (uint32_t i = 0; i < w->k; i += 2, data += 64) {
        bool pair = i + 1 < w->k;
        if (t == 1)
            UNROLL for (uint32_t b = 0; b < blocks; b++)
                PREFETCH(data + b * w->block_bytes + AHEAD_B);
        VF even[4][NV];
        VF odd[4][NV];
        UNROLL for (uint32_t b = 0; b < blocks; b++)
        {
            UNROLL for (uint32_t v = 0; v < NV; v++)
            {
                VI both = I_LOAD(data + b * w->block_bytes + (size_t)v * LANES * 4);
                even[b][v] = BF_EVEN(both);
                odd[b][v] = BF_ODD(both);
            }
        }
        UNROLL for (uint32_t r = 0; r < t; r++)
        {
            VF first = F_SET1(in[(size_t)r * x->ldx + i]);
            VF second = F_SET1(pair ? in[(size_t)r * x->ldx + i + 1] : 0.0F);
            UNROLL for (uint32_t b = 0; b < blocks; b++)
            {
                UNROLL for (uint32_t v = 0; v < NV; v++)
                {
                    sum[r][b][v] = F_FMA(even[b][v], first, sum[r][b][v]);
                    sum[r][b][v] = F_FMA(odd[b][v], second, sum[r][b][v]);
                }
            }
        }
    }
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++)
            F_STORE(y + r * ldy + (size_t)b * 16 + v * LANES, sum[r][b][v]);
}

/* ---- int8 and int4: a group's products in integers, then one scale ---- */

INLINE int32_t four(const int8_t *q)
{
    int32_t value;
    memcpy(&value, q, sizeof(value));
    return value;
}

INLINE void int_tile(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                     uint32_t row, float *y, size_t ldy, const bool nibbles, const uint32_t blocks,
                     const uint32_t t)
{
    const unsigned char *data = w->data + block * w->block_bytes;
    const uint32_t vectors = nibbles ? 8 : 16;
    const int8_t *q = x->q + (size_t)row * x->groups * 64;
    const float *scale = x->scale + (size_t)row * x->groups;
    const int32_t *past = x->sum + (size_t)row * x->groups;
    VF sum[I_ROWS][4][NV];
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++) sum[r][b][v] = F_ZERO;
    for (uint32_t g = 0; g < w->groups; g++, q += 64, scale++, past++) {
        VI dot[I_ROWS][4][NV];
        UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
            UNROLL for (uint32_t v = 0; v < NV; v++) dot[r][b][v] =
                I_SET1(past[(size_t)r * x->groups] * (nibbles ? -8 : -128));
        for (uint32_t p = 0; p < vectors; p++) {
            if (t == 1)
                UNROLL for (uint32_t b = 0; b < blocks; b++)
                    PREFETCH(data + b * w->block_bytes + 64 + (size_t)p * 64 + AHEAD_B);
            UNROLL for (uint32_t b = 0; b < blocks; b++)
            {
                UNROLL for (uint32_t v = 0; v < NV; v++)
                {
                    VI bytes = I_LOAD(data + b * w->block_bytes + 64 + (size_t)p * 64 +
                                      (size_t)v * LANES * 4);
                    UNROLL for (uint32_t r = 0; r < t; r++)
                    {
                        const int8_t *in = q + (size_t)r * x->groups * 64;
                        if (nibbles) {
                            VI first = I_SET1(four(in + (size_t)p * 8));
                            VI second = I_SET1(four(in + (size_t)p * 8 + 4));
                            dot[r][b][v] = I_DOT4(dot[r][b][v], I_LOW(bytes), first);
                            dot[r][b][v] = I_DOT4(dot[r][b][v], I_HIGH(bytes), second);
                        } else {
                            VI value = I_SET1(four(in + (size_t)p * 4));
                            dot[r][b][v] = I_DOT(dot[r][b][v], bytes, value);
                        }
                    }
                }
            }
        }
        UNROLL for (uint32_t b = 0; b < blocks; b++)
        {
            UNROLL for (uint32_t v = 0; v < NV; v++)
            {
                VF each =
                    F_LOAD((const float *)(const void *)(data + b * w->block_bytes) + v * LANES);
                UNROLL for (uint32_t r = 0; r < t; r++) sum[r][b][v] =
                    F_FMA(I_TO_F(dot[r][b][v]), F_MUL(each, F_SET1(scale[(size_t)r * x->groups])),
                          sum[r][b][v]);
            }
        }
        data += 64 + (size_t)vectors * 64;
    }
    UNROLL for (uint32_t r = 0; r < t; r++) UNROLL for (uint32_t b = 0; b < blocks; b++)
        UNROLL for (uint32_t v = 0; v < NV; v++)
            F_STORE(y + r * ldy + (size_t)b * 16 + v * LANES, sum[r][b][v]);
}

/* ---- tiles over rows and blocks ---- */

#define INT8_TILE(w, block, x, row, y, ldy, blocks, t)                                             \
    int_tile(w, block, x, row, y, ldy, false, blocks, t)
#define INT4_TILE(w, block, x, row, y, ldy, blocks, t)                                             \
    int_tile(w, block, x, row, y, ldy, true, blocks, t)

#define TILE_OF(TILE, T, MAX)                                                                      \
    case T:                                                                                        \
        if ((T) <= (MAX))                                                                          \
            TILE(w, block, x, row, y, ldy, blocks, (T) <= (MAX) ? (T) : 1);                        \
        break;

/* NAME: blocks from..to-1 for t rows, in tiles of at most MAX rows and, where the registers hold
 * them, two blocks; one row takes four, so that as many streams are read at once. */
#define KERNEL(NAME, TILE, MAX, BLOCKS)                                                            \
    INLINE void NAME##_any(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,     \
                           uint32_t row, uint32_t t, float *y, size_t ldy, const uint32_t blocks)  \
    {                                                                                              \
        switch (t) {                                                                               \
            TILE_OF(TILE, 1, MAX)                                                                  \
            TILE_OF(TILE, 2, MAX)                                                                  \
            TILE_OF(TILE, 3, MAX)                                                                  \
            TILE_OF(TILE, 4, MAX)                                                                  \
            TILE_OF(TILE, 5, MAX)                                                                  \
            TILE_OF(TILE, 6, MAX)                                                                  \
            TILE_OF(TILE, 7, MAX)                                                                  \
            TILE_OF(TILE, 8, MAX)                                                                  \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    }                                                                                              \
    static void NAME##_pair(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,    \
                            uint32_t row, uint32_t t, float *y, size_t ldy)                        \
    {                                                                                              \
        NAME##_any(w, block, x, row, t, y, ldy, 2);                                                \
    }                                                                                              \
    static void NAME##_single(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,  \
                              uint32_t row, uint32_t t, float *y, size_t ldy)                      \
    {                                                                                              \
        NAME##_any(w, block, x, row, t, y, ldy, 1);                                                \
    }                                                                                              \
    static void NAME(const struct lm_packed *w, uint32_t from, uint32_t to,                        \
                     const struct lm_rows *x, uint32_t row, uint32_t t, float *y, size_t ldy)      \
    {                                                                                              \
        uint32_t block = from;                                                                     \
        for (; t == 1 && block + 4 <= to; block += 4, y += 64)                                     \
            TILE(w, block, x, row, y, ldy, 4, 1);                                                  \
        while (block < to) {                                                                       \
            bool pair = block + 1 < to && (t == 1 || (BLOCKS) == 2);                               \
            for (uint32_t r = 0; r < t; r += (MAX))                                                \
                (pair ? NAME##_pair : NAME##_single)(                                              \
                    w, block, x, row + r, t - r < (MAX) ? t - r : (MAX), y + r * ldy, ldy);        \
            block += pair ? 2 : 1;                                                                 \
            y += pair ? 32 : 16;                                                                   \
        }                                                                                          \
    }

KERNEL(f32, f32_tile, F_ROWS, F_BLOCKS)
KERNEL(bf16, bf16_tile, F_ROWS, F_BLOCKS)
KERNEL(int8, INT8_TILE, I_ROWS, I_BLOCKS)
KERNEL(int4, INT4_TILE, I_ROWS, I_BLOCKS)

/* ---- rows of X to 8 bits: in integers and by a magic sum, so that a compiler makes vectors ----
 */

static void quantise(const float *x, uint32_t k, int8_t *q, float *scale, int32_t *sum)
{
    float part[64] = {0};
    for (uint32_t g = 0; g * 64 < k; g++, q += 64) {
        const float *in = x + (size_t)g * 64;
        int32_t bits[64];
        int32_t most = 0;
        int32_t total = 0;
        if (k - g * 64 < 64) {
            memcpy(part, in, (k - g * 64) * sizeof(float));
            in = part;
        }
        memcpy(bits, in, sizeof(bits));
        for (uint32_t i = 0; i < 64; i++) {
            int32_t size = bits[i] & 0x7fffffff;
            most = size > most ? size : most;
        }
        float size;
        memcpy(&size, &most, sizeof(size));
        bool usable = size > LM_QUIET && most < 0x7f800000;
        float inverse = usable ? 127.0F / size : 0;
        for (uint32_t i = 0; i < 64; i++) {
            /* 1.5 * 2^23 leaves the nearest integer in the low bits. */
            float near = (usable ? in[i] : 0) * inverse + 12582912.0F;
            memcpy(&bits[i], &near, sizeof(near));
            bits[i] -= 0x4B400000;
            total += bits[i];
        }
        for (uint32_t i = 0; i < 64; i++)
            q[i] = (int8_t)bits[i];
        scale[g] = usable ? size / 127.0F : size * 0.0F;
        sum[g] = total;
    }
}

/* ---- attention ---- */

/* 16 positions' scores for `heads` heads; q lies d apart, scores ld. */
INLINE void scores_tile(float *out, size_t ld, const float *q, uint32_t d, const float *keys,
                        const uint32_t heads)
{
    VF sum[4][NV];
    UNROLL for (uint32_t h = 0; h < heads; h++) UNROLL for (uint32_t v = 0; v < NV; v++) sum[h][v] =
        F_ZERO;
    for (uint32_t i = 0; i < d; i++) {
        UNROLL for (uint32_t h = 0; h < heads; h++) UNROLL for (uint32_t v = 0; v < NV; v++)
            sum[h][v] = F_FMA(F_LOAD(keys + (size_t)i * 16 + v * LANES),
                              F_SET1(q[(size_t)h * d + i]), sum[h][v]);
    }
    UNROLL for (uint32_t h = 0; h < heads; h++) UNROLL for (uint32_t v = 0; v < NV; v++)
        F_STORE(out + h * ld + v * LANES, sum[h][v]);
}

static void scores(float *out, size_t ld, const float *q, uint32_t heads, uint32_t d,
                   const float *keys, uint32_t count)
{
    for (uint32_t at = 0; at < count; at += 16) {
        const float *block = keys + (size_t)at * d;
        uint32_t h = 0;
        for (; h + 4 <= heads; h += 4)
            scores_tile(out + h * ld + at, ld, q + (size_t)h * d, d, block, 4);
        for (; h + 2 <= heads; h += 2)
            scores_tile(out + h * ld + at, ld, q + (size_t)h * d, d, block, 2);
        for (; h < heads; h++)
            scores_tile(out + h * ld + at, ld, q + (size_t)h * d, d, block, 1);
    }
}

/* `chunks` times 16 dimensions of the values for `heads` heads; out (heads, 32). */
INLINE void values_tile(float *out, const float *p, size_t ld, const float *values, uint32_t d16,
                        uint32_t count, const uint32_t heads, const uint32_t chunks)
{
    VF sum[4][4][NV];
    UNROLL for (uint32_t h = 0; h < heads; h++) UNROLL for (uint32_t c = 0; c < chunks; c++)
        UNROLL for (uint32_t v = 0; v < NV; v++) sum[h][c][v] = F_ZERO;
    for (uint32_t at = 0; at < count; at++) {
        const float *in = values + (size_t)at * d16;
        UNROLL for (uint32_t h = 0; h < heads; h++)
        {
            VF share = F_SET1(p[h * ld + at]);
            UNROLL for (uint32_t c = 0; c < chunks; c++) UNROLL for (uint32_t v = 0; v < NV; v++)
                sum[h][c][v] = F_FMA(F_LOAD(in + (size_t)c * 16 + v * LANES), share, sum[h][c][v]);
        }
    }
    UNROLL for (uint32_t h = 0; h < heads; h++) UNROLL for (uint32_t c = 0; c < chunks; c++)
        UNROLL for (uint32_t v = 0; v < NV; v++)
            F_STORE(out + (size_t)h * 32 + (size_t)c * 16 + v * LANES, sum[h][c][v]);
}

INLINE void values_heads(float *out, const float *p, size_t ld, uint32_t d, const float *values,
                         uint32_t d16, uint32_t count, const uint32_t heads)
{
    float tile[4 * 32];
    for (uint32_t first = 0; first < d; first += 32) {
        uint32_t width = d - first < 32 ? d - first : 32;
        if (width > 16)
            values_tile(tile, p, ld, values + first, d16, count, heads, 2);
        else
            values_tile(tile, p, ld, values + first, d16, count, heads, 1);
        for (uint32_t h = 0; h < heads; h++)
            memcpy(out + (size_t)h * d + first, tile + (size_t)h * 32, width * sizeof(float));
    }
}

static void values(float *out, const float *p, size_t ld, uint32_t heads, uint32_t d,
                   const float *in, uint32_t d16, uint32_t count)
{
    uint32_t h = 0;
    for (; h + 4 <= heads; h += 4)
        values_heads(out + (size_t)h * d, p + h * ld, ld, d, in, d16, count, 4);
    for (; h + 2 <= heads; h += 2)
        values_heads(out + (size_t)h * d, p + h * ld, ld, d, in, d16, count, 2);
    for (; h < heads; h++)
        values_heads(out + (size_t)h * d, p + h * ld, ld, d, in, d16, count, 1);
}

const struct lm_matvec_set SET = {SET_NAME, f32, bf16, int8, int4, quantise, scores, values};
