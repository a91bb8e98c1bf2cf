/* automat lm: the language models in the terminal.  This file finds the verb. */
#include "app/lm.h"

#include <stdio.h>
#include <string.h>

static const struct verb {
    const char *name;
    int (*run)(const struct options *options);
    const char *usage, *help;
} verbs[] = {
    {"train", app_lm_train, "train NAME [--data DIR] [--epochs N] [--out DIR]",
     "teach a model; --resume goes on"},
    {"tune", app_lm_tune, "tune NAME [--data DIR] [--steps N]",
     "look for a learning rate and a weight decay"},
    {"corpus", app_lm_corpus, "corpus NAME --out DIR [--tokens N] | --text",
     "make dialogues from tables and phrases"},
    {"tokenizer", app_lm_tokenizer, "tokenizer --data DIR --out DIR | --model DIR --prompt TEXT",
     "learn one from texts, or look through one"},
    {"quantise", app_lm_quantise, "quantise --model DIR --out DIR --dtype int8",
     "weights in 8 or 4 bits"},
    {"params", app_lm_params, "params --model DIR|NAME", "count the parameters"},
    {"logits", app_lm_logits, "logits --model DIR --ids N,N,... [--dtype D]",
     "what comes after these ids, as numbers"},
    {"chat", app_lm_chat, "chat --model DIR|NAME [--prompt TEXT]", "talk with one"},
    {"eval", app_lm_eval, "eval --model DIR|NAME [--data DIR] [--out DIR]",
     "judge one beside a baseline, on what was held out"},
};

const char *app_lm_word(const struct options *options)
{
    return options->word_count > 1 ? options->words[1] : NULL;
}

const char *app_lm_model_dir(const struct options *options, char *dst, size_t dst_bytes)
{
    char file[1024];
    const char *name = options->lm.model != NULL ? options->lm.model : app_lm_word(options);
    if (name == NULL) {
        app_complain("--model (AUTOMAT_MODEL): a folder or a name is needed");
        return NULL;
    }
    (void)snprintf(dst, dst_bytes, "%s", name);
    (void)snprintf(file, sizeof(file), "%s/config.json", dst);
    if (path_exists(file))
        return dst;
    (void)snprintf(dst, dst_bytes, "%s/%s", options->models, name);
    (void)snprintf(file, sizeof(file), "%s/config.json", dst);
    if (path_exists(file))
        return dst;
    app_complain("--model (AUTOMAT_MODEL): there is no config.json in \"%s\", nor in \"%s\"", name,
                 dst);
    return NULL;
}

int app_lm_failed(const char *what, enum err err, const struct lm_fault *fault)
{
    if (fault != NULL && fault->why[0] != 0)
        app_complain("%s: %s", what, fault->why);
    else
        app_complain("%s: %s", what, err_name(err));
    return 1;
}

static int usage(void)
{
    (void)fputs("automat: usage:\n", stderr);
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (verbs[i].name != NULL)
            (void)fprintf(stderr, "  automat lm %-44s %s\n", verbs[i].usage, verbs[i].help);
    }
    return 2;
}

int app_lm(const struct options *options)
{
    const char *word = options->word_count > 0 ? options->words[0] : "";
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        if (verbs[i].name != NULL && strcmp(verbs[i].name, word) == 0)
            return verbs[i].run(options);
    }
    if (word[0] != 0)
        app_complain("lm: there is no verb \"%.40s\"", word);
    return usage();
}
