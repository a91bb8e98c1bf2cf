/* Which tensors a configuration has, in the order of the reference's state_dict. */
#include "lm/model/model_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The tensors of one layer; dense layers have no router and one "expert" named otherwise. */
enum part { DOM, BLEND, LN1_W, LN1_B, LN2_W, LN2_B, WQ, WK, WV, WO, DOM_W, FIXED_PARTS };

static const char *const part_name[FIXED_PARTS] = {
    "dom",       "blend",     "ln1.weight", "ln1.bias",  "ln2.weight",  "ln2.bias",
    "wq.weight", "wk.weight", "wv.weight",  "wo.weight", "dom_w.weight"};

static void shape_of(const struct lm_config *c, enum part part, uint32_t shape[2])
{
    uint32_t kv = c->kv_heads * (c->hidden / c->heads);
    shape[1] = c->hidden;
    switch (part) {
    case DOM:
    case DOM_W:
        shape[0] = c->domains;
        break;
    case BLEND:
        shape[0] = 1;
        shape[1] = 0;
        break;
    case LN1_W:
    case LN1_B:
    case LN2_W:
    case LN2_B:
        shape[0] = c->hidden;
        shape[1] = 0;
        break;
    case WK:
    case WV:
        shape[0] = kv;
        break;
    case WQ:
    case WO:
    case FIXED_PARTS:
    default:
        shape[0] = c->hidden;
        break;
    }
}

static uint32_t feed_parts(const struct lm_config *c)
{
    return c->experts == 0 ? 2 : 1 + 2 * c->experts;
}

uint32_t lm_tensor_count(const struct lm_config *c)
{
    return 2 + c->layers * (FIXED_PARTS + feed_parts(c)) + 2;
}

/* Tensor `at` of the feed-forward part: w1, w2; or router, then w1, w2 of each expert. */
static void feed_shape(const struct lm_config *c, uint32_t at, uint32_t shape[2])
{
    bool first = c->experts == 0 ? at == 0 : (at - 1) % 2 == 0;
    bool router = c->experts != 0 && at == 0;
    shape[0] = router ? c->experts : first ? 2 * c->ffn : c->hidden;
    shape[1] = router || first ? c->hidden : c->ffn;
}

static void feed_name(const struct lm_config *c, uint32_t layer, uint32_t at,
                      struct lm_tensor *tensor)
{
    char *name = tensor->name;
    size_t bytes = sizeof(tensor->name);
    if (c->experts == 0)
        (void)snprintf(name, bytes, "blocks.%u.ff.%s.weight", layer, at == 0 ? "w1" : "w2");
    else if (at == 0)
        (void)snprintf(name, bytes, "blocks.%u.ff.router.weight", layer);
    else
        (void)snprintf(name, bytes, "blocks.%u.ff.experts.%u.%s.weight", layer, (at - 1) / 2,
                       (at - 1) % 2 == 0 ? "w1" : "w2");
}

/* All but name and offset. */
static bool tensor_shape(const struct lm_config *c, uint32_t index, struct lm_tensor *tensor)
{
    uint32_t per_layer = FIXED_PARTS + feed_parts(c);
    uint32_t count = lm_tensor_count(c);
    *tensor = (struct lm_tensor){0};
    if (index >= count)
        return false;
    if (index < 2) {
        tensor->shape[0] = index == 0 ? c->vocab : c->context;
        tensor->shape[1] = c->hidden;
    } else if (index >= count - 2) {
        tensor->shape[0] = c->hidden;
    } else {
        uint32_t at = (index - 2) % per_layer;
        if (at < FIXED_PARTS)
            shape_of(c, (enum part)at, tensor->shape);
        else
            feed_shape(c, at - FIXED_PARTS, tensor->shape);
    }
    tensor->decays = tensor->shape[1] != 0;
    tensor->count = (uint64_t)tensor->shape[0] * (tensor->decays ? tensor->shape[1] : 1);
    return true;
}

static void tensor_name(const struct lm_config *c, uint32_t index, struct lm_tensor *tensor)
{
    static const char *const ends[] = {"tok.weight", "pos.weight", "norm.weight", "norm.bias"};
    uint32_t per_layer = FIXED_PARTS + feed_parts(c);
    uint32_t count = lm_tensor_count(c);
    if (index < 2 || index >= count - 2) {
        (void)snprintf(tensor->name, sizeof(tensor->name), "%s",
                       ends[index < 2 ? index : index - (count - 2) + 2]);
        return;
    }
    uint32_t layer = (index - 2) / per_layer;
    uint32_t at = (index - 2) % per_layer;
    if (at < FIXED_PARTS)
        (void)snprintf(tensor->name, sizeof(tensor->name), "blocks.%u.%s", layer, part_name[at]);
    else
        feed_name(c, layer, at - FIXED_PARTS, tensor);
}

