/* Building a model: every tensor is found and checked first, then packed into one slab. */
#include "lm/run/run_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (2 * MIB)

static uint32_t up16(uint32_t n)
{
    return (n + 15) & ~15U;
}

static uint32_t experts_of(const struct lm_config *c)
{
    return c->experts == 0 ? 1 : c->experts;
}

/* ---- memory ---- */

/* With `memory` NULL only counts. */
static void lay(struct lm_packed *packed, uint32_t n, uint32_t k, enum lm_dtype dtype,
                unsigned char *memory, size_t *used)
{
    size_t bytes = lm_packed_data_bytes(n, k, dtype);
    if (memory != NULL)
        lm_packed_lay(packed, n, k, dtype, memory + *used);
    *used += (bytes + 63) & ~(size_t)63;
}

static size_t lay_all(struct lm_model *model, unsigned char *memory)
{
    const struct lm_config *c = &model->config;
    enum lm_dtype dtype = model->dtype;
    uint32_t kv = c->kv_heads * (c->hidden / c->heads);
    size_t used = 0;
    lay(&model->tok, c->vocab_used, c->hidden, dtype == LM_INT4 ? LM_INT8 : dtype, memory, &used);
    for (uint32_t i = 0; i < c->layers; i++) {
        struct lm_run_layer *layer = &model->layer[i];
        lay(&layer->qkv, c->hidden + 2 * kv, c->hidden, dtype, memory, &used);
        lay(&layer->wo, c->hidden, c->hidden, dtype, memory, &used);
        for (uint32_t e = 0; e < experts_of(c); e++) {
            lay(&layer->w1[e], 2 * up16(c->ffn), c->hidden, dtype, memory, &used);
            lay(&layer->w2[e], c->hidden, c->ffn, dtype, memory, &used);
        }
    }
    return used;
}

static size_t small_floats(const struct lm_config *c)
{
    size_t h = c->hidden;
    size_t layer = 4 * h + (size_t)2 * c->domains * h + (size_t)c->experts * h;
    size_t tables = (size_t)2 * c->context * (c->hidden / c->heads / 2);
    return (size_t)c->context * h + 2 * h + c->layers * layer + tables;
}

static enum err allocate_rows(struct lm_model *model)
{
    const struct lm_config *c = &model->config;
    size_t feeds = (size_t)2 * c->layers * experts_of(c);
    model->layer = mem_zalloc(c->layers * sizeof(*model->layer));
    model->feed = mem_zalloc(feeds * sizeof(*model->feed));
    if (model->layer == NULL || model->feed == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < c->layers; i++) {
        model->layer[i].w1 = model->feed + (size_t)2 * i * experts_of(c);
        model->layer[i].w2 = model->layer[i].w1 + experts_of(c);
    }
    return ERR_OK;
}

static enum err allocate(struct lm_model *model)
{
    const struct lm_config *c = &model->config;
    size_t bytes = lay_all(model, NULL);
    model->small = mem_alloc(small_floats(c) * sizeof(float));
    if (model->small == NULL)
        return ERR_NOMEM;
    model->slab = mem_zalloc(bytes + HUGE_PAGE);
    if (model->slab == NULL)
        return ERR_NOMEM;
    unsigned char *memory =
        (unsigned char *)model->slab + (HUGE_PAGE - ((uintptr_t)model->slab & (HUGE_PAGE - 1)));
    /* Fewer page walks; a kernel that cannot does without. */
    (void)madvise(memory, bytes & ~(HUGE_PAGE - 1), MADV_HUGEPAGE);
    model->slab_bytes = lay_all(model, memory);
    return ERR_OK;
}

/* ---- filling ---- */

struct fill {
    struct lm_model *model;
    const struct lm_supply *supply;
    struct lm_fault *fault;
    float *small;   /* what is left of model->small */
    float *scratch; /* one row */
    bool check;     /* look only: a wrong file fails before the work begins */
};

static enum err find(struct fill *f, const char *name, uint32_t n, uint32_t k,
                     struct lm_source *source)
{
    return f->supply->find(f->supply->cookie, name, n, k, source, f->fault);
}

/* Small tensors: copied as f32, and looked at, since one bad number there spoils every text. */
static enum err take_small(struct fill *f, const char *name, uint32_t n, uint32_t k,
                           const float **ret_at)
{
    struct lm_source source;
    enum err err = find(f, name, n, k, &source);
    if (err != ERR_OK || f->check)
        return err;
    float *at = f->small;
    uint32_t width = k == 0 ? 1 : k;
    for (uint32_t row = 0; row < n; row++)
        lm_source_row(&source, row, at + (size_t)row * width);
    for (size_t i = 0; i < (size_t)n * width; i++) {
        if (!isfinite(at[i])) {
            (void)snprintf(f->fault->why, sizeof(f->fault->why),
                           "tensor %s holds a number that is not finite", name);
            return ERR_INPUT;
        }
    }
    f->small += (size_t)n * width;
    *ret_at = at;
    return ERR_OK;
}

