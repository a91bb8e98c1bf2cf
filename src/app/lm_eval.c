/* automat lm eval: a model beside a baseline, on phrasings, names and pairs that were held out and
 * on questions written by hand. */
#include "app/lm_eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIALOGUES_PRESET 400
#define VALID_TEXTS      60 /* for the temperature */
#define DRIFT_DIALOGUES  150
#define SCRATCH_BYTES    MIB
#define PARAPHRASES_MAX  512

struct eval {
    const struct options *options;
    const char *dir, *corpus_dir, *out_dir; /* out_dir: the model's own unless --out says so */
    struct barista_facts *facts;
    struct lm_tokenizer *tokenizer;
    struct lm_pool *pool;
    struct lm_eval_model model;
    struct arena scratch;
    struct lm_fault fault;
    struct lm_eval_report report;
    int64_t begun_ms;
};

static const char *persona(const char *name)
{
    static const char *const names[] = {"villanelle", "ode"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return names[i];
    }
    return "tanka";
}

static void progress(const struct eval *eval, const char *what, uint32_t done, uint32_t all)
{
    uint32_t step = all / 20 > 0 ? all / 20 : 1;
    if (done % step != 0 && done != all)
        return;
    double took = (double)(sys_mono_ms() - eval->begun_ms) / 1000;
    bool terminal = isatty(STDERR_FILENO) != 0;
    (void)fprintf(stderr, "%s%s %u of %u, %.0f s, %.0f s to go%s", terminal ? "\r\033[K" : "", what,
                  done, all, took, done > 0 ? took * (all - done) / done : 0,
                  terminal && done != all ? "" : "\n");
}

static enum err corpus_open(struct eval *eval, enum barista_split split,
                            struct barista_corpus **ret_corpus)
{
    struct barista_corpus_options options = {str_from(eval->report.name), split, eval->report.seed};
    eval->begun_ms = sys_mono_ms();
    return barista_corpus_create(eval->corpus_dir, eval->facts, &options, &eval->fault, ret_corpus);
}

/* What a model's context cannot hold is counted and not judged. */
static enum err passed_over(struct eval *eval, enum err err)
{
    if (err != ERR_FULL)
        return err;
    eval->report.too_long++;
    return ERR_OK;
}

/* ---- classes ---- */

/* Judges texts until there are `texts` of them; the facets of each. */
static enum err judge_texts(struct eval *eval, enum barista_split split, uint32_t texts,
                            struct barista_judged *ret_judged, size_t *ret_count)
{
    struct barista_corpus *corpus;
    struct barista_dialogue dialogue;
    enum err err = corpus_open(eval, split, &corpus);
    if (err != ERR_OK)
        return err;
    *ret_count = 0;
    for (uint32_t done = 0; done < texts && err == ERR_OK;) {
        size_t facets = 0;
        arena_reset(&eval->scratch);
        err = barista_corpus_next(corpus, &eval->scratch, &dialogue);
        if (err != ERR_OK || dialogue.task != BARISTA_CLASSIFY)
            continue;
        err =
            lm_eval_classes(&eval->model, eval->facts, &dialogue, ret_judged + *ret_count, &facets);
        *ret_count += err == ERR_OK ? facets : 0;
        err = passed_over(eval, err);
        progress(eval, split == BARISTA_VALID ? "classes, valid" : "classes, test", ++done, texts);
    }
    barista_corpus_destroy(corpus);
    return err;
}

static void judged_score(const struct barista_judged *judged, size_t count, double temperature,
                         struct barista_score *sums)
{
    double confidence[BARISTA_LABELS_MAX];
    for (size_t i = 0; i < count; i++) {
        size_t best = 0;
        barista_class_confidence(judged[i].logprob, judged[i].count, temperature, confidence);
        for (size_t k = 1; k < judged[i].count; k++)
            best = confidence[k] > confidence[best] ? k : best;
        sums->classes++;
        sums->classes_found += best == judged[i].right;
        barista_score_class(confidence[best], best == judged[i].right, sums);
    }
}

