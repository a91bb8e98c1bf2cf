/* Text on its way out: stop strings and characters, however the bytes are cut. */
#include "base/base.h"
#include "kit/kit.h"
#include "lm/talk/talk_int.h"

#include <string.h>

/* `text` in pieces whose sizes `rng` chooses; what left, in `dst`. */
static bool run(const struct str *stop, uint32_t stops, struct str text, struct rng *rng, char *dst,
                size_t dst_bytes)
{
    struct lm_emit emit;
    struct buf out;
    CHECK_OK(lm_emit_init(&emit, stop, stops));
    buf_init(&out, 64 * KIB);
    size_t told = 0;
    for (size_t at = 0; at < text.len;) {
        size_t len = rng == NULL ? text.len : 1 + rng_below(rng, 5);
        len = len < text.len - at ? len : text.len - at;
        CHECK_OK(lm_emit_add(&emit, str_slice(text, at, at + len), &out));
        /* Whatever has left so far is whole characters. */
        CHECK(utf8_valid(str_slice(buf_str(&out), told, out.len)));
        told = out.len;
        at += len;
    }
    CHECK_OK(lm_emit_end(&emit, &out));
    CHECK(utf8_valid(buf_str(&out)));
    CHECK_OK(str_copy(dst, dst_bytes, buf_str(&out)));
    buf_finish(&out);
    return emit.stopped;
}

static void check_cut(const struct str *stop, uint32_t stops, struct str text, const char *expected,
                      bool stopped)
{
    char got[512];
    CHECK_EQ(run(stop, stops, text, NULL, got, sizeof(got)), stopped);
    CHECK_STR(got, expected);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng;
        NOTE("seed %d", (int)seed);
        rng_init(&rng, seed);
        CHECK_EQ(run(stop, stops, text, &rng, got, sizeof(got)), stopped);
        CHECK_STR(got, expected);
    }
}

TEST(stop_strings_are_found_across_pieces)
{
    struct str stop[] = {STR_INIT("\n\nUser:"), STR_INIT("END")};
    check_cut(stop, 2, STR("one\n\nUser: two"), "one", true);
    check_cut(stop, 2, STR("one\n\nUse it. EN"), "one\n\nUse it. EN", false);
    check_cut(stop, 2, STR("oneENENDtwo"), "oneEN", true);
    check_cut(stop, 2, STR(""), "", false);
    check_cut(stop, 2, STR("END"), "", true);
}

TEST(stop_that_ends_first_wins_and_of_these_the_longest)
{
    struct str stop[] = {STR_INIT("abcdef"), STR_INIT("cd"), STR_INIT("bcd")};
    check_cut(stop, 3, STR("xabcdefy"), "xa", true);
    struct str self[] = {STR_INIT("aab")};
    check_cut(self, 1, STR("aaaab"), "aa", true);
    struct str self2[] = {STR_INIT("ababc")};
    check_cut(self2, 1, STR("abababc."), "ab", true);
}

TEST(longest_stop_string_fits)
{
    char text[200];
    memset(text, 'x', sizeof(text));
    text[80] = 'a';
    memset(text + 81, 'b', LM_STOP_BYTES_MAX - 1);
    char expected[81] = {0};
    memset(expected, 'x', 80);
    struct str stop = {text + 80, LM_STOP_BYTES_MAX};
    check_cut(&stop, 1, (struct str){text, sizeof(text)}, expected, true);
}

TEST(characters_leave_whole)
{
    check_cut(NULL, 0, STR("caf\xC3\xA9 \xE2\x98\x95 \xF0\x9F\x98\x80!"),
              "caf\xC3\xA9 \xE2\x98\x95 \xF0\x9F\x98\x80!", false);
    struct str stop[] = {STR_INIT("\x9F\x98")}; /* inside a character: a stop string is bytes */
    check_cut(stop, 1, STR("a\xF0\x9F\x98\x80"), "a\xEF\xBF\xBD", true);
}

TEST(broken_bytes_become_replacement_characters)
{
    check_cut(NULL, 0, STR("a\xFFz"), "a\xEF\xBF\xBDz", false);
    check_cut(NULL, 0, STR("a\xC3"), "a\xEF\xBF\xBD", false);
    check_cut(NULL, 0, STR("\xE2\x98z"), "\xEF\xBF\xBDz", false);
    check_cut(NULL, 0, STR("\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD", false); /* overlong */
    check_cut(NULL, 0, STR("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", false);
    check_cut(NULL, 0, STR("\xF0\x9F\xC3\xA9"), "\xEF\xBF\xBD\xC3\xA9", false);
    check_cut(NULL, 0, STR("\x80\xF4\x90"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", false);
}

TEST(any_bytes_come_out_the_same_however_they_are_cut)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct rng rng;
        NOTE("seed %d", (int)seed);
        rng_init(&rng, seed);
        char text[60];
        static const char bytes[] = "ab\xC3\xA9\xF0\x9F\x98\x80\xFF";
        for (size_t i = 0; i < sizeof(text); i++)
            text[i] = bytes[rng_below(&rng, sizeof(bytes) - 1)];
        struct str stop[] = {STR_INIT("abab"), STR_INIT("b\xC3"), STR_INIT("aaa\xA9")};
        char whole[512];
        char cut[512];
        bool one = run(stop, 3, (struct str){text, sizeof(text)}, NULL, whole, sizeof(whole));
        bool two = run(stop, 3, (struct str){text, sizeof(text)}, &rng, cut, sizeof(cut));
        CHECK_EQ(one, two);
        CHECK_STR(whole, cut);
    }
}

TEST(too_many_or_too_long_stop_strings_are_refused)
{
    struct lm_emit emit;
    struct str stop[9];
    for (size_t i = 0; i < 9; i++)
        stop[i] = STR("x");
    CHECK_OK(lm_emit_init(&emit, stop, 8));
    CHECK_ERR(lm_emit_init(&emit, stop, 9), ERR_INPUT);
    stop[0] = STR("");
    CHECK_ERR(lm_emit_init(&emit, stop, 1), ERR_INPUT);
    char text[65] = {0};
    stop[0] = (struct str){text, 65};
    CHECK_ERR(lm_emit_init(&emit, stop, 1), ERR_INPUT);
}
