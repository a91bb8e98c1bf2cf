/* Eight and four bits a weight, one scale for 64 columns of a row. */
#include "lm/file/file_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint32_t lm_quant_groups(uint32_t k)
{
    return (k + LM_QUANT_GROUP - 1) / LM_QUANT_GROUP;
}

bool lm_quant_applies(const char *name)
{
    static const struct str ends[] = {STR_INIT(".wq.weight"), STR_INIT(".wk.weight"),
                                      STR_INIT(".wv.weight"), STR_INIT(".wo.weight"),
                                      STR_INIT(".w1.weight"), STR_INIT(".w2.weight")};
    struct str whole = str_from(name);
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (whole.len > ends[i].len &&
            str_equal(str_slice(whole, whole.len - ends[i].len, whole.len), ends[i]))
            return true;
    }
    return str_equal(whole, STR("tok.weight"));
}

/* Columns of group `g`. */
static uint32_t width_of(uint32_t k, uint32_t g)
{
    uint32_t left = k - g * LM_QUANT_GROUP;
    return left < LM_QUANT_GROUP ? left : LM_QUANT_GROUP;
}

static float largest(const float *w, uint32_t count)
{
    float most = 0;
    for (uint32_t i = 0; i < count; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    return most;
}

/* Rounded; what is not a number becomes the most. */
static int between(float x, int least, int most)
{
    float whole = rintf(x);
    whole = whole < (float)most ? whole : (float)most;
    return whole > (float)least ? (int)whole : least;
}

void lm_quant8(const float *w, uint32_t n, uint32_t k, int8_t *q, float *scale)
{
    uint32_t groups = lm_quant_groups(k);
    for (size_t row = 0; row < n; row++) {
        for (uint32_t g = 0; g < groups; g++) {
            const float *from = w + row * k + (size_t)g * LM_QUANT_GROUP;
            int8_t *to = q + row * k + (size_t)g * LM_QUANT_GROUP;
            uint32_t width = width_of(k, g);
            float step = largest(from, width) / 127;
            float inverse = step > 0 && isfinite(1 / step) ? 1 / step : 0;
            scale[row * groups + g] = inverse > 0 ? step : 0;
            for (uint32_t i = 0; i < width; i++)
                to[i] = (int8_t)between(from[i] * inverse, -127, 127);
        }
    }
}

/* ---- four bits ---- */

struct trial {
    float scale, error;
};

/* The squared error with this step; then with the scale that suits the numbers so chosen best. */
static struct trial try_step(const float w[LM_QUANT_GROUP], float step)
{
    float inverse = 1 / step, dot = 0, square = 0, all = 0;
    for (uint32_t i = 0; i < LM_QUANT_GROUP; i++) {
        float x = w[i] * inverse;
        x = x > 7 ? 7 : x;
        x = x < -8 ? -8 : x;
        x = x + 12582912.0F - 12582912.0F; /* rounded: 1.5 * 2^23 leaves no room for fractions */
        dot += w[i] * x;
        square += x * x;
        all += w[i] * w[i];
    }
    if (!(square > 0))
        return (struct trial){0, all};
    return (struct trial){dot / square, all - dot * dot / square};
}

/* The largest number at 5.5 to 9.5 steps on either side: where it is beyond the last one it is
 * clipped, which often costs less than coarse steps for all the others. */
static float best_scale(const float w[LM_QUANT_GROUP])
{
    float most = largest(w, LM_QUANT_GROUP);
    struct trial best = {0, INFINITY};
    if (!(most > 1e-30F))
        return 0;
    for (int quarters = 22; quarters <= 38; quarters++) {
        for (int side = -1; side <= 1; side += 2) {
            struct trial trial = try_step(w, (float)side * most * 4 / (float)quarters);
            if (trial.error < best.error && fabsf(trial.scale) > 1e-30F)
                best = trial;
        }
    }
    return best.scale;
}

void lm_quant4(const float *w, uint32_t n, uint32_t k, uint8_t *q, float *scale)
{
    uint32_t groups = lm_quant_groups(k);
    for (size_t row = 0; row < n; row++) {
        for (uint32_t g = 0; g < groups; g++) {
            float group[LM_QUANT_GROUP] = {0};
            uint8_t *to = q + (row * groups + g) * (LM_QUANT_GROUP / 2);
            memcpy(group, w + row * k + (size_t)g * LM_QUANT_GROUP,
                   width_of(k, g) * sizeof(group[0]));
            float step = best_scale(group);
            scale[row * groups + g] = step;
            for (uint32_t i = 0; i < LM_QUANT_GROUP; i += 2) {
                int low = step == 0 ? 0 : between(group[i] / step, -8, 7);
                int high = step == 0 ? 0 : between(group[i + 1] / step, -8, 7);
                to[i / 2] = (uint8_t)(low + 8 + (high + 8) * 16);
            }
        }
    }
}

/* ---- back to floats ---- */

static void widen8(const struct lm_safetensor *q, const char *scale, uint32_t k, float *to)
{
    const int8_t *from = q->data;
    uint32_t groups = lm_quant_groups(k);
    for (uint64_t row = 0; row < q->shape[0]; row++) {
        for (uint32_t i = 0; i < k; i++) {
            float step;
            memcpy(&step, scale + (row * groups + i / LM_QUANT_GROUP) * sizeof(step), sizeof(step));
            to[row * k + i] = step * (float)from[row * k + i];
        }
    }
}

static void widen4(const struct lm_safetensor *q, const char *scale, uint32_t k, float *to)
{
    const uint8_t *from = q->data;
    uint32_t groups = lm_quant_groups(k);
    for (uint64_t row = 0; row < q->shape[0]; row++) {
        for (uint32_t i = 0; i < k; i++) {
            float step;
            uint8_t pair = from[row * groups * (LM_QUANT_GROUP / 2) + i / 2];
            memcpy(&step, scale + (row * groups + i / LM_QUANT_GROUP) * sizeof(step), sizeof(step));
            to[row * k + i] = step * (float)((i % 2 == 0 ? pair & 15 : pair >> 4) - 8);
        }
    }
}

static bool find_part(const struct lm_safetensors *file, const char *name, const char *end,
                      struct lm_safetensor *ret_tensor)
{
    char whole[96];
    (void)snprintf(whole, sizeof(whole), "%s%s", name, end);
    return lm_safetensors_find(file, str_from(whole), ret_tensor);
}

static bool has_shape(const struct lm_safetensor *tensor, enum lm_stored type, uint64_t rows,
                      uint64_t columns)
{
    return tensor->type == type && tensor->rank == 2 && tensor->shape[0] == rows &&
           tensor->shape[1] == columns;
}

enum err lm_quant_widen(const struct lm_config *config, const struct lm_safetensors *file,
                        const struct lm_tensor *want, struct lm_fault *fault, float *to)
{
    struct lm_safetensor q, scale;
    uint32_t k = want->shape[1];
    uint32_t groups = lm_quant_groups(k);
    bool eight = find_part(file, want->name, ".q8", &q);
    if (!eight && !find_part(file, want->name, ".q4", &q))
        return lm_refuse(fault, "tensor %s: missing", want->name);
    if (!lm_quant_applies(want->name))
        return lm_refuse(fault, "tensor %s: must not be quantised", want->name);
    if (!find_part(file, want->name, ".scale", &scale))
        return lm_refuse(fault, "tensor %s.scale: missing", want->name);
    uint64_t rows = q.rank > 0 ? q.shape[0] : 0;
    if (rows != want->shape[0] && (want->offset != 0 || rows != config->vocab_used))
        return lm_refuse(fault, "tensor %s: %llu rows, not the %u of config.json's model",
                         want->name, (unsigned long long)rows, want->shape[0]);
    if (!has_shape(&q, eight ? LM_STORED_I8 : LM_STORED_U8, rows,
                   eight ? k : groups * (LM_QUANT_GROUP / 2)) ||
        !has_shape(&scale, LM_STORED_F32, rows, groups))
        return lm_refuse(fault, "tensor %s: its quantised parts have other shapes than they must",
                         want->name);
    if (eight)
        widen8(&q, scale.data, k, to);
    else
        widen4(&q, scale.data, k, to);
    memset(to + rows * k, 0, (size_t)(want->count - rows * k) * sizeof(*to));
    return ERR_OK;
}
