/* The graph over steps: the losses of the first ten against the reference's, texts learned by
 * heart, threads, dropout, bad input and failing allocations. */
#include "lm/graph_case.h"

#define B 3
#define T 20

static struct lm_config toy_config(uint32_t experts)
{
    return (struct lm_config){.hidden = 48,
                              .layers = 2,
                              .heads = 4,
                              .kv_heads = 2,
                              .ffn = 40,
                              .experts = experts,
                              .top_k = experts == 0 ? 0 : 2,
                              .domains = 4,
                              .context = 32,
                              .vocab = 80,
                              .vocab_used = 71,
                              .rope_theta = 10000,
                              .norm_eps = 1e-6F,
                              .aux = 0.01F};
}

static void draw_texts(uint64_t seed, uint32_t used, uint16_t *ids, int32_t *targets)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < B * T; i++)
        ids[i] = (uint16_t)rng_below(&rng, used);
    for (uint32_t i = 0; i < B * T; i++)
        targets[i] = i % T == T - 1 || i % 7 == 2 ? -1 : ids[i + 1];
}

struct optimizer {
    struct graph_run *run;
    float *m, *v;
    uint32_t step;
    float rate, decay;
};

static void optimizer_open(struct graph_run *run, float rate, float decay, struct optimizer *o)
{
    uint64_t floats = lm_floats(&run->weights.config);
    *o = (struct optimizer){.run = run, .rate = rate, .decay = decay};
    o->m = mem_zalloc(floats * sizeof(float));
    o->v = mem_zalloc(floats * sizeof(float));
    CHECK(o->m != NULL && o->v != NULL);
}

static void optimizer_close(struct optimizer *o)
{
    mem_free(o->m);
    mem_free(o->v);
}

/* Clip 1 and AdamW; the norm before clipping. */
static double optimizer_step(struct optimizer *o)
{
    const struct lm_config *config = &o->run->weights.config;
    struct lm_tensor tensor;
    double squares = 0;
    uint64_t floats = lm_floats(config);
    o->step++;
    for (uint64_t i = 0; i < floats; i++)
        squares += (double)o->run->grad_block[i] * (double)o->run->grad_block[i];
    double norm = sqrt(squares);
    struct lm_adam adam = {.rate = o->rate,
                           .beta1 = 0.9F,
                           .beta2 = 0.999F,
                           .eps = 1e-8F,
                           .c1 = (float)(1 - pow(0.9, o->step)),
                           .c2 = (float)(1 - pow(0.999, o->step)),
                           .grad_scale = (float)fmin(1, 1 / (norm + 1e-6))};
    for (uint32_t i = 0; lm_tensor_at(config, i, &tensor); i++) {
        adam.decay = tensor.decays ? o->decay : 0;
        lm_adam_row(o->run->block + tensor.offset, o->m + tensor.offset, o->v + tensor.offset,
                    o->run->grad_block + tensor.offset, &adam, tensor.count);
    }
    return norm;
}

static double loss_and_grads(struct graph_run *run, const struct lm_graph_batch *batch)
{
    struct lm_graph_loss loss;
    memset(run->grad_block, 0, lm_floats(&run->weights.config) * sizeof(float));
    CHECK_OK(lm_graph_run(run->graph, &run->weights, batch, &run->grads, &loss));
    return loss.sum / (double)loss.scored + loss.aux;
}

TEST(graph_first_ten_steps_are_the_reference)
{
    struct graph_case *c = test_malloc(sizeof(*c));
    struct graph_run run;
    struct optimizer o;
    case_open("toy_steps", c);
    run_open(
        &(struct lm_graph_options){.config = c->config, .batch = c->batch, .length = c->length}, 2,
        &run);
    case_fill(&c->config, false, run.block);
    optimizer_open(&run, 0.01F, 0.01F, &o);
    struct lm_graph_batch batch = {.ids = c->ids, .targets = c->targets, .scale = 1};
    for (uint32_t step = 0; step < 10; step++) {
        case_expect(c, "step");
        NOTE("step %u", step);
        CHECK_NEAR(loss_and_grads(&run, &batch), case_number(c), 2e-4);
        double norm = case_number(c);
        CHECK_NEAR(optimizer_step(&o), norm, 2e-3 * norm);
    }
    optimizer_close(&o);
    run_close(&run);
    test_free(c);
}

