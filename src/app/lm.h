/* lm: the verbs of `automat lm`, one a file, and what they share. */
#ifndef AUTOMAT_APP_LM_H
#define AUTOMAT_APP_LM_H

#include "app/app.h"
#include "lm/lm.h"

int app_lm_train(const struct options *options);
int app_lm_tune(const struct options *options);
int app_lm_corpus(const struct options *options);
int app_lm_tokenizer(const struct options *options);
int app_lm_quantise(const struct options *options);
int app_lm_params(const struct options *options);
int app_lm_logits(const struct options *options);
int app_lm_chat(const struct options *options);
int app_lm_eval(const struct options *options);

/* The word after the verb, or NULL: `automat lm train tanka`. */
const char *app_lm_word(const struct options *options);
/* --model as a folder: itself when it holds config.json, else --models/NAME when that does.  NULL:
 * it said on stderr what is missing. */
const char *app_lm_model_dir(const struct options *options, char *dst, size_t dst_bytes);
/* "what: why", or what and the kind of failure when `fault` says nothing.  Returns 1. */
int app_lm_failed(const char *what, enum err err, const struct lm_fault *fault);

/* ---- what train, tune and corpus share (lm_data.c, lm_corpus.c, lm_text.c) ---- */

#define APP_LM_PATH_BYTES 4096

struct app_lm_data {
    char train[APP_LM_PATH_BYTES], valid[APP_LM_PATH_BYTES], tokenizer[APP_LM_PATH_BYTES];
    bool has_valid;
    uint32_t vocab_used;
};
/* DIR of token files as it is; of a corpus (facts/, phrases/) or of texts (*.txt): made under
 * `made_dir` (or taken from there when `keep` and all is there).  False: it said why. */
MUST_USE bool app_lm_data_find(const struct options *options, const char *name, const char *dir,
                               const char *made_dir, bool keep, struct app_lm_data *ret_data);
/* train.tok, valid.tok, test.tok and tokenizer.json from a corpus folder. */
MUST_USE bool app_lm_corpus_make(const struct options *options, const char *name, const char *dir,
                                 const char *out_dir);
/* The same, without test.tok, from texts: dialogues are separated by blank lines. */
MUST_USE bool app_lm_text_make(const struct options *options, const char *name, const char *dir,
                               const char *out_dir);
/* "DIR/NAME" in `dst`, which is returned. */
const char *app_lm_path(char dst[APP_LM_PATH_BYTES], const char *dir, const char *name);
/* tanka, villanelle, ode; or --model DIR's config.json.  False: it said what is missing. */
MUST_USE bool app_lm_config(const struct options *options, struct lm_config *ret_config);
uint64_t app_lm_seed(const struct options *options);
/* Texts of --schedule, --precision, --dtype.  False: it said what is wrong. */
MUST_USE bool app_lm_train_options(const struct options *options, struct lm_train_options *ret);
/* SIGINT and SIGTERM ask to stop; a second one ends the program. */
void app_lm_catch_stop(void);
bool app_lm_stop_wanted(void *cookie);

#endif
