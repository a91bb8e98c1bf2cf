/* Words, learning, ids and back. */
#include "kit/kit.h"
#include "lm/text/text_int.h"

#include <string.h>

/* A text in pieces. */
struct feed {
    const struct str *texts;
    size_t count, at;
};

static bool feed_next(void *cookie, struct str *ret_text)
{
    struct feed *feed = cookie;
    if (feed->at >= feed->count)
        return false;
    *ret_text = feed->texts[feed->at++];
    return true;
}

static struct lm_tokenizer *learn(const struct str *texts, size_t count, uint32_t vocab)
{
    struct feed feed = {texts, count, 0};
    struct lm_tokenizer *t = NULL;
    CHECK_OK(lm_tokenizer_train(feed_next, &feed, vocab, &t));
    return t;
}

static const struct str cafe[] = {
    STR_INIT("A ristretto is 25 ml of water through 5 g of coffee, at 92.5 \xC2\xB0"
             "C.\n"),
    STR_INIT("The ristretto's crema isn't the espresso's; don't grind finer than 3.5.\n\n"),
    STR_INIT("{\"name\": \"Ristretto\", \"volume_ml\": 25, \"temperature\": 92.5}\n"),
    STR_INIT("    aaaa aaa aaaaa aaaaaaaa aaaa aaa aa ---- --- ----- ======= ==== ===\n"),
    STR_INIT("\xE3\x82\xB3\xE3\x83\xBC\xE3\x83\x92\xE3\x83\xBC \xE2\x98\x95 "
             "caf\xC3\xA9 caf\xC3\xA9s \xE3\x82\xB3\xE3\x83\xBC\xE3\x83\x92\xE3\x83\xBC\n"),
};

static size_t ids_of(const struct lm_tokenizer *t, struct str text, uint16_t *ids, size_t ids_max)
{
    size_t count = 0;
    CHECK_OK(lm_tokenizer_encode(t, text, ids, ids_max, &count));
    return count;
}

static void check_round(const struct lm_tokenizer *t, struct str text)
{
    uint16_t *ids = mem_alloc((text.len + 1) * sizeof(*ids));
    CHECK(ids != NULL);
    size_t count = ids_of(t, text, ids, text.len);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct str piece = lm_tokenizer_bytes(t, ids[i]);
        CHECK(piece.len > 0 && piece.len <= text.len - at);
        CHECK_EQ(memcmp(text.at + at, piece.at, piece.len), 0);
        at += piece.len;
    }
    CHECK_EQ(at, text.len);
    mem_free(ids);
}

/* Words joined by '|'. */
static void check_words(enum lm_split split, const char *text, const char *expected)
{
    char words[512];
    struct text joined;
    struct str rest = str_from(text);
    text_init(&joined, words, sizeof(words));
    while (rest.len > 0) {
        size_t len = lm_split_next(split, rest);
        CHECK(len > 0 && len <= rest.len);
        if (joined.len > 0)
            text_add_char(&joined, '|');
        text_add(&joined, str_slice(rest, 0, len));
        rest = str_slice(rest, len, rest.len);
    }
    CHECK_STR(words, expected);
}

TEST(words_are_cut_as_the_pattern_says)
{
    check_words(LM_SPLIT_OURS, "Hello world", "Hello| world");
    check_words(LM_SPLIT_OURS, "it's 'sweet' isn't", "it's| '|sweet|'| isn't");
    check_words(LM_SPLIT_OURS, "at 92.5 C", "at| |9|2|.|5| C");
    check_words(LM_SPLIT_OURS, "a  b   1\n\nx", "a| | b|  | |1|\n|\n|x");
    check_words(LM_SPLIT_OURS, "end  ", "end|  ");
    check_words(LM_SPLIT_OURS, " ", " ");
    check_words(LM_SPLIT_OURS, "\t\tx", "\t|\t|x");
    check_words(LM_SPLIT_OURS, "{\"a\":1}, -", "{\"|a|\":|1|},| -");
    check_words(LM_SPLIT_OURS, "caf\xC3\xA9s \xE2\x98\x95!", "caf\xC3\xA9s| \xE2\x98\x95|!");
    check_words(LM_SPLIT_OURS, "x' y'", "x|'| y|'");
    check_words(LM_SPLIT_GPT2, "it's 'sweet' 92.5", "it|'s| '|sweet|'| 92|.|5");
    check_words(LM_SPLIT_GPT2, "'server don't", "'s|erver| don|'t");
}