static enum err eval_classes(struct eval *eval)
{
    struct barista_score before = {0};
    size_t count = 0;
    struct barista_judged *judged =
        mem_alloc(sizeof(*judged) * VALID_TEXTS * 2 * BARISTA_FACETS_MAX);
    if (judged == NULL)
        return ERR_NOMEM;
    enum err err = judge_texts(eval, BARISTA_VALID, VALID_TEXTS, judged, &count);
    eval->report.temperature = barista_calibration_fit(judged, count);
    if (err == ERR_OK)
        err = dir_make(eval->out_dir, 0755);
    if (err == ERR_OK)
        err = barista_calibration_write(eval->out_dir, eval->report.temperature, count);
    if (err == ERR_OK)
        err = judge_texts(eval, BARISTA_TEST, 2 * VALID_TEXTS, judged, &count);
    if (err == ERR_OK) {
        judged_score(judged, count, 1, &before);
        judged_score(judged, count, eval->report.temperature, &eval->report.model);
        barista_score_end(&before);
        eval->report.calibration_before = before.class_calibration;
    }
    mem_free(judged);
    return err;
}

/* ---- dialogues ---- */

static bool all_right(const struct barista_dialogue *dialogue, struct str answer)
{
    struct barista_score one = {0};
    barista_score_add(dialogue, answer, &one);
    return one.slots_found == one.slots && one.must_refuse_did == one.must_refuse &&
           one.must_not_refuse_did == 0 && one.recipes_valid == one.recipes;
}

static void block_add(struct lm_eval_report *report, const struct barista_dialogue *dialogue,
                      bool model, bool plain)
{
    struct str id = dialogue->label.template_id, name = str_slice(id, 0, str_find(id, '/'));
    size_t i = 0;
    while (i < report->block_count && !str_equal(str_from(report->block[i].name), name))
        i++;
    if (i == LM_EVAL_BLOCKS_MAX)
        return;
    if (i == report->block_count) {
        report->block[i] = (struct lm_eval_block){.dialogues = 0};
        if (str_copy(report->block[i].name, sizeof(report->block[i].name), name) != ERR_OK)
            return;
        report->block_count++;
    }
    report->block[i].dialogues++;
    report->block[i].model_right += model;
    report->block[i].plain_right += plain;
}

/* Asks model and baseline the same. */
static enum err ask_both(struct eval *eval, const struct barista_dialogue *dialogue,
                         struct barista_score *model, struct barista_score *plain, bool by_block)
{
    struct buf answer, other;
    buf_init(&answer, 16 * KIB);
    buf_init(&other, 16 * KIB);
    enum err err = lm_eval_answer(&eval->model, dialogue, &answer);
    if (err == ERR_OK)
        err = barista_plain_dialogue(eval->facts, dialogue, &other);
    if (err == ERR_OK) {
        barista_score_add(dialogue, buf_str(&answer), model);
        barista_score_add(dialogue, buf_str(&other), plain);
        if (by_block)
            block_add(&eval->report, dialogue, all_right(dialogue, buf_str(&answer)),
                      all_right(dialogue, buf_str(&other)));
        if (eval->options->lm.text)
            (void)printf("%.*s\n> %.*s\n< %.*s\n= %.*s\n\n", STR_ARG(dialogue->label.template_id),
                         STR_ARG(dialogue->turns[dialogue->turn_count - 2].text),
                         STR_ARG(buf_str(&answer)),
                         STR_ARG(dialogue->turns[dialogue->turn_count - 1].text));
    }
    buf_finish(&answer);
    buf_finish(&other);
    return err;
}

