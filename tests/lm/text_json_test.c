/* tokenizer.json: one's own, another's, and what is refused. */
#include "kit/kit.h"
#include "lm/text/text_int.h"

#include <stdio.h>
#include <string.h>

static bool feed_once(void *cookie, struct str *ret_text)
{
    const char **text = cookie;
    *ret_text = str_from(*text);
    bool had = *text != NULL;
    *text = NULL;
    return had;
}

static struct lm_tokenizer *learn(void)
{
    const char *text = "the crema of the ristretto, the crema of the lungo: 92.5 \xC2\xB0"
                       "C \"quoted\\\" caf\xC3\xA9 caf\xC3\xA9 \x01\x02\x7F\xFF the the\n";
    struct lm_tokenizer *t = NULL;
    CHECK_OK(lm_tokenizer_train(feed_once, &text, 320, &t));
    return t;
}

TEST(what_is_written_is_read)
{
    static const char text[] = "the lungo's \"crema\" \\ 92 \xC2\xB0"
                               "C \x01\xFF\xFE<|end|>\n\n ";
    struct lm_tokenizer *made = learn(), *read = NULL;
    struct lm_fault fault;
    uint16_t a[128], b[128];
    size_t a_count, b_count;
    const char *path = kit_path(kit_tempdir(), "tokenizer.json");
    CHECK_OK(lm_tokenizer_write(made, path));
    CHECK_OK(lm_tokenizer_read(path, &fault, &read));
    CHECK_EQ(lm_tokenizer_vocab(made), lm_tokenizer_vocab(read));
    for (uint32_t id = 0; id < lm_tokenizer_vocab(made); id++)
        CHECK(str_equal(lm_tokenizer_bytes(made, id), lm_tokenizer_bytes(read, id)));
    CHECK_OK(lm_tokenizer_encode(made, STR(text), a, ARRAY_COUNT(a), &a_count));
    CHECK_OK(lm_tokenizer_encode(read, STR(text), b, ARRAY_COUNT(b), &b_count));
    CHECK_EQ(a_count, b_count);
    CHECK_BYTES(a, b, a_count * sizeof(*a));
    /* And written once more it is the same file. */
    struct buf again;
    size_t len;
    char *first = kit_read_file(path, &len);
    buf_init(&again, MIB);
    CHECK_OK(lm_tokenizer_json(read, &again));
    CHECK_EQ(again.len, len);
    CHECK_BYTES(again.at, first, len);
    buf_finish(&again);
    lm_tokenizer_destroy(made);
    lm_tokenizer_destroy(read);
}

TEST(the_alphabet_is_gpt2s)
{
    CHECK_EQ(lm_byte_to_point(' '), 0x120);
    CHECK_EQ(lm_byte_to_point('\n'), 0x10A);
    CHECK_EQ(lm_byte_to_point(0), 0x100);
    CHECK_EQ(lm_byte_to_point('!'), '!');
    CHECK_EQ(lm_byte_to_point(0x7F), 0x121);
    CHECK_EQ(lm_byte_to_point(0xA0), 0x142);
    CHECK_EQ(lm_byte_to_point(0xAD), 0x143);
    CHECK_EQ(lm_byte_to_point(0xFF), 0xFF);
}

/* A foreign file: bytes from id 1000 on in reverse, then what the test adds. */
static void foreign(struct buf *buf, const char *vocab, const char *merges, const char *rest)
{
    buf_init(buf, MIB);
    CHECK_OK(buf_printf(buf, "{\"model\": {\"type\": \"BPE\", \"vocab\": {"));
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t point = lm_byte_to_point((uint8_t)byte);
        CHECK_OK(buf_printf(buf, "\"\\u%04x\": %u, ", point, 1255 - byte));
    }
    CHECK_OK(buf_printf(buf, "%s}, \"merges\": [%s]}%s}", vocab, merges, rest));
}

#define GPT2 ", \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}"
#define FEW  "\"th\": 7, \"the\": 9, \"\\u0120the\": 8"

