/* Dialogues in rows: every token is predicted once an epoch, in an order that the seed makes, and
 * what shares a row changes nothing. */
#include "train_kit.h"

#include <math.h>

static struct lm_tokens *open_tokens(const char *path)
{
    struct lm_fault fault;
    struct lm_tokens *tokens = NULL;
    enum err err = lm_tokens_open(path, &fault, &tokens);
    NOTE("%s", fault.why);
    CHECK_OK(err);
    return tokens;
}

static struct lm_tokens *write_ids(const char *name, const uint16_t *ids, size_t count)
{
    const char *path = kit_path(kit_tempdir(), name);
    struct lm_tokens_writer *writer;
    CHECK_OK(lm_tokens_writer_create(path, 64, &writer)); /* of a larger vocabulary */
    CHECK_OK(lm_tokens_writer_add(writer, ids, count));
    CHECK_OK(lm_tokens_writer_finish(writer));
    return open_tokens(path);
}

static uint64_t count_scored(const uint16_t *ids, uint64_t count)
{
    uint64_t scored = 0;
    for (uint64_t i = 1; i < count; i++)
        scored += (ids[i] & LM_TOKEN_QUIET) == 0 && ids[i] != LM_BEGIN;
    return scored;
}

static uint64_t scored_in_rows(const struct lm_data *data)
{
    uint64_t scored = 0;
    for (uint32_t r = 0; r < data->row_count; r++) {
        uint16_t ids[64], starts[64];
        int32_t targets[64];
        scored += lm_data_row(data, r, ids, targets, starts);
        for (uint32_t i = 0; i < data->length; i++) {
            CHECK(ids[i] < TOY_USED);
            CHECK(targets[i] < (int32_t)TOY_USED);
            CHECK(starts[i] <= i);
            CHECK(targets[i] < 0 || i + 1 == data->length || starts[i + 1] != starts[i] ||
                  targets[i] == ids[i + 1]);
        }
    }
    return scored;
}

TEST(rows_score_every_token_once)
{
    const char *dir = kit_tempdir();
    struct lm_tokens *tokens = open_tokens(toy_tokens(dir, "a.tok", 3, 300));
    struct lm_data data;
    struct lm_fault fault;
    /* 16 is shorter than many dialogues: they are cut, and what overlaps is not scored twice. */
    for (uint32_t length = 16; length <= 64; length += 24) {
        CHECK_OK(lm_data_init(&data, tokens, TOY_USED, length, &fault));
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            NOTE("length %u, epoch %d", length, (int)epoch);
            lm_data_lay(&data, true, 9, epoch);
            CHECK_EQ(scored_in_rows(&data),
                     count_scored(lm_tokens_at(tokens), lm_tokens_count(tokens)));
        }
        lm_data_finish(&data);
    }
    lm_tokens_close(tokens);
}

TEST(rows_are_nearly_full)
{
    const char *dir = kit_tempdir();
    struct lm_tokens *tokens = open_tokens(toy_tokens(dir, "a.tok", 3, 300));
    struct lm_data data;
    struct lm_fault fault;
    CHECK_OK(lm_data_init(&data, tokens, TOY_USED, 64, &fault));
    lm_data_lay(&data, true, 9, 0);
    CHECK(data.row_count * 64 * 100 < lm_tokens_count(tokens) * 105);
    lm_data_finish(&data);
    lm_tokens_close(tokens);
}

TEST(order_follows_seed_epoch_and_file)
{
    const char *dir = kit_tempdir();
    struct lm_tokens *tokens = open_tokens(toy_tokens(dir, "a.tok", 3, 100));
    struct lm_data a, b;
    struct lm_fault fault;
    CHECK_OK(lm_data_init(&a, tokens, TOY_USED, 64, &fault));
    CHECK_OK(lm_data_init(&b, tokens, TOY_USED, 64, &fault));
    lm_data_lay(&a, true, 9, 0);
    lm_data_lay(&b, true, 9, 4);
    CHECK(memcmp(a.order, b.order, 100 * sizeof(*a.order)) != 0);
    lm_data_lay(&b, true, 10, 0);
    CHECK(memcmp(a.order, b.order, 100 * sizeof(*a.order)) != 0);
    lm_data_lay(&b, true, 9, 0); /* nothing is left of what was laid before */
    CHECK_BYTES(a.order, b.order, 100 * sizeof(*a.order));
    CHECK_BYTES(a.rng.state, b.rng.state, sizeof(a.rng.state));
    b.crc++; /* another file */
    lm_data_lay(&b, true, 9, 0);
    CHECK(memcmp(a.rng.state, b.rng.state, sizeof(a.rng.state)) != 0);
    lm_data_finish(&a);
    lm_data_finish(&b);
    lm_tokens_close(tokens);
}