/* Two batches, learned by heart. */
static void learn(uint32_t experts, enum lm_norm norm, float dropout)
{
    struct lm_config config = toy_config(experts);
    uint16_t ids[2][B * T];
    int32_t targets[2][B * T];
    struct graph_run run;
    struct optimizer o;
    double loss = 0;
    config.norm = norm;
    config.aux = 0;
    run_open(
        &(struct lm_graph_options){.config = config, .batch = B, .length = T, .dropout = dropout},
        2, &run);
    lm_weights_random(&run.weights, 11);
    optimizer_open(&run, 0.01F, 0, &o);
    for (uint32_t step = 0; step < 160; step++) {
        struct lm_graph_batch batch = {.ids = ids[step % 2],
                                       .targets = targets[step % 2],
                                       .seed = 1,
                                       .step = step,
                                       .scale = 1};
        draw_texts(step % 2, config.vocab_used, ids[step % 2], targets[step % 2]);
        loss = loss_and_grads(&run, &batch);
        if (step == 0)
            CHECK_NEAR(loss, log(71), 0.3);
        (void)optimizer_step(&o);
    }
    NOTE("the last loss is %g", loss);
    CHECK(loss < (dropout > 0 ? 0.5 : 0.02));
    optimizer_close(&o);
    run_close(&run);
}

TEST(graph_learns_two_batches_by_heart)
{
    learn(0, LM_NORM_PRE, 0);
    learn(4, LM_NORM_PRE, 0);
}

TEST(graph_learns_with_the_norm_after)
{
    learn(0, LM_NORM_POST, 0);
}

TEST(graph_learns_with_dropout)
{
    learn(0, LM_NORM_PRE, 0.1F);
}

struct outcome {
    struct lm_graph_loss loss;
    float *grads;
};

static struct outcome run_once(const struct lm_graph_options *options, uint32_t threads,
                               uint64_t seed, uint64_t step)
{
    uint16_t ids[B * T];
    int32_t targets[B * T];
    struct graph_run run;
    struct outcome outcome;
    uint64_t bytes = lm_floats(&options->config) * sizeof(float);
    draw_texts(4, options->config.vocab_used, ids, targets);
    struct lm_graph_batch batch = {
        .ids = ids, .targets = targets, .seed = seed, .step = step, .scale = 1};
    run_open(options, threads, &run);
    case_fill(&options->config, false, run.block);
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &outcome.loss));
    outcome.grads = mem_alloc(bytes);
    CHECK(outcome.grads != NULL);
    memcpy(outcome.grads, run.grad_block, bytes);
    run_close(&run);
    return outcome;
}

static bool same(const struct lm_config *config, const struct outcome *a, const struct outcome *b)
{
    return a->loss.sum == b->loss.sum && a->loss.aux == b->loss.aux &&
           memcmp(a->grads, b->grads, lm_floats(config) * sizeof(float)) == 0;
}

static void compare_threads(const struct lm_graph_options *options)
{
    struct outcome one = run_once(options, 1, 7, 3);
    for (uint32_t threads = 2; threads <= 5; threads++) {
        struct outcome many = run_once(options, threads, 7, 3);
        NOTE("%u threads", threads);
        CHECK(same(&options->config, &one, &many));
        mem_free(many.grads);
    }
    mem_free(one.grads);
}

TEST(graph_threads_change_no_bit)
{
    struct lm_graph_options options = {.batch = B, .length = T, .dropout = 0.1F};
    options.config = toy_config(0);
    compare_threads(&options);
    options.config = toy_config(4);
    options.dropout_attention = 0.1F;
    compare_threads(&options);
    options.config.norm = LM_NORM_POST;
    options.precision = LM_PRECISION_BF16;
    compare_threads(&options);
}