static void check_foreign(const char *vocab, const char *merges, const char *rest, const char *why)
{
    struct buf buf;
    struct lm_fault fault;
    struct lm_tokenizer *t = NULL;
    foreign(&buf, vocab, merges, rest);
    enum err err = lm_tokenizer_parse(buf_str(&buf), &fault, &t);
    NOTE("%s %s %s: %s", vocab, merges, rest, fault.why);
    CHECK_ERR(err, ERR_INPUT);
    CHECK(strstr(fault.why, why) != NULL);
    buf_finish(&buf);
}

static void check_the(const char *merges)
{
    struct buf buf;
    struct lm_fault fault;
    struct lm_tokenizer *t = NULL;
    uint16_t ids[8];
    size_t count;
    foreign(&buf, FEW, merges,
            GPT2 ", \"added_tokens\": [{\"id\": 3000, \"content\": \"<s>\", \"special\": true}, "
                 "{\"id\": 2, \"content\": \"<soft>\", \"special\": false}]");
    enum err err = lm_tokenizer_parse(buf_str(&buf), &fault, &t);
    NOTE("%s", fault.why);
    CHECK_OK(err);
    CHECK_EQ(lm_tokenizer_vocab(t), 3001);
    CHECK_OK(lm_tokenizer_encode(t, STR("the the 12"), ids, ARRAY_COUNT(ids), &count));
    CHECK_EQ(count, 5);
    CHECK_EQ(ids[0], 9);
    CHECK_EQ(ids[1], 8);
    CHECK_EQ(ids[2], 1255 - ' ');
    CHECK_EQ(ids[4], 1255 - '2');
    CHECK_EQ(lm_tokenizer_bytes(t, 3000).len, 0);
    CHECK_EQ(lm_tokenizer_bytes(t, 500).len, 0);
    CHECK_SLICE(lm_tokenizer_bytes(t, 2), "<soft>");
    lm_tokenizer_destroy(t);
    buf_finish(&buf);
}

TEST(anothers_file_is_read_in_both_spellings_of_merges)
{
    check_the("\"t h\", \"th e\", \"\\u0120 the\"");
    check_the("[\"t\", \"h\"], [\"th\", \"e\"], [\"\\u0120\", \"the\"]");
}

TEST(what_would_be_applied_otherwise_is_refused_by_name)
{
    check_foreign(FEW, "\"t h\"", "", "pre_tokenizer");
    check_foreign(FEW, "", ", \"pre_tokenizer\": {\"type\": \"Whitespace\"}", "pre_tokenizer");
    check_foreign(FEW, "",
                  ", \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                  "\"add_prefix_space\": true}",
                  "pre_tokenizer");
    check_foreign(FEW, "", GPT2 ", \"normalizer\": {\"type\": \"NFC\"}", "normalizer");
    check_foreign(FEW, "", GPT2 ", \"decoder\": {\"type\": \"WordPiece\"}", "decoder");
    check_foreign(FEW, "\"th h\", \"q z\"", GPT2, "merges[0]: what it makes");
    check_foreign(FEW, "\"t h\", \"xx z\"", GPT2, "merges[1]: a half");
    check_foreign(FEW, "\"t h\", \"t h\"", GPT2, "merges[1]: the pair stands twice");
    check_foreign(FEW, "\"th\"", GPT2, "merges[0]");
    check_foreign(FEW, "7", GPT2, "merges[0]: must be");
    check_foreign(FEW, "[\"t\", \"h\", \"e\"]", GPT2, "merges[0]: must be");
    check_foreign("\"th\": 7, \"he\": 7", "", GPT2, "id 7 stands twice");
    check_foreign("\"th\": 32768", "", GPT2, "\"th\" is not 0 to 32767");
    check_foreign("\"th\": -1", "", GPT2, "\"th\" is not 0 to 32767");
    check_foreign("\"th\": \"7\"", "", GPT2, "\"th\" is not 0 to 32767");
    check_foreign("\"t h\": 7", "", GPT2, "not in the byte-level alphabet");
    check_foreign("\"\\u2603\": 7", "", GPT2, "not in the byte-level alphabet");
    check_foreign("\"\": 7", "", GPT2, "not in the byte-level alphabet");
    check_foreign("\"t\": 7", "", GPT2, "duplicate");
    check_foreign(FEW, "", GPT2 ", \"added_tokens\": {}", "added_tokens: must be an array");
    check_foreign(FEW, "", GPT2 ", \"added_tokens\": [{\"content\": \"x\"}]", "added_tokens[0].id");
    check_foreign(FEW, "", GPT2 ", \"added_tokens\": [{\"id\": 3}]", "added_tokens[0].content");
    check_foreign(FEW, "", GPT2 ", \"added_tokens\": [{\"id\": 7, \"content\": \"<x>\"}]",
                  "id 7 is an added token's");
    check_foreign(FEW, "", GPT2 ", \"added_tokens\": [{\"id\": 3, \"content\": \"th\"}]",
                  "another id for it");
    check_foreign(FEW, "",
                  GPT2 ", \"added_tokens\": [{\"id\": 3, \"content\": \"<x>\"}, "
                       "{\"id\": 4, \"content\": \"<x>\"}]",
                  "added_tokens[1]: its id or content stands twice");
}