/* Rows 0..n-1 of the tensor become rows from `to`. */
static enum err take_matrix(struct fill *f, const char *name, uint32_t n, uint32_t k,
                            struct lm_packed *packed, uint32_t to)
{
    struct lm_source source;
    enum err err = find(f, name, n, k, &source);
    if (err != ERR_OK || f->check)
        return err;
    for (uint32_t row = 0; row < n; row++)
        lm_packed_set(packed, to + row, &source, row, f->scratch);
    return ERR_OK;
}

/* w1 of the file has f rows of a, then f rows of the gate; packed they alternate by 16. */
static enum err take_w1(struct fill *f, const char *name, struct lm_packed *packed)
{
    const struct lm_config *c = &f->model->config;
    struct lm_source source;
    enum err err = find(f, name, 2 * c->ffn, c->hidden, &source);
    if (err != ERR_OK || f->check)
        return err;
    for (uint32_t row = 0; row < c->ffn; row++) {
        uint32_t to = row / 16 * 32 + row % 16;
        lm_packed_set(packed, to, &source, row, f->scratch);
        lm_packed_set(packed, to + 16, &source, c->ffn + row, f->scratch);
    }
    return ERR_OK;
}

static enum err take_feed(struct fill *f, uint32_t at)
{
    const struct lm_config *c = &f->model->config;
    struct lm_run_layer *layer = &f->model->layer[at];
    char name[96];
    enum err err = ERR_OK;
    if (c->experts != 0) {
        (void)snprintf(name, sizeof(name), "blocks.%u.ff.router.weight", at);
        err = take_small(f, name, c->experts, c->hidden, &layer->router);
    }
    for (uint32_t e = 0; e < experts_of(c) && err == ERR_OK; e++) {
        char expert[32] = "";
        if (c->experts != 0)
            (void)snprintf(expert, sizeof(expert), "experts.%u.", e);
        (void)snprintf(name, sizeof(name), "blocks.%u.ff.%sw1.weight", at, expert);
        err = take_w1(f, name, &layer->w1[e]);
        if (err != ERR_OK)
            break;
        (void)snprintf(name, sizeof(name), "blocks.%u.ff.%sw2.weight", at, expert);
        err = take_matrix(f, name, c->hidden, c->ffn, &layer->w2[e], 0);
    }
    return err;
}

static enum err take_layer(struct fill *f, uint32_t at)
{
    const struct lm_config *c = &f->model->config;
    struct lm_run_layer *layer = &f->model->layer[at];
    uint32_t h = c->hidden;
    uint32_t kv = c->kv_heads * (h / c->heads);
    const float *blend = NULL;
    const struct {
        const char *name;
        const float **at;
        uint32_t n, k;
    } small[] = {
        {"ln1.weight", &layer->ln1_w, h, 0},
        {"ln1.bias", &layer->ln1_b, h, 0},
        {"ln2.weight", &layer->ln2_w, h, 0},
        {"ln2.bias", &layer->ln2_b, h, 0},
        {"dom", &layer->dom, c->domains, h},
        {"dom_w.weight", &layer->dom_w, c->domains, h},
        {"blend", &blend, 1, 0},
    };
    const struct {
        const char *name;
        struct lm_packed *packed;
        uint32_t n, to;
    } matrices[] = {
        {"wq", &layer->qkv, h, 0},
        {"wk", &layer->qkv, kv, h},
        {"wv", &layer->qkv, kv, h + kv},
        {"wo", &layer->wo, h, 0},
    };
    char name[96];
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(small) && err == ERR_OK; i++) {
        (void)snprintf(name, sizeof(name), "blocks.%u.%s", at, small[i].name);
        err = take_small(f, name, small[i].n, small[i].k, small[i].at);
    }
    for (size_t i = 0; i < ARRAY_COUNT(matrices) && err == ERR_OK; i++) {
        (void)snprintf(name, sizeof(name), "blocks.%u.%s.weight", at, matrices[i].name);
        err = take_matrix(f, name, matrices[i].n, h, matrices[i].packed, matrices[i].to);
    }
    if (err != ERR_OK)
        return err;
    if (blend != NULL) {
        layer->gate = 1.0F / (1.0F + expf(-blend[0]));
        f->small--; /* only the gate is kept */
    }
    return take_feed(f, at);
}

static enum err take_all(struct fill *f)
{
    struct lm_model *model = f->model;
    const struct lm_config *c = &model->config;
    f->small = model->small;
    enum err err = take_matrix(f, "tok.weight", c->vocab_used, c->hidden, &model->tok, 0);
    if (err == ERR_OK)
        err = take_small(f, "pos.weight", c->context, c->hidden, &model->pos);
    for (uint32_t i = 0; i < c->layers && err == ERR_OK; i++)
        err = take_layer(f, i);
    if (err == ERR_OK)
        err = take_small(f, "norm.weight", c->hidden, 0, &model->norm_w);
    if (err == ERR_OK)
        err = take_small(f, "norm.bias", c->hidden, 0, &model->norm_b);
    return err;
}

