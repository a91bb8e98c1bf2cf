/* Weights into the decode layout (matvec_int.h has the picture) and back. */
#include "lm/kernel/matvec_int.h"

#include "lm/file/file_int.h"

#include <string.h>

_Static_assert(LM_PACK_GROUP == LM_QUANT_GROUP, "files and kernels share the group");

#define SCALE_BYTES (LM_PACK_ROWS * sizeof(float))

static uint32_t groups_of(uint32_t k)
{
    return (k + LM_PACK_GROUP - 1) / LM_PACK_GROUP;
}

static size_t group_bytes(enum lm_dtype dtype)
{
    return SCALE_BYTES + (dtype == LM_INT8 ? 1024 : 512);
}

static size_t block_bytes(uint32_t k, enum lm_dtype dtype)
{
    switch (dtype) {
    case LM_F32:
        return (size_t)k * SCALE_BYTES;
    case LM_BF16:
        return (size_t)((k + 1) / 2) * SCALE_BYTES;
    case LM_INT8:
    case LM_INT4:
    default:
        return groups_of(k) * group_bytes(dtype);
    }
}

size_t lm_packed_data_bytes(uint32_t n, uint32_t k, enum lm_dtype dtype)
{
    return (size_t)((n + LM_PACK_ROWS - 1) / LM_PACK_ROWS) * block_bytes(k, dtype);
}

/* Zero as a quantised weight is its offset; scales of zero make a row of nothing of any bytes. */
void lm_packed_lay(struct lm_packed *packed, uint32_t n, uint32_t k, enum lm_dtype dtype,
                   void *memory)
{
    ASSERT(((uintptr_t)memory & 63) == 0 && n > 0 && k > 0);
    *packed = (struct lm_packed){.dtype = dtype,
                                 .n = n,
                                 .k = k,
                                 .blocks = (n + LM_PACK_ROWS - 1) / LM_PACK_ROWS,
                                 .groups = dtype == LM_INT8 || dtype == LM_INT4 ? groups_of(k) : 0,
                                 .block_bytes = block_bytes(k, dtype),
                                 .data = memory,
                                 .set = lm_matvec_set()};
}