bool lm_tensor_at(const struct lm_config *c, uint32_t index, struct lm_tensor *ret_tensor)
{
    struct lm_tensor tensor;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < index; i++) {
        if (!tensor_shape(c, i, &tensor))
            return false;
        offset += tensor.count;
    }
    if (!tensor_shape(c, index, ret_tensor))
        return false;
    tensor_name(c, index, ret_tensor);
    ret_tensor->offset = offset;
    return true;
}

uint64_t lm_floats(const struct lm_config *c)
{
    struct lm_tensor tensor;
    uint64_t floats = 0;
    for (uint32_t i = 0; tensor_shape(c, i, &tensor); i++)
        floats += tensor.count;
    return floats;
}

struct lm_count lm_config_count(const struct lm_config *c)
{
    struct lm_count count = {.total = lm_floats(c)};
    uint64_t idle = c->experts == 0 ? 0 : c->experts - c->top_k;
    count.active = count.total - c->layers * idle * 3 * c->hidden * c->ffn;
    return count;
}

static void lay_layer(const struct lm_config *c, float **at, struct lm_layer_weights *w)
{
    float **fixed[FIXED_PARTS] = {&w->dom, &w->blend, &w->ln1_w, &w->ln1_b, &w->ln2_w, &w->ln2_b,
                                  &w->wq,  &w->wk,    &w->wv,    &w->wo,    &w->dom_w};
    for (uint32_t part = 0; part < FIXED_PARTS; part++) {
        uint32_t shape[2];
        shape_of(c, (enum part)part, shape);
        *fixed[part] = *at;
        *at += (size_t)shape[0] * (shape[1] == 0 ? 1 : shape[1]);
    }
    w->router = NULL;
    if (c->experts != 0) {
        w->router = *at;
        *at += (size_t)c->experts * c->hidden;
    }
    for (uint32_t e = 0; e < (c->experts == 0 ? 1 : c->experts); e++) {
        w->w1[e] = *at;
        *at += (size_t)2 * c->ffn * c->hidden;
        w->w2[e] = *at;
        *at += (size_t)c->hidden * c->ffn;
    }
}

void lm_weights_lay(const struct lm_config *c, float *block, struct lm_weights *ret_weights)
{
    *ret_weights = (struct lm_weights){.config = *c, .block = block};
    float *at = block;
    ret_weights->tok = at;
    at += (size_t)c->vocab * c->hidden;
    ret_weights->pos = at;
    at += (size_t)c->context * c->hidden;
    for (uint32_t layer = 0; layer < c->layers; layer++)
        lay_layer(c, &at, &ret_weights->layer[layer]);
    ret_weights->norm_w = at;
    ret_weights->norm_b = at + c->hidden;
    ASSERT((uint64_t)(at + (size_t)2 * c->hidden - block) == lm_floats(c));
}

static float normal(struct rng *rng)
{
    double radius = sqrt(-2 * log(1 - rng_unit(rng)));
    return (float)(radius * cos(6.283185307179586 * rng_unit(rng)));
}

static bool ends_with(const char *name, const char *end)
{
    size_t name_len = strlen(name);
    size_t end_len = strlen(end);
    return name_len >= end_len && strcmp(name + name_len - end_len, end) == 0;
}

void lm_weights_random(struct lm_weights *weights, uint64_t seed)
{
    struct rng rng;
    struct lm_tensor tensor;
    rng_init(&rng, seed);
    for (uint32_t i = 0; lm_tensor_at(&weights->config, i, &tensor); i++) {
        float *w = weights->block + tensor.offset;
        bool gain = ends_with(tensor.name, "ln1.weight") || ends_with(tensor.name, "ln2.weight") ||
                    ends_with(tensor.name, "norm.weight");
        float deviation = 0.02F;
        if (ends_with(tensor.name, "wo.weight") || ends_with(tensor.name, "w2.weight"))
            deviation /= sqrtf(2.0F * (float)weights->config.layers);
        for (uint64_t n = 0; n < tensor.count; n++)
            w[n] = tensor.decays ? deviation * normal(&rng) : gain ? 1.0F : 0.0F;
    }
}

void lm_rope_fill(const struct lm_config *c, float *cos_table, float *sin_table)
{
    uint32_t half = c->hidden / c->heads / 2;
    for (uint32_t t = 0; t < c->context; t++) {
        for (uint32_t i = 0; i < half; i++) {
            double angle = t * pow(c->rope_theta, -(double)i / half);
            cos_table[(size_t)t * half + i] = (float)cos(angle);
            sin_table[(size_t)t * half + i] = (float)sin(angle);
        }
    }
}
