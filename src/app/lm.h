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

#endif