static enum err eval_dialogues(struct eval *eval)
{
    struct barista_corpus *corpus = NULL;
    struct barista_dialogue dialogue;
    uint32_t done = 0, all = eval->report.dialogues;
    double sum = 0, drift = 0;
    uint64_t drift_count = 0;
    enum err err = corpus_open(eval, BARISTA_TEST, &corpus);
    while (err == ERR_OK && done < all) {
        arena_reset(&eval->scratch);
        err = barista_corpus_next(corpus, &eval->scratch, &dialogue);
        if (err == ERR_OK)
            err = lm_eval_loss(&eval->model, &dialogue, &sum, &eval->report.scored_ids);
        if (err == ERR_OK && dialogue.task != BARISTA_CLASSIFY)
            err = passed_over(
                eval, ask_both(eval, &dialogue, &eval->report.model, &eval->report.plain, true));
        done++;
        if (done == eval->report.drift_dialogues) {
            drift = sum;
            drift_count = eval->report.scored_ids;
        }
        progress(eval, "dialogues", done, all);
    }
    if (eval->report.scored_ids > 0)
        eval->report.perplexity = exp(-sum / (double)eval->report.scored_ids);
    if (drift_count > 0)
        eval->report.drift_base = exp(-drift / (double)drift_count);
    barista_corpus_destroy(corpus);
    return err;
}

/* ---- questions written by hand ---- */

static enum err eval_paraphrases(struct eval *eval)
{
    struct barista_paraphrases *set;
    enum err err = barista_paraphrases_load(eval->corpus_dir, &eval->fault, &set);
    if (err != ERR_OK)
        return err;
    uint32_t all = (uint32_t)barista_paraphrases_count(set);
    eval->report.paraphrases = all;
    eval->begun_ms = sys_mono_ms();
    for (uint32_t i = 0; i < all && err == ERR_OK; i++) {
        struct barista_dialogue dialogue;
        arena_reset(&eval->scratch);
        err = barista_paraphrases_at(set, i, eval->facts, str_from(eval->report.name),
                                     &eval->scratch, &dialogue);
        if (err == ERR_OK)
            err = passed_over(eval, ask_both(eval, &dialogue, &eval->report.person,
                                             &eval->report.person_plain, false));
        progress(eval, "questions by hand", i + 1, all);
    }
    barista_paraphrases_destroy(set);
    return err;
}

/* ---- drift of smaller weights ---- */

static enum err eval_drift(struct eval *eval, struct lm_eval_drift *drift)
{
    struct lm_model_options options = {.dtype = drift->dtype};
    struct lm_eval_model *small = mem_zalloc(sizeof(*small));
    struct barista_corpus *corpus = NULL;
    struct barista_dialogue dialogue;
    double sum = 0;
    uint64_t count = 0;
    if (small == NULL)
        return ERR_NOMEM;
    enum err err =
        lm_eval_open(eval->dir, &options, eval->tokenizer, eval->pool, &eval->fault, small);
    if (err == ERR_OK)
        err = corpus_open(eval, BARISTA_TEST, &corpus);
    for (uint32_t i = 0; i < eval->report.drift_dialogues && err == ERR_OK; i++) {
        arena_reset(&eval->scratch);
        err = barista_corpus_next(corpus, &eval->scratch, &dialogue);
        if (err == ERR_OK)
            err = lm_eval_loss(small, &dialogue, &sum, &count);
        progress(eval, lm_dtype_name(drift->dtype), i + 1, eval->report.drift_dialogues);
    }
    if (err == ERR_OK && count > 0) {
        drift->measured = true;
        drift->perplexity = exp(-sum / (double)count);
    }
    barista_corpus_destroy(corpus);
    lm_eval_close(small);
    mem_free(small);
    return err;
}

/* ---- all of it ---- */

