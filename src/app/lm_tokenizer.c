/* automat lm tokenizer: learn one from texts, or look through one. */
#include "app/lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_IDS 65536u

static void print_piece(struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.at[i];
        if (c == '\n')
            (void)fputs("\\n", stdout);
        else if (c < ' ' || c == 127 || (c >= 128 && !utf8_valid(bytes)))
            (void)printf("\\x%02x", c);
        else
            (void)putchar(c);
    }
}

static int encode(const struct lm_tokenizer *tokenizer, const char *text)
{
    size_t count = 0;
    uint16_t *ids = mem_alloc(SHOWN_IDS * sizeof(*ids));
    if (ids == NULL)
        return app_lm_failed("--prompt", ERR_NOMEM, NULL);
    enum err err = lm_tokenizer_encode(tokenizer, str_from(text), ids, SHOWN_IDS, &count);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        (void)printf("%6u  ", ids[i]);
        print_piece(lm_tokenizer_bytes(tokenizer, ids[i]));
        (void)putchar('\n');
    }
    mem_free(ids);
    if (err != ERR_OK)
        return app_lm_failed("--prompt", err, NULL);
    (void)printf("%zu ids of %zu bytes\n", count, strlen(text));
    return 0;
}

static int decode(const struct lm_tokenizer *tokenizer, const char *text)
{
    for (char *end; *text != 0; text = *end == ',' ? end + 1 : end) {
        unsigned long id = strtoul(text, &end, 10);
        if (end == text || (*end != 0 && *end != ',') || id >= lm_tokenizer_vocab(tokenizer)) {
            app_complain("--ids (AUTOMAT_IDS): numbers below %u with commas between them, not "
                         "\"%.40s\"",
                         lm_tokenizer_vocab(tokenizer), text);
            return 2;
        }
        struct str bytes = lm_tokenizer_bytes(tokenizer, (uint32_t)id);
        (void)fwrite(bytes.at != NULL ? bytes.at : "", 1, bytes.len, stdout);
    }
    (void)putchar('\n');
    return 0;
}

/* A model's folder, one of data, or the file itself. */
static const char *find(const struct options *options, char path[APP_LM_PATH_BYTES])
{
    const char *dir = options->lm.model != NULL ? options->lm.model
                      : options->data != NULL   ? options->data
                                                : app_lm_word(options);
    if (dir == NULL)
        return NULL;
    if (strlen(dir) > 5 && strcmp(dir + strlen(dir) - 5, ".json") == 0) {
        (void)snprintf(path, APP_LM_PATH_BYTES, "%s", dir);
        return path;
    }
    if (path_exists(app_lm_path(path, dir, "tokenizer.json")))
        return path;
    (void)snprintf(path, APP_LM_PATH_BYTES, "%s/%s/tokenizer.json", options->models, dir);
    return path;
}

static int look(const struct options *options)
{
    char path[APP_LM_PATH_BYTES];
    struct lm_fault fault = {0};
    struct lm_tokenizer *tokenizer = NULL;
    if (find(options, path) == NULL) {
        app_complain("--model (AUTOMAT_MODEL): a folder with a tokenizer.json is needed");
        return 2;
    }
    enum err err = lm_tokenizer_read(path, &fault, &tokenizer);
    if (err != ERR_OK)
        return app_lm_failed(path, err, &fault);
    int status = 0;
    if (options->lm.prompt != NULL)
        status = encode(tokenizer, options->lm.prompt);
    if (options->lm.ids != NULL)
        status = decode(tokenizer, options->lm.ids);
    if (options->lm.prompt == NULL && options->lm.ids == NULL)
        (void)printf("%s: %u ids\n", path, lm_tokenizer_vocab(tokenizer));
    lm_tokenizer_destroy(tokenizer);
    return status;
}

int app_lm_tokenizer(const struct options *options)
{
    const char *name = app_lm_word(options) != NULL ? app_lm_word(options) : "all";
    if (options->out == NULL)
        return look(options);
    if (options->data == NULL) {
        app_complain("--data (AUTOMAT_DATA): a folder of texts (*.txt) is needed");
        return 2;
    }
    return app_lm_text_make(options, name, options->data, options->out) ? 0 : 1;
}