TEST(a_long_word_is_cut)
{
    char text[3 * LM_WORD_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    CHECK_EQ(lm_split_next(LM_SPLIT_OURS, (struct str){text, sizeof(text)}), LM_WORD_BYTES_MAX);
    CHECK_EQ(lm_split_next(LM_SPLIT_OURS, (struct str){text, LM_WORD_BYTES_MAX}),
             LM_WORD_BYTES_MAX);
    memset(text, ' ', sizeof(text));
    CHECK_EQ(lm_split_next(LM_SPLIT_OURS, (struct str){text, sizeof(text)}), LM_WORD_BYTES_MAX);
    CHECK_EQ(lm_split_next(LM_SPLIT_OURS, STR_NONE), 0);
}

TEST(merges_are_learned_by_how_often_a_pair_occurs)
{
    /* "bc" six times; then " a" and " bc" four times each: of equals the lower ids go first. */
    static const struct str text[] = {STR_INIT("ab ab ab abc abc bc bc bc bc")};
    struct lm_tokenizer *t = learn(text, 1, LM_MERGE_FIRST + 3);
    CHECK_EQ(lm_tokenizer_vocab(t), LM_MERGE_FIRST + 3);
    CHECK_SLICE(lm_tokenizer_bytes(t, LM_MERGE_FIRST), "bc");
    CHECK_SLICE(lm_tokenizer_bytes(t, LM_MERGE_FIRST + 1), " a");
    CHECK_SLICE(lm_tokenizer_bytes(t, LM_MERGE_FIRST + 2), " bc");
    lm_tokenizer_destroy(t);
}

/* The same, slowly: counts every pair of every word anew before each merge. */
static uint32_t slow_best(uint16_t words[][64], const uint32_t *len, uint32_t count)
{
    static uint32_t tally[512][512];
    uint32_t best = 0, most = 1;
    memset(tally, 0, sizeof(tally));
    for (uint32_t w = 0; w < count; w++) {
        for (uint32_t i = 0; i + 1 < len[w]; i++)
            tally[words[w][i]][words[w][i + 1]]++;
    }
    for (uint32_t left = 0; left < 512; left++) {
        for (uint32_t right = 0; right < 512; right++) {
            if (tally[left][right] > most) {
                most = tally[left][right];
                best = left << 16 | right;
            }
        }
    }
    return best;
}

TEST(learning_agrees_with_counting_everything_anew)
{
    static uint16_t words[256][64];
    uint32_t len[256], count = 0;
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), LM_MERGE_FIRST + 120);
    for (size_t c = 0; c < ARRAY_COUNT(cafe); c++) {
        struct str rest = cafe[c];
        for (; rest.len > 0; count++) {
            len[count] = (uint32_t)lm_split_next(LM_SPLIT_OURS, rest);
            for (uint32_t i = 0; i < len[count]; i++)
                words[count][i] = (uint16_t)(LM_BYTE_FIRST + (uint8_t)rest.at[i]);
            rest = str_slice(rest, len[count], rest.len);
        }
    }
    CHECK(t->merge_count > 40);
    for (uint32_t m = 0; m < t->merge_count; m++) {
        uint32_t best = slow_best(words, len, count);
        NOTE("merge %u", m);
        CHECK_EQ((uint32_t)t->merge[m].left << 16 | t->merge[m].right, best);
        for (uint32_t w = 0; w < count; w++) {
            uint32_t to = 0;
            for (uint32_t i = 0; i < len[w]; to++) {
                bool here =
                    i + 1 < len[w] && ((uint32_t)words[w][i] << 16 | words[w][i + 1]) == best;
                words[w][to] = here ? t->merge[m].made : words[w][i];
                i += here ? 2 : 1;
            }
            len[w] = to;
        }
    }
    if (lm_tokenizer_vocab(t) < LM_MERGE_FIRST + 120)
        CHECK_EQ(slow_best(words, len, count), 0);
    /* Encoding a learned text takes the same steps. */
    uint16_t ids[512];
    uint32_t w = 0;
    for (size_t c = 0; c < ARRAY_COUNT(cafe); c++) {
        size_t made = ids_of(t, cafe[c], ids, ARRAY_COUNT(ids));
        for (size_t at = 0; at < made; w++) {
            CHECK_BYTES(ids + at, words[w], len[w] * sizeof(*ids));
            at += len[w];
        }
    }
    lm_tokenizer_destroy(t);
}