TEST(a_file_without_some_byte_is_refused)
{
    struct lm_fault fault;
    struct lm_tokenizer *t = NULL;
    CHECK_ERR(lm_tokenizer_parse(STR("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, "
                                     "\"merges\": []}" GPT2 "}"),
                                 &fault, &t),
              ERR_INPUT);
    CHECK(strstr(fault.why, "0x00") != NULL);
    CHECK_ERR(lm_tokenizer_parse(STR("{\"model\": {\"type\": \"WordPiece\"}" GPT2 "}"), &fault, &t),
              ERR_INPUT);
    CHECK(strstr(fault.why, "model.type") != NULL);
    CHECK_ERR(lm_tokenizer_parse(STR("[]"), &fault, &t), ERR_INPUT);
    CHECK_ERR(lm_tokenizer_parse(STR("{}"), &fault, &t), ERR_INPUT);
    CHECK_ERR(lm_tokenizer_parse(STR_NONE, &fault, &t), ERR_INPUT);
    CHECK_ERR(lm_tokenizer_read(kit_path(kit_tempdir(), "none"), &fault, &t), ERR_NOT_FOUND);
    CHECK(strstr(fault.why, "none") != NULL);
}

TEST(every_prefix_is_refused_without_reading_on)
{
    struct buf buf;
    struct lm_fault fault;
    struct lm_tokenizer *t = NULL;
    foreign(&buf, FEW, "\"t h\"", GPT2);
    for (size_t len = 0; len < buf.len; len += len + 100 < buf.len ? 17 : 1) {
        char *copy = kit_guard_page(buf.at, len);
        CHECK_ERR(lm_tokenizer_parse((struct str){copy, len}, &fault, &t), ERR_INPUT);
        CHECK(strstr(fault.why, "line 1") != NULL);
        kit_free_guard(copy);
    }
    buf_finish(&buf);
}

TEST(reading_and_writing_survive_failed_allocations)
{
    struct lm_tokenizer *made = learn();
    struct lm_fault fault;
    struct buf buf;
    buf_init(&buf, MIB);
    CHECK_OK(lm_tokenizer_json(made, &buf));
    int64_t live = mem_live();
    for (uint32_t nth = 1;; nth += nth < 40 ? 1 : 29) {
        struct lm_tokenizer *read = NULL;
        mem_fail_at(nth);
        enum err err = lm_tokenizer_parse(buf_str(&buf), &fault, &read);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        lm_tokenizer_destroy(read);
        CHECK_EQ(mem_live(), live);
        if (!fired)
            break;
    }
    buf_finish(&buf);
    lm_tokenizer_destroy(made);
}