TEST(graph_dropout_follows_seed_and_step)
{
    struct lm_graph_options options = {.config = toy_config(4), .batch = B, .length = T};
    struct outcome none = run_once(&options, 2, 7, 3);
    for (uint32_t which = 0; which < 2; which++) {
        options.dropout = which == 0 ? 0.1F : 0;
        options.dropout_attention = which == 0 ? 0 : 0.1F;
        struct outcome a = run_once(&options, 2, 7, 3);
        struct outcome again = run_once(&options, 2, 7, 3);
        struct outcome later = run_once(&options, 2, 7, 4);
        struct outcome other = run_once(&options, 2, 8, 3);
        CHECK(same(&options.config, &a, &again));
        CHECK(!same(&options.config, &a, &later) && !same(&options.config, &a, &other));
        CHECK(!same(&options.config, &a, &none));
        CHECK_NEAR(a.loss.sum / (double)a.loss.scored, none.loss.sum / (double)none.loss.scored,
                   0.2);
        mem_free(a.grads);
        mem_free(again.grads);
        mem_free(later.grads);
        mem_free(other.grads);
    }
    mem_free(none.grads);
}

static double loss_beside(struct graph_run *run, const struct lm_graph_batch *batch, uint64_t at,
                          float step)
{
    struct lm_graph_loss loss;
    float kept = run->block[at];
    run->block[at] += step;
    CHECK_OK(lm_graph_run(run->graph, &run->weights, batch, NULL, &loss));
    run->block[at] = kept;
    return loss.sum / (double)loss.scored + loss.aux;
}

/* With the masks fixed the loss is still smooth: of each tensor the element with the greatest
 * gradient is moved.  Few tokens are scored, so that a mask that is not the same on the way back
 * does not average out. */
static void slopes_under_masks(const struct lm_graph_options *options)
{
    uint16_t ids[B * T];
    int32_t targets[B * T];
    struct graph_run run;
    struct lm_tensor tensor;
    draw_texts(4, options->config.vocab_used, ids, targets);
    for (uint32_t i = 0; i < B * T; i++)
        targets[i] = i % T == T - 3 ? (int32_t)i : -1;
    struct lm_graph_batch batch = {
        .ids = ids, .targets = targets, .seed = 1, .step = 2, .scale = 1};
    run_open(options, 2, &run);
    case_fill(&options->config, false, run.block);
    (void)loss_and_grads(&run, &batch);
    for (uint32_t t = 0; lm_tensor_at(&options->config, t, &tensor); t++) {
        uint64_t at = tensor.offset;
        for (uint64_t i = at; i < tensor.offset + tensor.count; i++)
            at = fabsf(run.grad_block[i]) > fabsf(run.grad_block[at]) ? i : at;
        double near = loss_beside(&run, &batch, at, 0.01F) - loss_beside(&run, &batch, at, -0.01F);
        double far = loss_beside(&run, &batch, at, 0.02F) - loss_beside(&run, &batch, at, -0.02F);
        double slope = (4 * near / 0.02 - far / 0.04) / 3;
        NOTE("%s: gradient %g, slope %g", tensor.name, (double)run.grad_block[at], slope);
        CHECK_NEAR(run.grad_block[at], slope, 2e-2 * fabs(slope) + 2e-4);
    }
    run_close(&run);
}

TEST(graph_dropout_goes_the_same_way_back)
{
    struct lm_graph_options options = {.config = toy_config(0), .batch = B, .length = T};
    slopes_under_masks(&options);
    options.dropout = 0.2F;
    slopes_under_masks(&options);
    options.dropout_attention = 0.3F;
    slopes_under_masks(&options);
    options.config.norm = LM_NORM_POST;
    slopes_under_masks(&options);
}

TEST(graph_judging_alone_gives_the_same_loss)
{
    for (uint32_t experts = 0; experts <= 4; experts += 4) {
        struct lm_graph_options options = {.config = toy_config(experts), .batch = B, .length = T};
        struct outcome trained = run_once(&options, 2, 0, 0);
        uint16_t ids[B * T];
        int32_t targets[B * T];
        float logits[71];
        struct graph_run judged;
        struct graph_run whole;
        struct lm_graph_loss loss;
        draw_texts(4, options.config.vocab_used, ids, targets);
        struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 1};
        run_open(&options, 2, &whole);
        options.forward_only = true;
        run_open(&options, 2, &judged);
        case_fill(&options.config, false, judged.block);
        CHECK(lm_graph_bytes(judged.graph) < lm_graph_bytes(whole.graph));
        CHECK_OK(lm_graph_run(judged.graph, &judged.weights, &batch, NULL, &loss));
        CHECK_EQ(loss.scored, trained.loss.scored);
        CHECK_NEAR(loss.sum, trained.loss.sum, 0);
        CHECK_NEAR(loss.aux, trained.loss.aux, 0);
        lm_graph_logits(judged.graph, &judged.weights, 2, 5, logits);
        double sum = 0;
        for (uint32_t i = 0; i < 71; i++)
            sum += exp((double)logits[i]);
        CHECK(isfinite(sum) && sum > 0);
        run_close(&judged);
        run_close(&whole);
        mem_free(trained.grads);
    }
}

