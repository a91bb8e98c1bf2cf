/* automat lm corpus: dialogues from tables, phrasings and a seed, as token files or to read. */
#include "app/lm.h"
#include "app/tool.h"
#include "barista/barista.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TOKENS_PRESET   5000000u
#define VOCAB_PRESET    4096u
#define SAMPLE_BYTES    (3 * MIB) /* what the tokenizer learns from */
#define DIALOGUE_IDS    32768u
#define DIALOGUE_BYTES  (256 * KIB)
#define SCRATCH_BYTES   (4 * MIB)
#define HELD_OUT_SHARE  40u /* of valid and of test, each: one part in so many */
#define HELD_OUT_TOKENS 20000u

struct maker {
    struct barista_facts *facts;
    struct barista_corpus *corpus;
    struct lm_tokenizer *tokenizer;
    struct arena scratch;
    struct buf text;
    struct tool_bar bar;
    int64_t began_ms;
    struct lm_fault fault;
    enum err err;
    uint64_t sampled; /* bytes for the tokenizer */
};

static void maker_finish(struct maker *m)
{
    tool_bar_end(&m->bar);
    barista_corpus_destroy(m->corpus);
    barista_facts_destroy(m->facts);
    lm_tokenizer_destroy(m->tokenizer);
    buf_finish(&m->text);
    arena_finish(&m->scratch);
}

static enum err maker_init(struct maker *m, const char *dir)
{
    *m = (struct maker){.began_ms = sys_mono_ms()};
    tool_bar_init(&m->bar);
    arena_init(&m->scratch, SCRATCH_BYTES);
    buf_init(&m->text, DIALOGUE_BYTES);
    return barista_facts_load(dir, &m->fault, &m->facts);
}

static enum err open_split(struct maker *m, const char *dir, const char *name,
                           enum barista_split split, uint64_t seed)
{
    struct lm_config config;
    barista_corpus_destroy(m->corpus);
    m->corpus = NULL;
    /* A configuration of one's own speaks like the smallest. */
    struct barista_corpus_options options = {
        .model = lm_config_named(str_from(name), &config) ? str_from(name) : STR("tanka"),
        .split = split,
        .seed = seed,
    };
    return barista_corpus_create(dir, m->facts, &options, &m->fault, &m->corpus);
}

static void show(struct maker *m, const char *what, uint64_t done, uint64_t all)
{
    int64_t spent_ms = sys_mono_ms() - m->began_ms;
    tool_bar_show(&m->bar, spent_ms,
                  done > 0 ? (int64_t)((double)spent_ms * (double)all / (double)done) : 0, what);
}

/* The next dialogue as text in m->text. */
static enum err next_text(struct maker *m)
{
    struct barista_dialogue dialogue;
    arena_reset(&m->scratch);
    buf_consume(&m->text, m->text.len);
    enum err err = barista_corpus_next(m->corpus, &m->scratch, &dialogue);
    return err == ERR_OK ? barista_dialogue_text(&dialogue, &m->text) : err;
}

static bool sample(void *cookie, struct str *ret_text)
{
    struct maker *m = cookie;
    if (m->err == ERR_OK && m->sampled < SAMPLE_BYTES)
        m->err = next_text(m);
    if (m->err != ERR_OK || m->sampled >= SAMPLE_BYTES)
        return false;
    m->sampled += m->text.len;
    show(m, "reading for the tokenizer", m->sampled, SAMPLE_BYTES);
    *ret_text = buf_str(&m->text);
    return true;
}

static enum err learn_tokenizer(struct maker *m, uint32_t vocab, const char *path)
{
    m->began_ms = sys_mono_ms();
    enum err err = lm_tokenizer_train(sample, m, vocab, &m->tokenizer);
    if (err == ERR_OK)
        err = m->err;
    return err == ERR_OK ? lm_tokenizer_write(m->tokenizer, path) : err;
}

struct tally {
    uint64_t dialogues, tokens, scored, longest, above_256, above_512;
};

static void count(struct tally *tally, const uint16_t *ids, size_t n)
{
    tally->dialogues++;
    tally->tokens += n;
    tally->longest = n > tally->longest ? n : tally->longest;
    tally->above_256 += n > 256;
    tally->above_512 += n > 512;
    for (size_t i = 1; i < n; i++)
        tally->scored += (ids[i] & LM_TOKEN_QUIET) == 0;
}

/* Dialogues until there are `tokens`. */
static enum err fill(struct maker *m, struct lm_tokens_writer *writer, uint64_t tokens,
                     const char *what, struct tally *tally)
{
    uint16_t *ids = mem_alloc(DIALOGUE_IDS * sizeof(*ids));
    enum err err = ids != NULL ? ERR_OK : ERR_NOMEM;
    *tally = (struct tally){0};
    m->began_ms = sys_mono_ms();
    while (err == ERR_OK && tally->tokens < tokens && !app_lm_stop_wanted(NULL)) {
        struct barista_dialogue dialogue;
        size_t n = 0;
        arena_reset(&m->scratch);
        err = barista_corpus_next(m->corpus, &m->scratch, &dialogue);
        if (err == ERR_OK)
            err = barista_dialogue_ids(m->tokenizer, &dialogue, ids, DIALOGUE_IDS, &n);
        if (err == ERR_OK)
            err = lm_tokens_writer_add(writer, ids, n);
        if (err == ERR_OK)
            count(tally, ids, n);
        show(m, what, tally->tokens, tokens);
    }
    mem_free(ids);
    return err == ERR_OK && app_lm_stop_wanted(NULL) ? ERR_CLOSED : err;
}