TEST(one_text_is_one_token_however_it_was_made)
{
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), LM_MERGE_FIRST + 120);
    for (uint32_t a = 0; a < t->vocab; a++) {
        struct str left = lm_tokenizer_bytes(t, a);
        for (uint32_t b = a + 1; left.len > 0 && b < t->vocab; b++)
            CHECK(!str_equal(left, lm_tokenizer_bytes(t, b)));
    }
    lm_tokenizer_destroy(t);
}

TEST(the_first_ids_are_specials_and_bytes)
{
    struct lm_tokenizer *t = learn(NULL, 0, 1000);
    CHECK_EQ(lm_tokenizer_vocab(t), LM_SPECIALS + 256);
    for (uint32_t id = 0; id < LM_SPECIALS; id++)
        CHECK_EQ(lm_tokenizer_bytes(t, id).len, 0);
    for (uint32_t byte = 0; byte < 256; byte++) {
        struct str piece = lm_tokenizer_bytes(t, LM_SPECIALS + byte);
        CHECK_EQ(piece.len, 1);
        CHECK_EQ((uint8_t)piece.at[0], byte);
    }
    CHECK_EQ(lm_tokenizer_bytes(t, LM_SPECIALS + 256).len, 0);
    CHECK_EQ(lm_tokenizer_bytes(t, UINT32_MAX).len, 0);
    lm_tokenizer_destroy(t);
}

TEST(learning_twice_gives_the_same)
{
    struct buf one, two;
    buf_init(&one, MIB);
    buf_init(&two, MIB);
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), 400);
    CHECK_OK(lm_tokenizer_json(t, &one));
    lm_tokenizer_destroy(t);
    t = learn(cafe, ARRAY_COUNT(cafe), 400);
    CHECK_OK(lm_tokenizer_json(t, &two));
    lm_tokenizer_destroy(t);
    CHECK_EQ(one.len, two.len);
    CHECK_BYTES(one.at, two.at, one.len);
    buf_finish(&one);
    buf_finish(&two);
}

TEST(a_number_has_the_same_ids_everywhere)
{
    uint16_t ids[16];
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), 400);
    size_t count = ids_of(t, STR("\"92\""), ids, ARRAY_COUNT(ids));
    CHECK_EQ(count, 4);
    CHECK_EQ(ids[1], LM_SPECIALS + '9');
    count = ids_of(t, STR(" 92"), ids, ARRAY_COUNT(ids));
    CHECK_EQ(count, 3);
    CHECK_EQ(ids[1], LM_SPECIALS + '9');
    CHECK_EQ(ids[2], LM_SPECIALS + '2');
    lm_tokenizer_destroy(t);
}

TEST(the_name_of_a_special_is_plain_text)
{
    static const struct str text[] = {
        STR_INIT("<|end|> <|end|> <|end|> <|user|> <|user|> <|user|> <|end|><|end|>")};
    uint16_t ids[64];
    struct lm_tokenizer *t = learn(text, 1, 400);
    size_t count = ids_of(t, STR("<|end|><|user|><|pad|>"), ids, ARRAY_COUNT(ids));
    for (size_t i = 0; i < count; i++)
        CHECK(ids[i] >= LM_SPECIALS);
    check_round(t, STR("<|end|><|user|>"));
    lm_tokenizer_destroy(t);
}