/* Texts of 160 and 90 tokens in one row are what they are in rows of their own: more than a block
 * of queries each, so that whole blocks of keys are passed over. */
TEST(graph_texts_in_one_row_do_not_see_each_other)
{
    enum { ROW = 250, FIRST = 160, SECOND = 90 };
    struct lm_config config = toy_config(0);
    uint16_t ids[ROW];
    uint16_t starts[ROW];
    int32_t targets[ROW];
    struct graph_run packed;
    struct graph_run alone;
    struct lm_graph_loss loss;
    double nats = 0;
    config.context = 256;
    for (uint32_t i = 0; i < ROW; i++) {
        ids[i] = (uint16_t)(i * 31 % 71);
        starts[i] = i < FIRST ? 0 : FIRST;
        targets[i] = i % 3 == 0 ? -1 : (int32_t)(i * 17 % 71);
    }
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .starts = starts, .scale = 1};
    run_open(&(struct lm_graph_options){.config = config, .batch = 1, .length = ROW}, 2, &packed);
    case_fill(&config, false, packed.block);
    CHECK_OK(lm_graph_run(packed.graph, &packed.weights, &batch, &packed.grads, &loss));
    batch.starts = NULL;
    run_open(&(struct lm_graph_options){.config = config, .batch = 1, .length = FIRST}, 2, &alone);
    case_fill(&config, false, alone.block);
    for (uint32_t text = 0; text < 2; text++) {
        struct lm_graph_loss part;
        if (text == 1) { /* the same weights and gradients, another shape */
            lm_graph_destroy(alone.graph);
            struct lm_graph_options options = {
                .config = config, .batch = 1, .length = SECOND, .pool = alone.pool};
            CHECK_OK(lm_graph_create(&options, &alone.graph));
            batch.ids = ids + FIRST;
            batch.targets = targets + FIRST;
        }
        uint32_t scored = 0;
        for (uint32_t i = 0; i < (text == 0 ? FIRST : SECOND); i++)
            scored += batch.targets[i] >= 0;
        batch.scale = scored / (double)loss.scored;
        CHECK_OK(lm_graph_run(alone.graph, &alone.weights, &batch, &alone.grads, &part));
        nats += part.sum;
    }
    CHECK_NEAR(loss.sum, nats, 1e-4 * nats);
    uint64_t floats = lm_floats(&config);
    for (uint64_t i = 0; i < floats; i++)
        CHECK_NEAR(packed.grad_block[i], alone.grad_block[i], 2e-5);
    run_close(&packed);
    run_close(&alone);
}

TEST(graph_refuses_a_text_that_begins_after_its_token)
{
    uint16_t ids[B * T] = {0};
    uint16_t starts[B * T] = {0};
    int32_t targets[B * T] = {0};
    struct graph_run run;
    struct lm_graph_loss loss;
    struct lm_graph_options options = {.config = toy_config(0), .batch = B, .length = T};
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .starts = starts, .scale = 1};
    run_open(&options, 1, &run);
    starts[T + 4] = 5;
    CHECK_ERR(lm_graph_run(run.graph, &run.weights, &batch, NULL, &loss), ERR_INPUT);
    starts[T + 4] = 4;
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, NULL, &loss));
    run_close(&run);
}