static enum err eval_all(struct eval *eval)
{
    struct lm_eval_report *report = &eval->report;
    int64_t begun_ms = sys_mono_ms();
    enum err err = eval_dialogues(eval);
    if (err == ERR_OK)
        err = eval_paraphrases(eval);
    if (err == ERR_OK)
        err = eval_classes(eval);
    report->drift[0].dtype = LM_INT8;
    report->drift[1].dtype = LM_INT4;
    bool whole = report->dtype == LM_F32 || report->dtype == LM_BF16;
    for (size_t i = 0; i < ARRAY_COUNT(report->drift) && whole && err == ERR_OK; i++)
        err = eval_drift(eval, &report->drift[i]);
    if (err != ERR_OK)
        return err;
    barista_score_end(&report->model);
    barista_score_end(&report->plain);
    barista_score_end(&report->person);
    barista_score_end(&report->person_plain);
    report->took_ms = sys_mono_ms() - begun_ms;
    return lm_eval_write(eval->out_dir, report);
}

static enum err eval_open(struct eval *eval)
{
    const struct options *options = eval->options;
    struct lm_model_options stored = {.as_stored = options->lm.dtype == NULL};
    char path[APP_LM_PATH_BYTES];
    if (options->lm.dtype != NULL)
        (void)lm_dtype_parse(str_from(options->lm.dtype), &stored.dtype); /* it was looked at */
    enum err err = barista_facts_load(eval->corpus_dir, &eval->fault, &eval->facts);
    if (err == ERR_OK)
        err = lm_tokenizer_read(app_lm_path(path, eval->dir, "tokenizer.json"), &eval->fault,
                                &eval->tokenizer);
    if (err == ERR_OK)
        err = lm_pool_create(options->lm.threads, &eval->pool);
    if (err == ERR_OK)
        err = lm_eval_open(eval->dir, &stored, eval->tokenizer, eval->pool, &eval->fault,
                           &eval->model);
    if (err != ERR_OK)
        return err;
    eval->report.dir = eval->dir;
    eval->report.name = persona(lm_model_config(eval->model.model)->name);
    eval->report.dtype = lm_model_dtype(eval->model.model);
    eval->report.seed = app_lm_seed(options) + 1000; /* not the seed of training */
    eval->report.dialogues = options->count > 0 ? options->count : DIALOGUES_PRESET;
    eval->report.drift_dialogues =
        eval->report.dialogues < DRIFT_DIALOGUES ? eval->report.dialogues : DRIFT_DIALOGUES;
    return ERR_OK;
}

int app_lm_eval(const struct options *options)
{
    char dir[APP_LM_PATH_BYTES];
    enum lm_dtype dtype;
    if (options->lm.dtype != NULL && !lm_dtype_parse(str_from(options->lm.dtype), &dtype)) {
        app_complain("--dtype (AUTOMAT_DTYPE): it is f32, bf16, int8 or int4, not \"%.20s\"",
                     options->lm.dtype);
        return 2;
    }
    struct eval *eval = mem_zalloc(sizeof(*eval));
    if (eval == NULL)
        return app_lm_failed("eval", ERR_NOMEM, NULL);
    eval->options = options;
    eval->dir = app_lm_model_dir(options, dir, sizeof(dir));
    eval->corpus_dir = options->data != NULL        ? options->data
                       : options->lm.corpus != NULL ? options->lm.corpus
                                                    : "corpus";
    eval->out_dir = options->out != NULL ? options->out : eval->dir;
    arena_init(&eval->scratch, SCRATCH_BYTES);
    enum err err = eval->dir == NULL ? ERR_NOT_FOUND : eval_open(eval);
    if (err == ERR_OK)
        err = eval_all(eval);
    int status = err == ERR_OK       ? 0
                 : eval->dir == NULL ? 1
                                     : app_lm_failed(eval->dir, err, &eval->fault);
    lm_eval_close(&eval->model);
    lm_pool_destroy(eval->pool);
    lm_tokenizer_destroy(eval->tokenizer);
    barista_facts_destroy(eval->facts);
    arena_finish(&eval->scratch);
    mem_free(eval);
    return status;
}