TEST(every_character_of_unicode_comes_back)
{
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), 400);
    struct buf all;
    buf_init(&all, 8 * MIB);
    for (uint32_t point = 0; point < 0x110000; point++) {
        uint8_t c[4] = {(uint8_t)point};
        size_t len = 1;
        if (point >= 0xD800 && point < 0xE000)
            continue;
        if (point >= 0x10000) {
            c[0] = (uint8_t)(0xF0 | point >> 18);
            len = 4;
        } else if (point >= 0x800) {
            c[0] = (uint8_t)(0xE0 | point >> 12);
            len = 3;
        } else if (point >= 0x80) {
            c[0] = (uint8_t)(0xC0 | point >> 6);
            len = 2;
        }
        for (size_t i = 1; i < len; i++)
            c[i] = (uint8_t)(0x80 | ((point >> (6 * (len - 1 - i))) & 0x3F));
        CHECK_OK(buf_add(&all, c, len));
        if (point % 7 == 0)
            CHECK_OK(buf_add(&all, " ", 1));
    }
    CHECK(utf8_valid(buf_str(&all)));
    check_round(t, buf_str(&all));
    buf_finish(&all);
    lm_tokenizer_destroy(t);
}

TEST(ten_megabytes_of_anything_come_back)
{
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), 400);
    size_t len = 10 * 1000 * 1000;
    char *bytes = mem_alloc(len);
    struct rng rng;
    rng_init(&rng, 7);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(uint8_t)(rng_next(&rng) >> 40);
    check_round(t, (struct str){bytes, len});
    mem_free(bytes);
    lm_tokenizer_destroy(t);
}

TEST(ids_that_do_not_fit_are_said)
{
    uint16_t ids[8];
    size_t count = 99;
    struct lm_tokenizer *t = learn(NULL, 0, 300);
    CHECK_ERR(lm_tokenizer_encode(t, STR("abcd"), ids, 3, &count), ERR_FULL);
    CHECK_EQ(count, 3);
    CHECK_OK(lm_tokenizer_encode(t, STR("abcd"), ids, 4, &count));
    CHECK_EQ(count, 4);
    CHECK_OK(lm_tokenizer_encode(t, STR_NONE, NULL, 0, &count));
    CHECK_EQ(count, 0);
    CHECK_ERR(lm_tokenizer_encode(t, STR("a"), NULL, 0, &count), ERR_FULL);
    lm_tokenizer_destroy(t);
}

TEST(a_text_is_not_read_past_its_end)
{
    uint16_t ids[64];
    struct lm_tokenizer *t = learn(cafe, ARRAY_COUNT(cafe), 400);
    struct str text = STR(" it's 92 \xC2\xB0"
                          "C' '  x' ");
    for (size_t len = 0; len <= text.len; len++) {
        char *copy = kit_guard_page(text.at, len);
        (void)ids_of(t, (struct str){copy, len}, ids, ARRAY_COUNT(ids));
        kit_free_guard(copy);
    }
    lm_tokenizer_destroy(t);
}

TEST(sizes_that_cannot_be_are_refused)
{
    struct feed feed = {NULL, 0, 0};
    struct lm_tokenizer *t = NULL;
    CHECK_ERR(lm_tokenizer_train(feed_next, &feed, LM_SPECIALS + 255, &t), ERR_INPUT);
    CHECK_ERR(lm_tokenizer_train(feed_next, &feed, LM_VOCAB_MAX + 1, &t), ERR_INPUT);
    lm_tokenizer_destroy(NULL);
}

TEST(learning_survives_every_failed_allocation)
{
    for (uint32_t nth = 1;; nth++) {
        struct feed feed = {cafe, ARRAY_COUNT(cafe), 0};
        struct lm_tokenizer *t = NULL;
        int64_t live = mem_live();
        mem_fail_at(nth);
        enum err err = lm_tokenizer_train(feed_next, &feed, 400, &t);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (!fired) {
            CHECK_OK(err);
            lm_tokenizer_destroy(t);
            break;
        }
        CHECK_ERR(err, ERR_NOMEM);
        CHECK_EQ(mem_live(), live);
    }
}
