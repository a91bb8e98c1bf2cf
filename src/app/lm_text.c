/* Token files from plain texts: dialogues separated by blank lines, as many people keep them. */
#include "app/lm.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX     256
#define TEXT_MAX      (512 * MIB)
#define DIALOGUE_IDS  65536u
#define HELD_OUT_EACH 20u /* without a file for it, every so many-th dialogue is held out */
#define VOCAB_PRESET  4096u

struct texts {
    char *file[FILES_MAX];
    size_t file_count;
    struct buf train, valid;
    struct str rest; /* for the tokenizer */
};

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err list(struct texts *texts, const char *dir)
{
    DIR *folder = opendir(dir);
    enum err err = ERR_OK;
    if (folder == NULL)
        return ERR_NOT_FOUND;
    for (struct dirent *entry; err == ERR_OK && (entry = readdir(folder)) != NULL;) {
        if (!ends_with(entry->d_name, ".txt"))
            continue;
        if (texts->file_count == FILES_MAX) {
            err = ERR_FULL;
            break;
        }
        char *name = mem_strdup(str_from(entry->d_name));
        if (name == NULL)
            err = ERR_NOMEM;
        else
            texts->file[texts->file_count++] = name;
    }
    (void)closedir(folder);
    qsort(texts->file, texts->file_count, sizeof(texts->file[0]), by_name);
    return err;
}

static bool is_held_out(const char *name)
{
    return ends_with(name, "val.txt") || ends_with(name, "valid.txt") ||
           ends_with(name, "validation.txt");
}

static enum err add_file(struct buf *to, const char *dir, const char *name)
{
    char path[APP_LM_PATH_BYTES];
    struct buf bytes;
    enum err err = file_read(app_lm_path(path, dir, name), TEXT_MAX, &bytes);
    if (err != ERR_OK)
        return err;
    err = buf_add_str(to, buf_str(&bytes));
    if (err == ERR_OK)
        err = buf_add_str(to, STR("\n\n"));
    buf_finish(&bytes);
    return err;
}

/* A folder for several models has NAME-training.txt: then that alone is read. */
static enum err read_texts(struct texts *texts, const char *dir, const char *name)
{
    char own[128];
    bool has_own = false;
    enum err err = list(texts, dir);
    (void)snprintf(own, sizeof(own), "%s-training.txt", name);
    for (size_t i = 0; i < texts->file_count; i++)
        has_own = has_own || strcmp(texts->file[i], own) == 0;
    for (size_t i = 0; err == ERR_OK && i < texts->file_count; i++) {
        if (is_held_out(texts->file[i]))
            err = add_file(&texts->valid, dir, texts->file[i]);
        else if (!has_own || strcmp(texts->file[i], own) == 0)
            err = add_file(&texts->train, dir, texts->file[i]);
    }
    if (err == ERR_OK && texts->train.len == 0)
        err = ERR_NOT_FOUND;
    return err;
}

static bool is_blank(struct str line)
{
    for (size_t i = 0; i < line.len; i++) {
        if (strchr(" \t\r", line.at[i]) == NULL)
            return false;
    }
    return true;
}

/* Cuts the next dialogue off the front; false: there is none. */
static bool next_dialogue(struct str *rest, struct str *ret_dialogue)
{
    const char *from = NULL, *to = NULL;
    while (rest->len > 0) {
        size_t end = str_find(*rest, '\n');
        struct str line = str_slice(*rest, 0, end);
        if (is_blank(line) && from != NULL)
            break;
        if (!is_blank(line)) {
            from = from != NULL ? from : line.at;
            to = line.at + line.len;
        }
        *rest = str_slice(*rest, end + 1, rest->len);
    }
    if (from == NULL)
        return false;
    *ret_dialogue = (struct str){from, (size_t)(to - from)};
    return true;
}

static bool give(void *cookie, struct str *ret_text)
{
    struct texts *texts = cookie;
    return next_dialogue(&texts->rest, ret_text);
}

/* Dialogues of `text` of which `keep(number)` is so. */
struct choice {
    struct str text;
    bool all, held_out; /* all of it; else those that are (not) held out */
};

static enum err write_tokens(const struct lm_tokenizer *tokenizer, const char *path,
                             struct choice choice)
{
    struct lm_tokens_writer *writer = NULL;
    struct str dialogue;
    uint16_t *ids = mem_alloc(DIALOGUE_IDS * sizeof(*ids));
    if (ids == NULL)
        return ERR_NOMEM;
    enum err err = lm_tokens_writer_create(path, lm_tokenizer_vocab(tokenizer), &writer);
    for (uint64_t i = 0; err == ERR_OK && next_dialogue(&choice.text, &dialogue); i++) {
        size_t n = 0;
        if (!choice.all && (i % HELD_OUT_EACH == HELD_OUT_EACH - 1) != choice.held_out)
            continue;
        err = lm_tokenizer_encode(tokenizer, dialogue, ids + 1, DIALOGUE_IDS - 2, &n);
        if (err == ERR_FULL)
            err = ERR_OK; /* a dialogue of a whole book is cut */
        ids[0] = LM_BEGIN;
        ids[n + 1] = LM_END;
        if (err == ERR_OK)
            err = lm_tokens_writer_add(writer, ids, n + 2);
    }
    mem_free(ids);
    if (err == ERR_OK)
        return lm_tokens_writer_finish(writer);
    lm_tokens_writer_destroy(writer);
    return err;
}

static enum err make(struct texts *texts, const struct options *options, const char *out_dir)
{
    char path[APP_LM_PATH_BYTES];
    struct lm_tokenizer *tokenizer = NULL;
    uint32_t vocab = options->lm.vocab != 0 ? options->lm.vocab : VOCAB_PRESET;
    bool apart = texts->valid.len > 0;
    struct str train = buf_str(&texts->train);
    texts->rest = train;
    enum err err = dir_make(out_dir, 0755);
    if (err == ERR_OK)
        err = lm_tokenizer_train(give, texts, vocab, &tokenizer);
    if (err == ERR_OK)
        err = lm_tokenizer_write(tokenizer, app_lm_path(path, out_dir, "tokenizer.json"));
    if (err == ERR_OK)
        err = write_tokens(tokenizer, app_lm_path(path, out_dir, "valid.tok"),
                           apart ? (struct choice){buf_str(&texts->valid), true, false}
                                 : (struct choice){train, false, true});
    if (err == ERR_OK)
        err = write_tokens(tokenizer, app_lm_path(path, out_dir, "train.tok"),
                           (struct choice){train, apart, false});
    if (err == ERR_OK)
        (void)fprintf(stderr, "%zu bytes of text, %u ids\n", texts->train.len,
                      lm_tokenizer_vocab(tokenizer));
    lm_tokenizer_destroy(tokenizer);
    return err;
}

bool app_lm_text_make(const struct options *options, const char *name, const char *dir,
                      const char *out_dir)
{
    struct texts texts = {.file_count = 0};
    buf_init(&texts.train, TEXT_MAX);
    buf_init(&texts.valid, TEXT_MAX);
    enum err err = read_texts(&texts, dir, name);
    if (err == ERR_NOT_FOUND)
        app_complain("--data (AUTOMAT_DATA): \"%s\" has neither train.tok nor facts/ and phrases/ "
                     "nor texts (*.txt)",
                     dir);
    else if (err == ERR_OK)
        err = make(&texts, options, out_dir);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        (void)app_lm_failed(dir, err, NULL);
    for (size_t i = 0; i < texts.file_count; i++)
        mem_free(texts.file[i]);
    buf_finish(&texts.train);
    buf_finish(&texts.valid);
    return err == ERR_OK;
}