static enum err write_split(struct maker *m, const char *path, uint64_t tokens, const char *what,
                            struct tally *tally)
{
    struct lm_tokens_writer *writer = NULL;
    enum err err = lm_tokens_writer_create(path, lm_tokenizer_vocab(m->tokenizer), &writer);
    if (err != ERR_OK)
        return err;
    err = fill(m, writer, tokens, what, tally);
    if (err == ERR_OK)
        return lm_tokens_writer_finish(writer);
    lm_tokens_writer_destroy(writer);
    return err;
}

static const struct split {
    enum barista_split split;
    const char *name, *file;
} splits[] = {{BARISTA_TRAIN, "train", "train.tok"},
              {BARISTA_VALID, "valid", "valid.tok"},
              {BARISTA_TEST, "test", "test.tok"}};

/* The last file is the first that is looked for, so a run that was cut short is made again. */
static enum err make_splits(struct maker *m, const struct options *options, const char *name,
                            const char *dir, const char *out_dir)
{
    char path[APP_LM_PATH_BYTES];
    uint64_t tokens = options->lm.tokens != 0 ? options->lm.tokens : TOKENS_PRESET;
    uint64_t held_out = tokens / HELD_OUT_SHARE;
    held_out = held_out < HELD_OUT_TOKENS ? HELD_OUT_TOKENS : held_out;
    enum err err = ERR_OK;
    for (size_t i = ARRAY_COUNT(splits); err == ERR_OK && i-- > 0;) {
        struct tally t;
        err = open_split(m, dir, name, splits[i].split, app_lm_seed(options));
        if (err == ERR_OK)
            err = write_split(m, app_lm_path(path, out_dir, splits[i].file),
                              i == 0 ? tokens : held_out, splits[i].name, &t);
        tool_bar_end(&m->bar);
        if (err == ERR_OK)
            (void)fprintf(stderr,
                          "%-5s %" PRIu64 " tokens in %" PRIu64 " dialogues, %.0f %% scored; mean "
                          "%.0f, longest %" PRIu64 ", %.1f %% above 256, %.1f %% above 512\n",
                          splits[i].name, t.tokens, t.dialogues,
                          100 * (double)t.scored / (double)t.tokens,
                          (double)t.tokens / (double)t.dialogues, t.longest,
                          100 * (double)t.above_256 / (double)t.dialogues,
                          100 * (double)t.above_512 / (double)t.dialogues);
    }
    return err;
}

bool app_lm_corpus_make(const struct options *options, const char *name, const char *dir,
                        const char *out_dir)
{
    struct maker m;
    char path[APP_LM_PATH_BYTES];
    uint32_t vocab = options->lm.vocab != 0 ? options->lm.vocab : VOCAB_PRESET;
    enum err err = maker_init(&m, dir);
    if (err == ERR_OK)
        err = dir_make(out_dir, 0755);
    if (err == ERR_OK)
        err = open_split(&m, dir, name, BARISTA_TRAIN, app_lm_seed(options));
    if (err == ERR_OK)
        err = learn_tokenizer(&m, vocab, app_lm_path(path, out_dir, "tokenizer.json"));
    tool_bar_end(&m.bar);
    if (err == ERR_OK) {
        (void)fprintf(stderr, "tokenizer: %u ids\n", lm_tokenizer_vocab(m.tokenizer));
        err = make_splits(&m, options, name, dir, out_dir);
    }
    if (err != ERR_OK)
        (void)app_lm_failed(dir, err, &m.fault);
    maker_finish(&m);
    return err == ERR_OK;
}

/* To read: what a model would learn from. */
static int print_text(const struct options *options, const char *name, const char *dir)
{
    struct maker m;
    uint32_t wanted = options->count != 0 ? options->count : 5;
    enum err err = maker_init(&m, dir);
    if (err == ERR_OK)
        err = open_split(&m, dir, name, BARISTA_TRAIN, app_lm_seed(options));
    for (uint32_t i = 0; err == ERR_OK && i < wanted; i++) {
        err = next_text(&m);
        if (err == ERR_OK)
            (void)printf("%.*s\n\n", STR_ARG(buf_str(&m.text)));
    }
    if (err != ERR_OK)
        (void)app_lm_failed(dir, err, &m.fault);
    maker_finish(&m);
    return err == ERR_OK ? 0 : 1;
}

int app_lm_corpus(const struct options *options)
{
    const char *name = app_lm_word(options) != NULL ? app_lm_word(options) : "tanka";
    const char *dir = options->data != NULL ? options->data : options->lm.corpus;
    if (options->lm.text)
        return print_text(options, name, dir);
    if (options->out == NULL) {
        app_complain("--out (AUTOMAT_OUT): a folder is needed; or --text, to read");
        return 2;
    }
    app_lm_catch_stop();
    return app_lm_corpus_make(options, name, dir, options->out) ? 0 : 1;
}