/* What one token reads: idle experts and the rest of the positions stay where they are. */
static uint64_t bytes_a_token(const struct lm_model *model)
{
    const struct lm_config *c = &model->config;
    uint64_t bytes = lm_packed_bytes(&model->tok) + c->hidden * sizeof(float) * 3;
    for (uint32_t i = 0; i < c->layers; i++) {
        const struct lm_run_layer *layer = &model->layer[i];
        uint64_t feeds = c->experts == 0 ? 1 : c->top_k;
        bytes += lm_packed_bytes(&layer->qkv) + lm_packed_bytes(&layer->wo);
        bytes += feeds * (lm_packed_bytes(&layer->w1[0]) + lm_packed_bytes(&layer->w2[0]));
        bytes += (4 + 2 * c->domains + c->experts) * c->hidden * sizeof(float);
    }
    return bytes;
}

enum err lm_model_build(const struct lm_config *config, enum lm_dtype dtype,
                        const struct lm_supply *supply, struct lm_fault *fault,
                        struct lm_model **ret_model)
{
    struct fill f = {.supply = supply, .fault = fault, .check = true};
    uint32_t widest = config->ffn > config->hidden ? config->ffn : config->hidden;
    enum err err = ERR_NOMEM;
    struct lm_model *model = mem_zalloc(sizeof(*model));
    if (model == NULL)
        return ERR_NOMEM;
    model->config = *config;
    model->dtype = dtype;
    f.model = model;
    f.scratch = mem_alloc((widest + LM_PACK_GROUP) * sizeof(float));
    if (f.scratch == NULL)
        goto fail;
    err = allocate_rows(model);
    if (err == ERR_OK)
        err = take_all(&f);
    if (err != ERR_OK)
        goto fail;
    f.check = false;
    err = allocate(model);
    if (err != ERR_OK)
        goto fail;
    err = take_all(&f);
    if (err != ERR_OK)
        goto fail;
    model->cos = f.small;
    model->sin = model->cos + (size_t)config->context * (config->hidden / config->heads / 2);
    lm_rope_fill(config, model->cos, model->sin);
    model->bytes = bytes_a_token(model);
    mem_free(f.scratch);
    *ret_model = model;
    return ERR_OK;
fail:
    mem_free(f.scratch);
    lm_model_destroy(model);
    return err;
}

void lm_model_destroy(struct lm_model *model)
{
    if (model == NULL)
        return;
    mem_free(model->slab);
    mem_free(model->small);
    mem_free(model->feed);
    mem_free(model->layer);
    mem_free(model);
}

const struct lm_config *lm_model_config(const struct lm_model *model)
{
    return &model->config;
}

enum lm_dtype lm_model_dtype(const struct lm_model *model)
{
    return model->dtype;
}

uint64_t lm_model_bytes(const struct lm_model *model)
{
    return model->bytes;
}

/* ---- from weights in memory ---- */

static enum err weights_find(void *cookie, const char *name, uint32_t n, uint32_t k,
                             struct lm_source *ret_source, struct lm_fault *fault)
{
    const struct lm_weights *weights = cookie;
    struct lm_tensor tensor;
    for (uint32_t i = 0; lm_tensor_at(&weights->config, i, &tensor); i++) {
        if (strcmp(tensor.name, name) == 0) {
            *ret_source = (struct lm_source){.type = LM_SOURCE_F32,
                                             .data = weights->block + tensor.offset,
                                             .n = n,
                                             .k = k == 0 ? 1 : k};
            return ERR_OK;
        }
    }
    (void)snprintf(fault->why, sizeof(fault->why), "there is no tensor %s", name);
    return ERR_INPUT;
}

enum err lm_model_from_weights(const struct lm_weights *weights, enum lm_dtype dtype,
                               struct lm_model **ret_model)
{
    struct lm_fault fault = {0};
    struct lm_weights view = *weights;
    return lm_model_build(&weights->config, dtype,
                          &(struct lm_supply){.find = weights_find, .cookie = &view}, &fault,
                          ret_model);
}

/* ---- names ---- */

static const char *const dtype_names[] = {
    [LM_F32] = "f32", [LM_BF16] = "bf16", [LM_INT8] = "int8", [LM_INT4] = "int4"};

const char *lm_dtype_name(enum lm_dtype dtype)
{
    return dtype_names[dtype];
}

bool lm_dtype_parse(struct str text, enum lm_dtype *ret_dtype)
{
    for (size_t i = 0; i < ARRAY_COUNT(dtype_names); i++) {
        if (str_equal(text, str_from(dtype_names[i]))) {
            *ret_dtype = (enum lm_dtype)i;
            return true;
        }
    }
    return false;
}
