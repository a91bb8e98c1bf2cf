/* rooms: lm */
/* tokenizer.json: what is accepted can be written and reads the same, and gives any bytes back; the
 * bytes are those of the file itself. */
#include "lm/text/text_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 4096

static void must(bool fact)
{
    if (!fact)
        abort();
}

static void round_trip(const struct lm_tokenizer *t, struct str text)
{
    uint16_t ids[TEXT_MAX];
    size_t count, at = 0;
    must(lm_tokenizer_encode(t, text, ids, TEXT_MAX, &count) == ERR_OK);
    for (size_t i = 0; i < count; i++) {
        struct str piece = lm_tokenizer_bytes(t, ids[i]);
        must(piece.len > 0 && piece.len <= text.len - at);
        must(memcmp(text.at + at, piece.at, piece.len) == 0);
        at += piece.len;
    }
    must(at == text.len);
}

static void write_again(const struct lm_tokenizer *t)
{
    struct lm_fault fault;
    struct lm_tokenizer *again = NULL;
    struct buf one, two;
    buf_init(&one, LM_TOKENIZER_MAX);
    buf_init(&two, LM_TOKENIZER_MAX);
    must(lm_tokenizer_json(t, &one) == ERR_OK);
    must(lm_tokenizer_parse(buf_str(&one), &fault, &again) == ERR_OK);
    must(lm_tokenizer_json(again, &two) == ERR_OK);
    must(str_equal(buf_str(&one), buf_str(&two)));
    must(lm_tokenizer_vocab(t) >= lm_tokenizer_vocab(again));
    buf_finish(&one);
    buf_finish(&two);
    lm_tokenizer_destroy(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lm_fault fault;
    struct lm_tokenizer *t = NULL;
    struct str text = {(const char *)data, size};
    enum err err = lm_tokenizer_parse(text, &fault, &t);
    must(err == ERR_OK ? t != NULL : err == ERR_INPUT && fault.why[0] != '\0');
    if (err != ERR_OK)
        return 0;
    round_trip(t, str_slice(text, 0, TEXT_MAX));
    write_again(t);
    lm_tokenizer_destroy(t);
    return 0;
}
