/* Token files. */
#include "kit/kit.h"
#include "lm/file/file_int.h"

#include <string.h>

static const char *write_some(const char *dir, uint32_t vocab, size_t count)
{
    const char *path = kit_path(dir, "x.tokens");
    struct lm_tokens_writer *writer;
    uint16_t ids[100];
    CHECK_OK(lm_tokens_writer_create(path, vocab, &writer));
    for (size_t at = 0; at < count; at += ARRAY_COUNT(ids)) {
        size_t part = count - at < ARRAY_COUNT(ids) ? count - at : ARRAY_COUNT(ids);
        for (size_t i = 0; i < part; i++)
            ids[i] = (uint16_t)((at + i) % vocab) | ((at + i) % 3 == 0 ? LM_TOKEN_QUIET : 0);
        CHECK_OK(lm_tokens_writer_add(writer, ids, part));
    }
    CHECK(!path_exists(path));
    CHECK_OK(lm_tokens_writer_finish(writer));
    return path;
}

TEST(what_is_written_is_read)
{
    static const size_t counts[] = {0, 1, 99, 32768, 100003};
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        struct lm_tokens *tokens;
        struct lm_fault fault;
        const char *path = write_some(kit_tempdir(), 700, counts[c]);
        CHECK_OK(lm_tokens_open(path, &fault, &tokens));
        CHECK_EQ(lm_tokens_count(tokens), counts[c]);
        CHECK_EQ(lm_tokens_vocab(tokens), 700);
        for (size_t i = 0; i < counts[c]; i++)
            CHECK_EQ(lm_tokens_at(tokens)[i], i % 700 + (i % 3 == 0 ? LM_TOKEN_QUIET : 0));
        lm_tokens_close(tokens);
    }
}

TEST(an_id_out_of_range_is_refused_on_both_sides)
{
    struct lm_tokens_writer *writer = NULL;
    struct lm_tokens *tokens = NULL;
    struct lm_fault fault;
    const uint16_t bad = 50, good = 49 | LM_TOKEN_QUIET;
    const char *dir = kit_tempdir();
    const char *path = kit_path(dir, "x");
    CHECK_ERR(lm_tokens_writer_create(path, 0, &writer), ERR_INPUT);
    CHECK_ERR(lm_tokens_writer_create(path, LM_VOCAB_MAX + 1, &writer), ERR_INPUT);
    CHECK_OK(lm_tokens_writer_create(path, 50, &writer));
    CHECK_ERR(lm_tokens_writer_add(writer, &bad, 1), ERR_INPUT);
    CHECK_OK(lm_tokens_writer_add(writer, &good, 1));
    lm_tokens_writer_destroy(writer);
    CHECK(!path_exists(path));
    CHECK(!path_exists(kit_path(dir, "x.tmp")));
    size_t len;
    char *bytes = kit_read_file(write_some(dir, 50, 30), &len);
    bytes[64 + 2 * 7] = 50;
    CHECK_ERR(lm_tokens_parse((struct str){bytes, len}, &fault, &tokens), ERR_INPUT);
    CHECK_EQ(fault.at_byte, 64 + 2 * 7);
}

TEST(every_prefix_and_every_changed_header_byte_is_refused)
{
    size_t len;
    struct lm_tokens *tokens = NULL;
    struct lm_fault fault;
    char *bytes = kit_read_file(write_some(kit_tempdir(), 50, 10), &len);
    for (size_t prefix = 0; prefix < len; prefix++) {
        char *copy = kit_guard_page(bytes, prefix);
        CHECK_ERR(lm_tokens_parse((struct str){copy, prefix}, &fault, &tokens), ERR_INPUT);
        CHECK(fault.why[0] != '\0');
        kit_free_guard(copy);
    }
    for (size_t at = 0; at < 64; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (char)(1u << bit);
            CHECK_ERR(lm_tokens_parse((struct str){bytes, len}, &fault, &tokens), ERR_INPUT);
            bytes[at] ^= (char)(1u << bit);
        }
    }
    CHECK_OK(lm_tokens_parse((struct str){bytes, len}, &fault, &tokens));
    lm_tokens_close(tokens);
}

TEST(a_newer_version_is_told_from_a_broken_file)
{
    size_t len;
    struct lm_tokens *tokens = NULL;
    struct lm_fault fault;
    char *bytes = kit_read_file(write_some(kit_tempdir(), 50, 10), &len);
    bytes[8] = 2;
    uint32_t sum = crc32c(0, bytes, 60);
    memcpy(bytes + 60, &sum, sizeof(sum));
    CHECK_ERR(lm_tokens_parse((struct str){bytes, len}, &fault, &tokens), ERR_VERSION);
    CHECK_ERR(lm_tokens_open(kit_path(kit_tempdir(), "none"), &fault, &tokens), ERR_NOT_FOUND);
}