TEST(files_that_are_none)
{
    static const uint16_t no_begin[] = {20, 21, LM_BEGIN, 22, 23};
    static const uint16_t unused[] = {LM_BEGIN, 20, 21, TOY_USED};
    static const uint16_t lonely[] = {LM_BEGIN, LM_BEGIN, LM_BEGIN};
    static const struct {
        const uint16_t *ids;
        size_t count;
        const char *why;
    } cases[] = {{no_begin, 5, "does not begin a dialogue"},
                 {unused, 4, "not in use"},
                 {lonely, 3, "no dialogue"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct lm_data data;
        struct lm_fault fault = {0};
        struct lm_tokens *tokens = write_ids("x.tok", cases[i].ids, cases[i].count);
        CHECK_ERR(lm_data_init(&data, tokens, TOY_USED, 64, &fault), ERR_INPUT);
        NOTE("%s", fault.why);
        CHECK(strstr(fault.why, cases[i].why) != NULL);
        lm_tokens_close(tokens);
    }
}

/* ---- dialogues that share a row ---- */

struct world {
    struct lm_config config;
    struct lm_weights weights, grads;
    struct lm_graph *graph;
    struct lm_pool *pool;
};

static void world_make(struct world *w, uint32_t batch, uint32_t length)
{
    w->config = toy_config();
    w->weights.block = mem_alloc(lm_floats(&w->config) * sizeof(float));
    w->grads.block = mem_zalloc(lm_floats(&w->config) * sizeof(float));
    lm_weights_lay(&w->config, w->weights.block, &w->weights);
    lm_weights_lay(&w->config, w->grads.block, &w->grads);
    lm_weights_random(&w->weights, 5);
    for (uint64_t i = 0; i < lm_floats(&w->config); i++)
        w->weights.block[i] *= 4; /* so that what is seen matters */
    CHECK_OK(lm_pool_create(1, &w->pool));
    CHECK_OK(lm_graph_create(
        &(struct lm_graph_options){
            .config = w->config, .batch = batch, .length = length, .pool = w->pool},
        &w->graph));
}

static void world_end(struct world *w)
{
    lm_graph_destroy(w->graph);
    lm_pool_destroy(w->pool);
    mem_free(w->weights.block);
    mem_free(w->grads.block);
}

static double world_run(struct world *w, const uint16_t *ids, const int32_t *targets,
                        const uint16_t *starts)
{
    struct lm_graph_loss loss;
    CHECK_OK(lm_graph_run(
        w->graph, &w->weights,
        &(struct lm_graph_batch){.ids = ids, .targets = targets, .starts = starts, .scale = 1},
        &w->grads, &loss));
    return loss.sum / (double)loss.scored;
}

TEST(a_dialogue_does_not_see_its_neighbours)
{
    enum { A = 13, B = 19, T = A + B };
    struct world together, apart;
    struct rng rng;
    uint16_t ids[T], padded[2 * T] = {0}, starts[T];
    int32_t targets[T], padded_targets[2 * T];
    rng_init(&rng, 4);
    for (uint32_t i = 0; i < 2 * T; i++)
        padded_targets[i] = -1;
    for (uint32_t i = 0; i < T; i++) {
        uint32_t at = i < A ? i : T + i - A;
        starts[i] = i < A ? 0 : A;
        ids[i] = (uint16_t)rng_below(&rng, TOY_USED);
        targets[i] = (int32_t)rng_below(&rng, TOY_USED);
        padded[at] = ids[i];
        padded_targets[at] = targets[i];
    }
    world_make(&together, 1, T);
    world_make(&apart, 2, T);
    double one = world_run(&together, ids, targets, starts);
    double two = world_run(&apart, padded, padded_targets, NULL);
    CHECK_NEAR(one, two, 1e-5);
    for (uint64_t i = 0; i < lm_floats(&together.config); i++) {
        NOTE("gradient %d", (int)i);
        CHECK_NEAR(together.grads.block[i], apart.grads.block[i], 1e-5);
    }
    double mixed = world_run(&together, ids, targets, NULL);
    CHECK(fabs(mixed - one) > 1e-4); /* it would matter */
    world_end(&together);
    world_end(&apart);
}