/* Gradients are added, and `scale` is theirs alone. */
TEST(graph_gradients_add_up)
{
    struct lm_graph_options options = {.config = toy_config(4), .batch = B, .length = T};
    struct outcome once = run_once(&options, 2, 0, 0);
    uint16_t ids[B * T];
    int32_t targets[B * T];
    struct graph_run run;
    struct lm_graph_loss loss;
    draw_texts(4, options.config.vocab_used, ids, targets);
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 0.25};
    run_open(&options, 2, &run);
    case_fill(&options.config, false, run.block);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &loss));
    CHECK_NEAR(loss.sum, once.loss.sum, 0);
    uint64_t floats = lm_floats(&options.config);
    for (uint64_t i = 0; i < floats; i++)
        CHECK_NEAR(run.grad_block[i], once.grads[i], 1e-6 + 1e-4 * fabs((double)once.grads[i]));
    run_close(&run);
    mem_free(once.grads);
}

TEST(graph_without_targets_has_no_loss)
{
    uint16_t ids[B * T] = {0};
    int32_t targets[B * T];
    struct graph_run run;
    struct lm_graph_loss loss;
    struct lm_graph_options options = {.config = toy_config(0), .batch = B, .length = T};
    memset(targets, 0xFF, sizeof(targets));
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 1};
    run_open(&options, 2, &run);
    case_fill(&options.config, false, run.block);
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &loss));
    CHECK_EQ(loss.scored, 0);
    CHECK_NEAR(loss.sum, 0, 0);
    uint64_t floats = lm_floats(&options.config);
    for (uint64_t i = 0; i < floats; i++)
        CHECK_NEAR(run.grad_block[i], 0, 0);
    run_close(&run);
}

TEST(graph_refuses_ids_that_are_not_in_use)
{
    uint16_t ids[B * T] = {0};
    int32_t targets[B * T] = {0};
    struct graph_run run;
    struct lm_graph_loss loss;
    struct lm_graph_options options = {.config = toy_config(0), .batch = B, .length = T};
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 1};
    run_open(&options, 1, &run);
    ids[B * T - 1] = 71;
    CHECK_ERR(lm_graph_run(run.graph, &run.weights, &batch, NULL, &loss), ERR_INPUT);
    ids[B * T - 1] = 70;
    targets[3] = 71;
    CHECK_ERR(lm_graph_run(run.graph, &run.weights, &batch, NULL, &loss), ERR_INPUT);
    targets[3] = 70;
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, NULL, &loss));
    run_close(&run);
}

/* A text of one token, and one that fills the context. */
TEST(graph_takes_the_shortest_and_the_longest)
{
    for (uint32_t length = 1; length <= 32; length += 31) {
        uint16_t ids[32] = {5};
        int32_t targets[32] = {6};
        struct graph_run run;
        struct lm_graph_loss loss;
        struct lm_graph_options options = {.config = toy_config(4), .batch = 1, .length = length};
        struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 1};
        run_open(&options, 3, &run);
        case_fill(&options.config, false, run.block);
        CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &loss));
        CHECK(isfinite(loss.sum) && loss.scored == length);
        run_close(&run);
    }
}

static enum err scenario(void)
{
    uint16_t ids[B * T] = {0};
    int32_t targets[B * T] = {0};
    struct lm_graph_options options = {.config = toy_config(4), .batch = B, .length = T};
    struct lm_graph_batch batch = {.ids = ids, .targets = targets, .scale = 1};
    struct lm_graph_loss loss;
    struct lm_weights weights;
    struct lm_weights grads;
    static float block[128 * 1024];
    static float grad_block[128 * 1024];
    struct lm_graph *graph;
    CHECK(lm_floats(&options.config) <= ARRAY_COUNT(block));
    lm_weights_lay(&options.config, block, &weights);
    lm_weights_lay(&options.config, grad_block, &grads);
    case_fill(&options.config, false, block);
    enum err err = lm_pool_create(2, &options.pool);
    if (err != ERR_OK)
        return err;
    err = lm_graph_create(&options, &graph);
    if (err == ERR_OK) {
        err = lm_graph_run(graph, &weights, &batch, &grads, &loss);
        lm_graph_destroy(graph);
    }
    lm_pool_destroy(options.pool);
    return err;
}

TEST(graph_survives_every_failed_allocation)
{
    for (uint32_t nth = 1;; nth++) {
        mem_fail_at(nth);
        enum err err = scenario();
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        NOTE("allocation %u", nth);
        CHECK_EQ(mem_live(), 0);
        if (!fired) {
            CHECK_OK(err);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
    }
    lm_graph_destroy(NULL);
}
