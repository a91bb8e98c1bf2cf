/* AdamW over the block of weights, cut into chunks whose bounds do not depend on the threads: every
 * weight is touched by one task, and the sum of squares is added up in the order of the chunks. */
#include "lm/train/train_int.h"

#include <math.h>
#include <string.h>

#define BETA1 0.9
#define BETA2 0.999
#define EPS   1e-8

/* Rows of the embedding that no token uses get no gradient; left alone they neither decay nor cost
 * anything. */
static uint64_t used_floats(const struct lm_config *config, uint32_t index,
                            const struct lm_tensor *tensor)
{
    return index == 0 ? (uint64_t)config->vocab_used * tensor->shape[1] : tensor->count;
}

static uint32_t cut(const struct lm_config *config, struct lm_chunk *chunk)
{
    struct lm_tensor tensor;
    uint32_t count = 0;
    for (uint32_t i = 0; lm_tensor_at(config, i, &tensor); i++) {
        uint64_t floats = used_floats(config, i, &tensor);
        for (uint64_t at = 0; at < floats; at += LM_OPTIM_CHUNK) {
            uint64_t left = floats - at;
            if (chunk != NULL)
                chunk[count] = (struct lm_chunk){
                    tensor.offset + at, left < LM_OPTIM_CHUNK ? (uint32_t)left : LM_OPTIM_CHUNK,
                    tensor.decays};
            count++;
        }
    }
    return count;
}

enum err lm_optim_init(struct lm_optim *optim, const struct lm_config *config, struct lm_pool *pool)
{
    size_t floats = (size_t)lm_floats(config);
    uint32_t count = cut(config, NULL);
    *optim = (struct lm_optim){.pool = pool, .chunk_count = count};
    optim->chunk = mem_alloc(count * sizeof(*optim->chunk));
    optim->partial = mem_alloc(count * sizeof(*optim->partial));
    optim->m = mem_zalloc(floats * sizeof(float));
    optim->v = mem_zalloc(floats * sizeof(float));
    if (optim->chunk == NULL || optim->partial == NULL || optim->m == NULL || optim->v == NULL) {
        lm_optim_finish(optim);
        return ERR_NOMEM;
    }
    (void)cut(config, optim->chunk);
    return ERR_OK;
}

void lm_optim_finish(struct lm_optim *optim)
{
    mem_free(optim->chunk);
    mem_free(optim->partial);
    mem_free(optim->m);
    mem_free(optim->v);
    *optim = (struct lm_optim){0};
}

struct norm_work {
    struct lm_optim *optim;
    const float *grads;
};

static void norm_task(void *cookie, uint32_t index, uint32_t worker)
{
    enum { LANES = 16 };
    struct norm_work *work = cookie;
    const struct lm_chunk *chunk = &work->optim->chunk[index];
    const float *g = work->grads + chunk->at;
    double lane[LANES] = {0}, sum = 0;
    uint32_t i = 0;
    (void)worker;
    for (; i + LANES <= chunk->count; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += (double)g[i + j] * (double)g[i + j];
    }
    for (; i < chunk->count; i++)
        sum += (double)g[i] * (double)g[i];
    for (uint32_t j = 0; j < LANES; j++)
        sum += lane[j];
    work->optim->partial[index] = sum;
}

double lm_optim_norm(struct lm_optim *optim, const float *grads)
{
    struct norm_work work = {optim, grads};
    double sum = 0;
    lm_pool_run(optim->pool, optim->chunk_count, norm_task, &work);
    for (uint32_t i = 0; i < optim->chunk_count; i++)
        sum += optim->partial[i];
    return sqrt(sum);
}

struct apply_work {
    struct lm_optim *optim;
    float *weights, *grads;
    struct lm_adam adam;
    float decay;
};

static void apply_task(void *cookie, uint32_t index, uint32_t worker)
{
    struct apply_work *work = cookie;
    const struct lm_chunk *chunk = &work->optim->chunk[index];
    struct lm_adam adam = work->adam;
    (void)worker;
    adam.decay = chunk->decays ? work->decay : 0;
    lm_adam_row(work->weights + chunk->at, work->optim->m + chunk->at, work->optim->v + chunk->at,
                work->grads + chunk->at, &adam, chunk->count);
    memset(work->grads + chunk->at, 0, chunk->count * sizeof(float)); /* while it is in the cache */
}

void lm_optim_apply(struct lm_optim *optim, float *weights, float *grads,
                    const struct lm_optim_step *step)
{
    struct apply_work work = {
        .optim = optim,
        .weights = weights,
        .grads = grads,
        .adam = {.rate = (float)step->rate,
                 .beta1 = (float)BETA1,
                 .beta2 = (float)BETA2,
                 .eps = (float)EPS,
                 .c1 = (float)(1 - pow(BETA1, (double)step->step)),
                 .c2 = (float)(1 - pow(BETA2, (double)step->step)),
                 .grad_scale = (float)step->grad_scale},
        .decay = (float)step->decay,
    };
    lm_pool_run(optim->pool, optim->chunk_count, apply_task, &work);
}
