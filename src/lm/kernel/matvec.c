/* A packed matrix times few vectors: the plain kernels, which are the reference, and the cutting of
 * work into blocks. */
#include "lm/kernel/matvec_int.h"

#include <math.h>
#include <string.h>

#define ROWS LM_PACK_ROWS

/* ---- plain: one row of X at a time, 16 sums side by side ---- */

static void block_f32(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                      uint32_t row, uint32_t t, float *y, size_t ldy)
{
    const float *data = (const float *)(const void *)(w->data + block * w->block_bytes);
    for (uint32_t r = 0; r < t; r++) {
        const float *in = x->x + (size_t)(row + r) * x->ldx;
        float sum[ROWS] = {0};
        for (uint32_t i = 0; i < w->k; i++)
            for (uint32_t lane = 0; lane < ROWS; lane++)
                sum[lane] += data[(size_t)i * ROWS + lane] * in[i];
        memcpy(y + r * ldy, sum, sizeof(sum));
    }
}

static float wide(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void block_bf16(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                       uint32_t row, uint32_t t, float *y, size_t ldy)
{
    const uint16_t *data = (const uint16_t *)(const void *)(w->data + block * w->block_bytes);
    for (uint32_t r = 0; r < t; r++) {
        const float *in = x->x + (size_t)(row + r) * x->ldx;
        float sum[ROWS] = {0};
        for (uint32_t i = 0; i < w->k; i++)
            for (uint32_t lane = 0; lane < ROWS; lane++)
                sum[lane] += wide(data[((size_t)(i / 2) * ROWS + lane) * 2 + i % 2]) * in[i];
        memcpy(y + r * ldy, sum, sizeof(sum));
    }
}

static void add_group(float *sum, const int32_t *dot, const unsigned char *scale, float x_scale)
{
    for (uint32_t lane = 0; lane < ROWS; lane++) {
        float w_scale;
        memcpy(&w_scale, scale + lane * sizeof(float), sizeof(w_scale));
        sum[lane] += (float)dot[lane] * (w_scale * x_scale);
    }
}

static void block_int8(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                       uint32_t row, uint32_t t, float *y, size_t ldy)
{
    for (uint32_t r = 0; r < t; r++) {
        const unsigned char *at = w->data + block * w->block_bytes;
        float sum[ROWS] = {0};
        for (uint32_t g = 0; g < w->groups; g++, at += 64 + 1024) {
            size_t xg = (size_t)(row + r) * x->groups + g;
            int32_t dot[ROWS];
            for (uint32_t lane = 0; lane < ROWS; lane++) {
                dot[lane] = -128 * x->sum[xg];
                for (uint32_t i = 0; i < 64; i++)
                    dot[lane] += at[64 + i / 4 * 64 + lane * 4 + i % 4] * x->q[xg * 64 + i];
            }
            add_group(sum, dot, at, x->scale[xg]);
        }
        memcpy(y + r * ldy, sum, sizeof(sum));
    }
}

static void block_int4(const struct lm_packed *w, uint32_t block, const struct lm_rows *x,
                       uint32_t row, uint32_t t, float *y, size_t ldy)
{
    for (uint32_t r = 0; r < t; r++) {
        const unsigned char *at = w->data + block * w->block_bytes;
        float sum[ROWS] = {0};
        for (uint32_t g = 0; g < w->groups; g++, at += 64 + 512) {
            size_t xg = (size_t)(row + r) * x->groups + g;
            int32_t dot[ROWS];
            for (uint32_t lane = 0; lane < ROWS; lane++) {
                dot[lane] = -8 * x->sum[xg];
                for (uint32_t i = 0; i < 64; i++)
                    dot[lane] += (at[64 + i / 8 * 64 + lane * 4 + i % 4] >> (i / 4 % 2 * 4) & 15) *
                                 x->q[xg * 64 + i];
            }
            add_group(sum, dot, at, x->scale[xg]);
        }
        memcpy(y + r * ldy, sum, sizeof(sum));
    }
}

/* Not a number stays visible: its group's scale becomes NaN, and so does every sum over it. */
static void plain_quantise(const float *x, uint32_t k, int8_t *q, float *scale, int32_t *sum)
{
    for (uint32_t first = 0; first < k; first += LM_PACK_GROUP) {
        uint32_t count = k - first < LM_PACK_GROUP ? k - first : LM_PACK_GROUP;
        uint32_t g = first / LM_PACK_GROUP;
        float most = 0;
        float poison = 0;
        for (uint32_t i = 0; i < count; i++) {
            float size = fabsf(x[first + i]);
            most = size > most ? size : most;
            poison += x[first + i] * 0.0F;
        }
        bool usable = most > LM_QUIET && poison == 0;
        float inverse = usable ? 127.0F / most : 0;
        scale[g] = usable ? most / 127.0F : poison;
        sum[g] = 0;
        for (uint32_t i = 0; i < LM_PACK_GROUP; i++) {
            float value = i < count && usable ? x[first + i] * inverse : 0;
            q[first + i] = (int8_t)lrintf(value);
            sum[g] += q[first + i];
        }
    }
}

#define PLAIN(NAME)                                                                                \
    static void plain_##NAME(const struct lm_packed *w, uint32_t from, uint32_t to,                \
                             const struct lm_rows *x, uint32_t row, uint32_t t, float *y,          \
                             size_t ldy)                                                           \
    {                                                                                              \
        for (uint32_t block = from; block < to; block++)                                           \
            block_##NAME(w, block, x, row, t, y + (size_t)(block - from) * ROWS, ldy);             \
    }
