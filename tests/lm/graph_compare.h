/* One reference case, run and compared: logits to 1e-4, gradients to 1e-3 of the tensor's own size.
 */
#ifndef AUTOMAT_TESTS_LM_GRAPH_COMPARE_H
#define AUTOMAT_TESTS_LM_GRAPH_COMPARE_H

#include "lm/graph_case.h"

static inline void compare_logits(struct graph_case *c, const struct graph_run *run)
{
    float *logits = mem_alloc(c->config.vocab_used * sizeof(*logits));
    char word[16];
    double worst = 0;
    uint32_t checked = 0;
    CHECK(logits != NULL);
    for (char *before = c->at; case_word(c, word, sizeof(word)); before = c->at) {
        if (strcmp(word, "logit") != 0) {
            c->at = before;
            break;
        }
        uint32_t row = case_count(c);
        uint32_t position = case_count(c);
        uint32_t id = case_count(c);
        double expected = case_number(c);
        lm_graph_logits(run->graph, &run->weights, row, position, logits);
        worst = fmax(worst, fabs((double)logits[id] - expected));
        checked++;
    }
    mem_free(logits);
    NOTE("logits: worst difference %g of %u", worst, checked);
    CHECK(checked == 60 && worst < 1e-4);
}

/* `size`: what a difference is measured against. */
static inline void near(const struct lm_tensor *tensor, const char *what, double got,
                        double expected, double size)
{
    double apart = fabs(got - expected);
    NOTE("%s, %s: %.9g, reference %.9g", tensor->name, what, got, expected);
    CHECK(apart <= 1e-3 * fmax(size, fabs(expected)) + 1e-9);
}

static inline void compare_tensor(struct graph_case *c, const struct lm_tensor *tensor,
                                  const float *g)
{
    char name[80];
    double squares = 0;
    double sum = 0;
    case_expect(c, "tensor");
    CHECK(case_word(c, name, sizeof(name)));
    CHECK_STR(tensor->name, name);
    CHECK_EQ(tensor->shape[0], case_count(c));
    CHECK_EQ(tensor->shape[1], case_count(c));
    for (uint64_t i = 0; i < tensor->count; i++) {
        squares += (double)g[i] * (double)g[i];
        sum += (double)g[i];
    }
    double norm = case_number(c);
    double typical = norm / sqrt((double)tensor->count); /* of one element */
    near(tensor, "norm", sqrt(squares), norm, 0);
    /* A sum may cancel to nothing: what it is made of is the measure. */
    near(tensor, "sum", sum, case_number(c), norm);
    for (uint32_t left = case_count(c); left > 0; left--) {
        uint32_t element = case_count(c);
        near(tensor, "element", (double)g[element], case_number(c), typical);
    }
}

static inline void compare_case(const char *name, uint32_t threads)
{
    struct graph_case *c = test_malloc(sizeof(*c));
    struct graph_run run;
    struct lm_graph_loss loss;
    struct lm_tensor tensor;
    case_open(name, c);
    run_open(
        &(struct lm_graph_options){.config = c->config, .batch = c->batch, .length = c->length},
        threads, &run);
    case_fill(&c->config, c->tied_routers, run.block);
    struct lm_graph_batch batch = {.ids = c->ids, .targets = c->targets, .scale = 1};
    CHECK_OK(lm_graph_run(run.graph, &run.weights, &batch, &run.grads, &loss));
    case_expect(c, "loss");
    CHECK_NEAR(loss.sum / (double)loss.scored, case_number(c), 1e-4);
    case_expect(c, "aux");
    CHECK_NEAR(loss.aux, case_number(c), 1e-6);
    compare_logits(c, &run);
    for (uint32_t i = 0; lm_tensor_at(&c->config, i, &tensor); i++)
        compare_tensor(c, &tensor, run.grad_block + tensor.offset);
    run_close(&run);
    test_free(c);
}

#endif
