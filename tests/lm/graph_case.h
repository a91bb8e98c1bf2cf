/* Reference cases (reference/make.py): reading them, their weights, a run of the graph, and how far
 * apart the two are. */
#ifndef AUTOMAT_TESTS_LM_GRAPH_CASE_H
#define AUTOMAT_TESTS_LM_GRAPH_CASE_H

#include "kit/kit.h"
#include "lm/graph/graph_int.h"
#include "lm/kernel/kernel_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASE_ROWS_MAX 1024

struct graph_case {
    struct lm_config config;
    uint32_t batch, length;
    bool tied_routers;
    uint16_t ids[CASE_ROWS_MAX];
    int32_t targets[CASE_ROWS_MAX];
    char *at; /* what is not read yet */
};

static inline uint32_t case_mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x7FEB352DU;
    x = (x ^ (x >> 15)) * 0x846CA68BU;
    return x ^ (x >> 16);
}

/* [-1, 1), a whole number of 2^-23 */
static inline double case_unit(uint32_t start, uint64_t element)
{
    return ((double)(case_mix((uint32_t)element + start) >> 8) - 8388608.0) / 8388608.0;
}

static inline bool case_ends(const char *name, const char *end)
{
    size_t len = strlen(name);
    return len >= strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

/* The weights both sides agreed on. */
static inline void case_fill(const struct lm_config *config, bool tied_routers, float *block)
{
    struct lm_tensor tensor;
    for (uint32_t i = 0; lm_tensor_at(config, i, &tensor); i++) {
        const char *name = tensor.name;
        uint32_t start = case_mix(i + 1);
        double centre = 0;
        double reach = 1.0 / 16;
        if (case_ends(name, "ln1.weight") || case_ends(name, "ln2.weight") ||
            case_ends(name, "norm.weight")) {
            centre = 1;
            reach = 1.0 / 4;
        } else if (case_ends(name, "blend")) {
            reach = 1.0 / 2;
        } else if (case_ends(name, "router.weight")) {
            reach = 1.0 / 8;
        } else if (case_ends(name, "wo.weight") || case_ends(name, "w2.weight")) {
            reach = 1.0 / 32;
        }
        for (uint64_t n = 0; n < tensor.count; n++) {
            uint64_t from =
                tied_routers && case_ends(name, "router.weight") ? n % tensor.shape[1] : n;
            block[tensor.offset + n] = (float)(centre + reach * case_unit(start, from));
        }
    }
}

static inline bool case_word(struct graph_case *c, char *word, size_t bytes)
{
    int taken = 0;
    char format[16];
    (void)snprintf(format, sizeof(format), "%%%zus%%n", bytes - 1);
    if (sscanf(c->at, format, word, &taken) != 1)
        return false;
    c->at += taken;
    return true;
}

static inline double case_number(struct graph_case *c)
{
    char *end;
    double value = strtod(c->at, &end);
    CHECK(end != c->at);
    c->at = end;
    return value;
}

static inline uint32_t case_count(struct graph_case *c)
{
    return (uint32_t)case_number(c);
}

static inline void case_expect(struct graph_case *c, const char *word)
{
    char found[80];
    CHECK(case_word(c, found, sizeof(found)));
    CHECK_STR(found, word);
}

static inline void case_open(const char *name, struct graph_case *c)
{
    char path[512];
    struct lm_fault fault;
    (void)snprintf(path, sizeof(path), "%s/tests/lm/reference/%s.txt", AUTOMAT_SOURCE_DIR, name);
    *c = (struct graph_case){.at = kit_read_file(path, NULL)};
    case_expect(c, "config");
    struct lm_config *config = &c->config;
    uint32_t *fields[] = {&config->hidden,  &config->layers,  &config->heads,     &config->kv_heads,
                          &config->ffn,     &config->experts, &config->top_k,     &config->domains,
                          &config->context, &config->vocab,   &config->vocab_used};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        *fields[i] = case_count(c);
    config->norm = case_count(c) != 0 ? LM_NORM_POST : LM_NORM_PRE;
    c->batch = case_count(c);
    c->length = case_count(c);
    c->tied_routers = case_count(c) != 0;
    config->rope_theta = 10000;
    config->norm_eps = 1e-6F;
    config->aux = 0.01F;
    CHECK_OK(lm_config_check(config, &fault));
    CHECK(c->batch * c->length <= CASE_ROWS_MAX);
    case_expect(c, "ids");
    for (uint32_t i = 0; i < c->batch * c->length; i++)
        c->ids[i] = (uint16_t)case_number(c);
    case_expect(c, "targets");
    for (uint32_t i = 0; i < c->batch * c->length; i++)
        c->targets[i] = (int32_t)case_number(c);
}

/* Weights, gradients, a graph and a pool. */
struct graph_run {
    struct lm_pool *pool;
    struct lm_graph *graph;
    float *block, *grad_block;
    struct lm_weights weights, grads;
};

static inline void run_open(const struct lm_graph_options *options, uint32_t threads,
                            struct graph_run *run)
{
    uint64_t floats = lm_floats(&options->config);
    struct lm_graph_options whole = *options;
    *run = (struct graph_run){0};
    CHECK_OK(lm_pool_create(threads, &run->pool));
    whole.pool = run->pool;
    CHECK_OK(lm_graph_create(&whole, &run->graph));
    run->block = mem_zalloc(floats * sizeof(float));
    run->grad_block = mem_zalloc(floats * sizeof(float));
    CHECK(run->block != NULL && run->grad_block != NULL);
    lm_weights_lay(&options->config, run->block, &run->weights);
    lm_weights_lay(&options->config, run->grad_block, &run->grads);
}

static inline void run_close(struct graph_run *run)
{
    mem_free(run->block);
    mem_free(run->grad_block);
    lm_graph_destroy(run->graph);
    lm_pool_destroy(run->pool);
}

#endif