PLAIN(f32)
PLAIN(bf16)
PLAIN(int8)
PLAIN(int4)

static void plain_scores(float *scores, size_t ld, const float *q, uint32_t heads, uint32_t d,
                         const float *keys, uint32_t count)
{
    for (uint32_t head = 0; head < heads; head++) {
        for (uint32_t at = 0; at < count; at += 16) {
            float sum[16] = {0};
            for (uint32_t i = 0; i < d; i++)
                for (uint32_t lane = 0; lane < 16; lane++)
                    sum[lane] += q[(size_t)head * d + i] * keys[(size_t)at * d + i * 16 + lane];
            memcpy(scores + head * ld + at, sum, sizeof(sum));
        }
    }
}

static void plain_values(float *out, const float *p, size_t ld, uint32_t heads, uint32_t d,
                         const float *values, uint32_t d16, uint32_t count)
{
    for (uint32_t head = 0; head < heads; head++) {
        float *to = out + (size_t)head * d;
        memset(to, 0, d * sizeof(float));
        for (uint32_t at = 0; at < count; at++)
            for (uint32_t i = 0; i < d; i++)
                to[i] += p[head * ld + at] * values[(size_t)at * d16 + i];
    }
}

const struct lm_matvec_set lm_matvec_plain = {"plain",      plain_f32,   plain_bf16,
                                              plain_int8,   plain_int4,  plain_quantise,
                                              plain_scores, plain_values};

/* ---- X, and Y by blocks ---- */

static size_t up64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static bool is_int(enum lm_dtype dtype)
{
    return dtype == LM_INT8 || dtype == LM_INT4;
}

size_t lm_rows_bytes(enum lm_dtype dtype, uint32_t t, uint32_t k)
{
    size_t groups = (k + LM_PACK_GROUP - 1) / LM_PACK_GROUP;
    if (!is_int(dtype))
        return 0;
    return t * groups * LM_PACK_GROUP + 2 * up64(t * groups * sizeof(float));
}

void lm_rows_lay(struct lm_rows *rows, enum lm_dtype dtype, uint32_t t, uint32_t k, float *x,
                 uint32_t ldx, void *memory)
{
    unsigned char *at = memory;
    *rows = (struct lm_rows){.x = x, .ldx = ldx, .k = k};
    if (!is_int(dtype))
        return;
    rows->groups = (k + LM_PACK_GROUP - 1) / LM_PACK_GROUP;
    size_t groups = (size_t)t * rows->groups;
    rows->q = (int8_t *)at;
    rows->scale = (float *)(void *)(at + groups * LM_PACK_GROUP);
    rows->sum = (int32_t *)(void *)(at + groups * LM_PACK_GROUP + up64(groups * sizeof(float)));
}

void lm_rows_fill(const struct lm_rows *rows, enum lm_dtype dtype, uint32_t from, uint32_t to)
{
    if (!is_int(dtype))
        return;
    for (uint32_t row = from; row < to; row++) {
        size_t group = (size_t)row * rows->groups;
        lm_matvec_set()->quantise(rows->x + (size_t)row * rows->ldx, rows->k,
                                  rows->q + group * LM_PACK_GROUP, rows->scale + group,
                                  rows->sum + group);
    }
}

