/* lm_eval: what `automat lm eval` measures and how it is written down. */
#ifndef AUTOMAT_APP_LM_EVAL_H
#define AUTOMAT_APP_LM_EVAL_H

#include "app/lm.h"
#include "barista/barista.h"

#define LM_EVAL_IDS_MAX    4096
#define LM_EVAL_ANSWER_MAX 96 /* ids of one answer */
#define LM_EVAL_BLOCKS_MAX 96

/* A model under judgement. */
struct lm_eval_model {
    struct lm_model *model;
    struct lm_session *session;
    struct lm_tokenizer *tokenizer; /* borrowed from the first one loaded */
    struct lm_pool *pool;           /* borrowed */
    float *logits;
    uint16_t ids[LM_EVAL_IDS_MAX];
};
MUST_USE enum err lm_eval_open(const char *dir, const struct lm_model_options *options,
                               struct lm_tokenizer *tokenizer, struct lm_pool *pool,
                               struct lm_fault *fault, struct lm_eval_model *ret_model);
void lm_eval_close(struct lm_eval_model *model);
/* Greedy, without a mask: what the model itself has learned. */
MUST_USE enum err lm_eval_answer(struct lm_eval_model *model,
                                 const struct barista_dialogue *dialogue, struct buf *ret_answer);
/* Log-probabilities of each facet's labels after the right labels of the facets before it. */
MUST_USE enum err lm_eval_classes(struct lm_eval_model *model, const struct barista_facts *facts,
                                  const struct barista_dialogue *dialogue,
                                  struct barista_judged *ret_judged, size_t *ret_count);
/* Adds what the dialogue's scored ids cost: log-probability and how many. */
MUST_USE enum err lm_eval_loss(struct lm_eval_model *model, const struct barista_dialogue *dialogue,
                               double *sum, uint64_t *count);

struct lm_eval_side { /* the model, or the baseline */
    struct barista_score score;
};
struct lm_eval_block { /* one block of phrasings */
    char name[40];
    uint32_t dialogues, model_right, plain_right;
};
struct lm_eval_drift {
    enum lm_dtype dtype;
    bool measured;
    double perplexity;
};
struct lm_eval_report {
    const char *dir, *name;
    enum lm_dtype dtype;
    uint64_t seed;
    uint32_t dialogues, drift_dialogues, paraphrases;
    double perplexity, drift_base; /* over the test set; over the part of it used for drift */
    uint64_t scored_ids;
    uint32_t too_long; /* dialogues, questions and texts to classify: not judged */
    struct barista_score model, plain;         /* test dialogues */
    struct barista_score person, person_plain; /* questions written by hand */
    double temperature, calibration_before;    /* error at temperature 1 */
    struct lm_eval_drift drift[2];
    struct lm_eval_block block[LM_EVAL_BLOCKS_MAX];
    size_t block_count;
    int64_t took_ms;
};
/* DIR/eval.md and DIR/eval.json. */
MUST_USE enum err lm_eval_write(const char *out_dir, const struct lm_eval_report *report);

#endif