static float bf16_wide(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static uint16_t bf16_near(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    if ((bits & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)((bits >> 16) | 0x40U);
    return (uint16_t)((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

static float f16_wide(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t exponent = (half >> 10) & 31U;
    uint32_t mantissa = half & 1023U;
    uint32_t bits = sign | ((exponent + 112) << 23) | (mantissa << 13);
    float x;
    if (exponent == 31)
        bits = sign | 0x7f800000U | (mantissa << 13);
    if (exponent == 0) {
        x = (float)mantissa * 0x1p-24F;
        return sign != 0 ? -x : x;
    }
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static int nibble(const uint8_t *q, uint32_t column)
{
    return (q[column / 2] >> (column % 2 * 4) & 15) - 8;
}

/* A file's tensors need not be aligned. */
static uint16_t half_at(const void *data, size_t index)
{
    uint16_t half;
    memcpy(&half, (const unsigned char *)data + 2 * index, sizeof(half));
    return half;
}

static float scale_at(const struct lm_source *source, size_t index)
{
    float scale;
    memcpy(&scale, (const unsigned char *)source->scale + 4 * index, sizeof(scale));
    return scale;
}

void lm_source_row(const struct lm_source *source, uint32_t row, float *ret_row)
{
    size_t k = source->k;
    size_t groups = groups_of(source->k);
    const unsigned char *data = source->data;
    switch (source->type) {
    case LM_SOURCE_F32:
        memcpy(ret_row, data + row * k * sizeof(float), k * sizeof(float));
        break;
    case LM_SOURCE_BF16:
        for (size_t i = 0; i < k; i++)
            ret_row[i] = bf16_wide(half_at(data, row * k + i));
        break;
    case LM_SOURCE_F16:
        for (size_t i = 0; i < k; i++)
            ret_row[i] = f16_wide(half_at(data, row * k + i));
        break;
    case LM_SOURCE_Q8:
        for (size_t i = 0; i < k; i++)
            ret_row[i] = (float)(int8_t)data[row * k + i] *
                         scale_at(source, row * groups + i / LM_PACK_GROUP);
        break;
    case LM_SOURCE_Q4:
    default:
        for (size_t i = 0; i < k; i++)
            ret_row[i] = (float)nibble(data + row * groups * 32, (uint32_t)i) *
                         scale_at(source, row * groups + i / LM_PACK_GROUP);
        break;
    }
}

static void set_f32(struct lm_packed *packed, uint32_t row, const float *values)
{
    float *at = (float *)(void *)(packed->data + row / LM_PACK_ROWS * packed->block_bytes) +
                row % LM_PACK_ROWS;
    for (uint32_t i = 0; i < packed->k; i++)
        at[(size_t)i * LM_PACK_ROWS] = values[i];
}

static void set_bf16(struct lm_packed *packed, uint32_t row, const float *values)
{
    uint16_t *at = (uint16_t *)(void *)(packed->data + row / LM_PACK_ROWS * packed->block_bytes) +
                   (size_t)row % LM_PACK_ROWS * 2;
    for (uint32_t i = 0; i < packed->k; i++)
        at[(size_t)(i / 2) * LM_PACK_ROWS * 2 + i % 2] = bf16_near(values[i]);
}

static unsigned char *group_at(const struct lm_packed *packed, uint32_t row, uint32_t group)
{
    return packed->data + row / LM_PACK_ROWS * packed->block_bytes +
           group * group_bytes(packed->dtype);
}

static void set_scale(struct lm_packed *packed, uint32_t row, uint32_t group, float scale)
{
    memcpy(group_at(packed, row, group) + row % LM_PACK_ROWS * sizeof(float), &scale,
           sizeof(scale));
}

/* `q`: 64 values of one group. */
static void set_group8(struct lm_packed *packed, uint32_t row, uint32_t group, const int8_t *q)
{
    unsigned char *at = group_at(packed, row, group) + SCALE_BYTES + (size_t)row % LM_PACK_ROWS * 4;
    for (uint32_t i = 0; i < LM_PACK_GROUP; i += 4) {
        uint32_t four;
        memcpy(&four, q + i, sizeof(four));
        four ^= 0x80808080U; /* + 128, each byte */
        memcpy(at + (size_t)i * 16, &four, sizeof(four));
    }
}

/* `q`: 32 bytes as lm_quant4 makes them. */
static void set_group4(struct lm_packed *packed, uint32_t row, uint32_t group, const uint8_t *q)
{
    unsigned char *at = group_at(packed, row, group) + SCALE_BYTES + (size_t)row % LM_PACK_ROWS * 4;
    for (uint32_t p = 0; p < 8; p++, q += 4, at += 64) {
        at[0] = (unsigned char)((q[0] & 15) | (q[2] & 15) << 4);
        at[1] = (unsigned char)(q[0] >> 4 | (q[2] & 0xf0));
        at[2] = (unsigned char)((q[1] & 15) | (q[3] & 15) << 4);
        at[3] = (unsigned char)(q[1] >> 4 | (q[3] & 0xf0));
    }
}

static void set_int8(struct lm_packed *packed, uint32_t row, const struct lm_source *source,
                     uint32_t from, float *scratch)
{
    int8_t q[LM_PACK_GROUP] = {0};
    uint32_t k = packed->k;
    bool ready = source->type == LM_SOURCE_Q8 || source->type == LM_SOURCE_Q4;
    if (!ready)
        lm_source_row(source, from, scratch);
    for (uint32_t group = 0; group < packed->groups; group++) {
        uint32_t first = group * LM_PACK_GROUP;
        uint32_t count = k - first < LM_PACK_GROUP ? k - first : LM_PACK_GROUP;
        float scale = ready ? scale_at(source, (size_t)from * packed->groups + group) : 0;
        memset(q, 0, sizeof(q));
        if (source->type == LM_SOURCE_Q8)
            memcpy(q, (const int8_t *)source->data + (size_t)from * k + first, count);
        else if (ready)
            for (uint32_t i = 0; i < count; i++)
                q[i] = (int8_t)nibble(
                    (const uint8_t *)source->data + (size_t)from * packed->groups * 32, first + i);
        else
            lm_quant8(scratch + first, 1, count, q, &scale);
        set_group8(packed, row, group, q);
        set_scale(packed, row, group, scale);
    }
}

static void set_int4(struct lm_packed *packed, uint32_t row, const struct lm_source *source,
                     uint32_t from, float *scratch)
{
    uint32_t k = packed->k;
    if (source->type != LM_SOURCE_Q4)
        lm_source_row(source, from, scratch);
    for (uint32_t group = 0; group < packed->groups; group++) {
        uint32_t first = group * LM_PACK_GROUP;
        uint32_t count = k - first < LM_PACK_GROUP ? k - first : LM_PACK_GROUP;
        size_t at = (size_t)from * packed->groups + group;
        uint8_t q[LM_PACK_GROUP / 2];
        float scale;
        if (source->type == LM_SOURCE_Q4) {
            memcpy(q, (const uint8_t *)source->data + at * 32, sizeof(q));
            scale = scale_at(source, at);
        } else {
            memset(q, 0x88, sizeof(q));
            lm_quant4(scratch + first, 1, count, q, &scale);
        }
        set_group4(packed, row, group, q);
        set_scale(packed, row, group, scale);
    }
}

void lm_packed_set(struct lm_packed *packed, uint32_t row, const struct lm_source *source,
                   uint32_t from, float *scratch)
{
    ASSERT(row < packed->n && from < source->n && source->k == packed->k);
    switch (packed->dtype) {
    case LM_F32:
        lm_source_row(source, from, scratch);
        set_f32(packed, row, scratch);
        break;
    case LM_BF16:
        lm_source_row(source, from, scratch);
        set_bf16(packed, row, scratch);
        break;
    case LM_INT8:
        set_int8(packed, row, source, from, scratch);
        break;
    case LM_INT4:
    default:
        set_int4(packed, row, source, from, scratch);
        break;
    }
}

static void row_of_groups(const struct lm_packed *packed, uint32_t row, float *ret_row)
{
    for (uint32_t i = 0; i < packed->k; i++) {
        const unsigned char *group = group_at(packed, row, i / LM_PACK_GROUP);
        const unsigned char *at = group + SCALE_BYTES + (size_t)row % LM_PACK_ROWS * 4;
        uint32_t in = i % LM_PACK_GROUP;
        float scale;
        memcpy(&scale, group + row % LM_PACK_ROWS * sizeof(float), sizeof(scale));
        int q = packed->dtype == LM_INT8 ? at[in / 4 * 64 + in % 4] - 128
                                         : (at[in / 8 * 64 + in % 4] >> (in / 4 % 2 * 4) & 15) - 8;
        ret_row[i] = (float)q * scale;
    }
}

void lm_packed_row(const struct lm_packed *packed, uint32_t row, float *ret_row)
{
    const unsigned char *block = packed->data + row / LM_PACK_ROWS * packed->block_bytes;
    uint32_t lane = row % LM_PACK_ROWS;
    if (packed->dtype == LM_F32) {
        for (uint32_t i = 0; i < packed->k; i++)
            ret_row[i] = ((const float *)(const void *)block)[(size_t)i * LM_PACK_ROWS + lane];
    } else if (packed->dtype == LM_BF16) {
        const uint16_t *at = (const uint16_t *)(const void *)block + (size_t)lane * 2;
        for (uint32_t i = 0; i < packed->k; i++)
            ret_row[i] = bf16_wide(at[(size_t)(i / 2) * LM_PACK_ROWS * 2 + i % 2]);
    } else {
        row_of_groups(packed, row, ret_row);
    }
}

/* ---- one matrix on its own ---- */

static enum err pack_source(const struct lm_source *source, enum lm_dtype dtype,
                            struct lm_packed **ret_packed)
{
    size_t bytes = lm_packed_data_bytes(source->n, source->k, dtype);
    enum err err = ERR_NOMEM;
    float *scratch = NULL;
    struct lm_packed *packed = mem_zalloc(sizeof(*packed));
    void *memory = mem_zalloc(bytes + 64);
    if (packed == NULL || memory == NULL)
        goto out;
    scratch = mem_alloc((source->k + LM_PACK_GROUP) * sizeof(float));
    if (scratch == NULL)
        goto out;
    lm_packed_lay(packed, source->n, source->k, dtype,
                  (unsigned char *)memory + (64 - ((uintptr_t)memory & 63)) % 64);
    for (uint32_t row = 0; row < source->n; row++)
        lm_packed_set(packed, row, source, row, scratch);
    packed->owned = memory;
    memory = NULL;
    *ret_packed = packed;
    packed = NULL;
    err = ERR_OK;
out:
    mem_free(scratch);
    mem_free(memory);
    mem_free(packed);
    return err;
}

enum err lm_pack_f32(const float *w, uint32_t n, uint32_t k, enum lm_dtype dtype,
                     struct lm_packed **ret_packed)
{
    return pack_source(&(struct lm_source){.type = LM_SOURCE_F32, .data = w, .n = n, .k = k}, dtype,
                       ret_packed);
}

enum err lm_pack_q8(const int8_t *q, const float *scale, uint32_t n, uint32_t k, uint32_t group,
                    struct lm_packed **ret_packed)
{
    ASSERT(group == LM_PACK_GROUP);
    return pack_source(
        &(struct lm_source){.type = LM_SOURCE_Q8, .data = q, .scale = scale, .n = n, .k = k},
        LM_INT8, ret_packed);
}

enum err lm_pack_q4(const uint8_t *q, const float *scale, uint32_t n, uint32_t k,
                    struct lm_packed **ret_packed)
{
    return pack_source(
        &(struct lm_source){.type = LM_SOURCE_Q4, .data = q, .scale = scale, .n = n, .k = k},
        LM_INT4, ret_packed);
}

void lm_packed_destroy(struct lm_packed *packed)
{
    if (packed == NULL)
        return;
    mem_free(packed->owned);
    mem_free(packed);
}

uint64_t lm_packed_bytes(const struct lm_packed *packed)
{
    return packed->blocks * packed->block_bytes;
}
