/* Text to terms.  ASCII letters are folded; other bytes of UTF-8 count as letters as they are. */
#include "barista/barista_int.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || (c & '\x80') != 0;
}

/* Plural to singular, so that "notes" finds "note"; never so that a word becomes shorter than
 * three letters, and "glass" stays. */
static void word_stem(struct barista_word *word)
{
    const char *at = word->at;
    size_t len = word->len;
    if (len < 4 || at[len - 1] != 's' || at[len - 2] == 's' || at[len - 2] == 'u' ||
        is_digit(at[len - 2]))
        return;
    word->len--;
}

bool barista_word_next(struct str text, size_t *at, struct barista_word *ret_word)
{
    size_t i = *at;
    struct barista_word word = {.len = 0};
    while (i < text.len && !in_word(text.at[i]))
        i++;
    while (i < text.len) {
        char c = text.at[i];
        bool point = c == '.' && i > *at && is_digit(text.at[i - 1]) && i + 1 < text.len &&
                     is_digit(text.at[i + 1]);
        if (!in_word(c) && !(point && word.len > 0))
            break;
        if (word.len < sizeof(word.at))
            word.at[word.len++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        i++;
    }
    *at = i;
    if (word.len == 0)
        return false;
    word_stem(&word);
    *ret_word = word;
    return true;
}

static size_t trigrams(struct str word, char (*grams)[3])
{
    char padded[BARISTA_WORD_BYTES + 2];
    size_t len = word.len < BARISTA_WORD_BYTES ? word.len : BARISTA_WORD_BYTES;
    padded[0] = '^';
    if (len > 0)
        memcpy(padded + 1, word.at, len);
    padded[len + 1] = '$';
    for (size_t i = 0; i < len; i++)
        memcpy(grams[i], padded + i, 3);
    return len;
}

double barista_word_likeness(struct str a, struct str b)
{
    char gram_a[BARISTA_WORD_BYTES][3], gram_b[BARISTA_WORD_BYTES][3];
    bool taken[BARISTA_WORD_BYTES] = {false};
    size_t count_a = trigrams(a, gram_a), count_b = trigrams(b, gram_b), shared = 0;
    for (size_t i = 0; i < count_a; i++) {
        for (size_t k = 0; k < count_b; k++) {
            if (!taken[k] && memcmp(gram_a[i], gram_b[k], 3) == 0) {
                taken[k] = true;
                shared++;
                break;
            }
        }
    }
    return count_a + count_b == 0 ? 0 : 2.0 * (double)shared / (double)(count_a + count_b);
}
