/* Where one word ends and the next begins.  Works on bytes: what is beyond ASCII is a letter, so
 * that nothing need be decoded and broken UTF-8 is no special case. */
#include "lm/text/text_int.h"

enum class { SPACE, DIGIT, LETTER, OTHER };

static enum class class_of(char c) {
    uint8_t byte = (uint8_t)c; uint8_t lower = byte | 0x20;
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return SPACE;
    if (byte >= '0' && byte <= '9') return DIGIT;
    return byte >= 0x80 || (lower >= 'a' && lower <= 'z') ? LETTER : OTHER;
}

/* How far the run of one class goes from `from`. */
static size_t run_of(struct str text, size_t from, enum class class)
{
    size_t at = from;
    while (at < text.len && class_of(text.at[at]) == class)
        at++;
    return at;
}

static size_t letters(struct str text, size_t from, bool apostrophes)
{
    size_t at = run_of(text, from, LETTER);
    while (apostrophes && at + 1 < text.len && text.at[at] == '\'' &&
           class_of(text.at[at + 1]) == LETTER)
        at = run_of(text, at + 1, LETTER);
    return at;
}

/* All of it before the end of the text; else its last character is left to the word after it. */
static size_t spaces(struct str text)
{
    size_t end = run_of(text, 0, SPACE);
    return end < text.len && end > 1 ? end - 1 : end;
}

/* GPT-2 alone: 's 't 're 've 'm 'll 'd. */
static size_t contraction(struct str text)
{
    static const struct str ends[] = {STR_INIT("'s"),  STR_INIT("'t"), STR_INIT("'re"),
                                      STR_INIT("'ve"), STR_INIT("'m"), STR_INIT("'ll"),
                                      STR_INIT("'d")};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (str_starts(text, ends[i]))
            return ends[i].len;
    }
    return 0;
}

static size_t word(enum lm_split split, struct str text)
{
    size_t lead = text.len > 1 && text.at[0] == ' ' ? 1 : 0;
    size_t short_word = split == LM_SPLIT_GPT2 ? contraction(text) : 0;
    if (short_word != 0)
        return short_word;
    switch (class_of(text.at[lead])) {
    case LETTER:
        return letters(text, lead, split == LM_SPLIT_OURS);
    case OTHER:
        return run_of(text, lead, OTHER);
    case DIGIT:
        if (split == LM_SPLIT_GPT2)
            return run_of(text, lead, DIGIT);
        return 1; /* the digit, or the space before it */
    case SPACE:
    default:
        return spaces(text);
    }
}

size_t lm_split_next(enum lm_split split, struct str text)
{
    if (text.len == 0)
        return 0;
    /* One byte more than may be taken, so that what follows is seen. */
    size_t len = word(split, str_slice(text, 0, LM_WORD_BYTES_MAX + 1));
    return len < LM_WORD_BYTES_MAX ? len : LM_WORD_BYTES_MAX;
}