void lm_rows_copy(const struct lm_rows *rows, uint32_t to, const struct lm_rows *other,
                  uint32_t from)
{
    if (rows->groups == 0) {
        memcpy(rows->x + (size_t)to * rows->ldx, other->x + (size_t)from * other->ldx,
               rows->k * sizeof(float));
        return;
    }
    size_t groups = rows->groups;
    memcpy(rows->q + to * groups * LM_PACK_GROUP, other->q + from * groups * LM_PACK_GROUP,
           groups * LM_PACK_GROUP);
    memcpy(rows->scale + to * groups, other->scale + from * groups, groups * sizeof(float));
    memcpy(rows->sum + to * groups, other->sum + from * groups, groups * sizeof(int32_t));
}

static lm_block_fn *kernel_of(const struct lm_packed *w)
{
    switch (w->dtype) {
    case LM_F32:
        return w->set->f32;
    case LM_BF16:
        return w->set->bf16;
    case LM_INT8:
        return w->set->int8;
    case LM_INT4:
    default:
        return w->set->int4;
    }
}

void lm_matvec_part(const struct lm_packed *w, const struct lm_rows *x, uint32_t row, uint32_t t,
                    uint32_t from, uint32_t to, float *y, size_t ldy)
{
    kernel_of(w)(w, from, to, x, row, t, y, ldy);
}

void lm_matvec_blocks(const struct lm_packed *w, const struct lm_rows *x, uint32_t row, uint32_t t,
                      uint32_t from, uint32_t to, float *y, size_t ldy)
{
    kernel_of(w)(w, from, to, x, row, t, y + (size_t)from * ROWS, ldy);
}

/* ---- the whole product ---- */

struct product {
    const struct lm_packed *w;
    struct lm_rows rows;
    uint32_t t, tasks;
    float *y;
    uint32_t ldy;
};

size_t lm_matvec_scratch(const struct lm_packed *w, uint32_t t)
{
    return lm_rows_bytes(w->dtype, t, w->k) + 64;
}

/* The last block may be wider than Y's row: through a small buffer. */
static void product_last(const struct product *p)
{
    float tile[8 * ROWS];
    uint32_t block = p->w->blocks - 1;
    uint32_t width = p->w->n - block * ROWS;
    for (uint32_t row = 0; row < p->t; row += 8) {
        uint32_t t = p->t - row < 8 ? p->t - row : 8;
        lm_matvec_part(p->w, &p->rows, row, t, block, block + 1, tile, ROWS);
        for (uint32_t r = 0; r < t; r++)
            memcpy(p->y + (size_t)(row + r) * p->ldy + (size_t)block * ROWS, tile + r * ROWS,
                   width * sizeof(float));
    }
}

static void product_task(void *cookie, uint32_t index, uint32_t worker)
{
    const struct product *p = cookie;
    uint32_t from = (uint32_t)((uint64_t)p->w->blocks * index / p->tasks);
    uint32_t to = (uint32_t)((uint64_t)p->w->blocks * (index + 1) / p->tasks);
    bool odd = to == p->w->blocks && p->w->n % ROWS != 0;
    (void)worker;
    lm_matvec_blocks(p->w, &p->rows, 0, p->t, from, odd ? to - 1 : to, p->y, p->ldy);
    if (odd)
        product_last(p);
}

void lm_matvec(struct lm_pool *pool, const struct lm_packed *w, const float *x, uint32_t ldx,
               uint32_t t, float *y, uint32_t ldy, void *scratch)
{
    struct product p = {.w = w, .t = t, .y = y, .ldy = ldy, .tasks = w->blocks < 16 ? 1 : 16};
    unsigned char *memory = (unsigned char *)scratch + (64 - ((uintptr_t)scratch & 63)) % 64;
    lm_rows_lay(&p.rows, w->dtype, t, w->k, (float *)(uintptr_t)x, ldx, memory);
    lm_rows_fill(&p.rows, w->dtype, 0, t);
    if (pool == NULL) {
        for (uint32_t i = 0; i < p.tasks; i++)
            product_task(&p, i, 0);
        return;
    }
    lm_pool_run(pool, p.tasks, product_task, &p);
}
