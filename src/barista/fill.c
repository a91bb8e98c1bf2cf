/* Templates to texts, and what guests do to a text on its way to the counter. */
#include "barista/corpus_int.h"

#include <stdio.h>
#include <string.h>

#define FILL_BYTES_MAX 700

bool maker_chance(struct maker *maker, double probability)
{
    return rng_chance(maker->rng, probability);
}

uint32_t maker_below(struct maker *maker, uint32_t bound)
{
    return rng_below(maker->rng, bound);
}

void maker_bind(struct maker *maker, const char *name, struct str value)
{
    for (size_t i = 0; i < maker->bind_count; i++) {
        if (strcmp(maker->bind[i].name, name) == 0) {
            maker->bind[i].value = value;
            return;
        }
    }
    ASSERT(maker->bind_count < MAKER_BINDS_MAX);
    maker->bind[maker->bind_count++] = (struct maker_bind){name, value};
}

void maker_bind_number(struct maker *maker, const char *name, uint64_t value)
{
    maker_bind(maker, name,
               str_from(arena_printf(maker->scratch, "%llu", (unsigned long long)value)));
}

struct str maker_value(const struct maker *maker, struct str name)
{
    for (size_t i = 0; i < maker->bind_count; i++) {
        if (str_equal_nocase(str_from(maker->bind[i].name), name))
            return maker->bind[i].value;
    }
    return STR_NONE;
}

const struct phrases_block *maker_block(const struct maker *maker, const char *name)
{
    const struct phrases *phrases = maker->corpus->phrases;
    for (size_t i = 0; i < phrases->block_count; i++) {
        if (str_equal(phrases->block[i].name, str_from(name)))
            return &phrases->block[i];
    }
    return NULL;
}

static bool line_fits(const struct maker *maker, const struct phrases_line *line,
                      enum phrases_list list, struct str row)
{
    if (list == PHRASES_SAY)
        return line->who == 0 || line->who == maker->corpus->model.at[0];
    return line->split == maker->corpus->split && (row.len == 0 || str_equal(row, line->row));
}

const struct phrases_line *maker_line(struct maker *maker, const struct phrases_block *block,
                                      enum phrases_list list, struct str row)
{
    size_t fits = 0;
    for (size_t i = 0; i < block->line_count[list]; i++)
        fits += line_fits(maker, &block->line[list][i], list, row);
    if (fits == 0)
        return NULL;
    size_t nth = maker_below(maker, (uint32_t)fits);
    for (size_t i = 0; i < block->line_count[list]; i++) {
        const struct phrases_line *line = &block->line[list][i];
        if (line_fits(maker, line, list, row) && nth-- == 0)
            return line;
    }
    return NULL;
}

/* One of "a|b|c". */
static struct str choose(struct maker *maker, struct str options)
{
    uint32_t count = 1;
    for (size_t i = 0; i < options.len; i++)
        count += options.at[i] == '|';
    for (uint32_t nth = maker_below(maker, count); nth > 0; nth--)
        options = str_slice(options, str_find(options, '|') + 1, options.len);
    return str_slice(options, 0, str_find(options, '|'));
}

static enum err fill_value(const struct maker *maker, struct str name, struct text *text)
{
    struct str value = maker_value(maker, name);
    if (value.at == NULL || name.len == 0)
        return ERR_INPUT;
    if (value.len > 0 && name.at[0] >= 'A' && name.at[0] <= 'Z') {
        char first = value.at[0];
        text_add_char(text, first >= 'a' && first <= 'z' ? (char)(first - 'a' + 'A') : first);
        value = str_slice(value, 1, value.len);
    }
    text_add(text, value);
    return ERR_OK;
}

static enum err fill_into(struct maker *maker, struct str text, struct text *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        struct str rest = str_slice(text, i + 1, text.len);
        enum err err = ERR_OK;
        if (c == '(') {
            size_t end = str_find(rest, ')');
            struct str one = choose(maker, str_slice(rest, 0, end));
            err = fill_into(maker, one, out); /* marks_close: at most {x} inside */
            i += end + 1;
        } else if (c == '{') {
            size_t end = str_find(rest, '}');
            err = fill_value(maker, str_slice(rest, 0, end), out);
            i += end + 1;
        } else {
            text_add_char(out, c);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* A slot's value may begin with a vowel: "a {cup}" is then "an espresso". */
static void articles(struct text *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool article = (text.at[i] == 'a' || text.at[i] == 'A') &&
                       (i == 0 || text.at[i - 1] == ' ') && i + 2 < text.len &&
                       text.at[i + 1] == ' ' && strchr("aeioAEIO", text.at[i + 2]) != NULL;
        text_add_char(out, text.at[i]);
        if (article)
            text_add_char(out, 'n');
    }
}

/* Options may be empty: no doubled spaces, none at the ends, none before a mark. */
static size_t tidy(char *at, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        bool mark = i + 1 < len && strchr("?.,!", at[i + 1]) != NULL;
        if (at[i] == ' ' && (kept == 0 || at[kept - 1] == ' ' || i + 1 == len || mark))
            continue;
        at[kept++] = at[i];
    }
    while (kept > 0 && at[kept - 1] == ' ')
        kept--;
    return kept;
}

enum err maker_fill(struct maker *maker, struct str text, struct str *ret_text)
{
    char line[FILL_BYTES_MAX];
    struct text out;
    text_init(&out, line, sizeof(line));
    enum err err = fill_into(maker, text, &out);
    if (err != ERR_OK)
        return err;
    if (out.overflow)
        return ERR_AGAIN;
    char right[FILL_BYTES_MAX];
    struct text text_right;
    text_init(&text_right, right, sizeof(right));
    articles(&text_right, (struct str){line, tidy(line, out.len)});
    char *copy = arena_strdup(maker->scratch, (struct str){right, text_right.len});
    *ret_text = (struct str){copy, text_right.len};
    return text_right.overflow ? ERR_AGAIN : copy != NULL ? ERR_OK : ERR_NOMEM;
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One slip inside a word of at least five letters: two letters change places, one is lost, one is
 * doubled. */
static size_t slip(struct maker *maker, char *at, size_t len)
{
    for (int tries = 0; tries < 8 && len > 6; tries++) {
        size_t i = 2 + maker_below(maker, (uint32_t)(len - 4));
        if (!letter(at[i - 2]) || !letter(at[i - 1]) || !letter(at[i]) || !letter(at[i + 1]) ||
            !letter(at[i + 2 < len ? i + 2 : i]))
            continue;
        char c = at[i];
        switch (maker_below(maker, 3)) {
        case 0:
            at[i] = at[i + 1];
            at[i + 1] = c;
            return len;
        case 1:
            memmove(at + i, at + i + 1, len - i - 1);
            return len - 1;
        default:
            memmove(at + i + 1, at + i, len - i); /* room for one more: noise() */
            return len + 1;
        }
    }
    return len;
}

enum err maker_noise(struct maker *maker, struct str text, struct str *ret_text)
{
    char *at = arena_alloc(maker->scratch, text.len + 2);
    size_t len = text.len;
    if (at == NULL)
        return ERR_NOMEM;
    memcpy(at, text.at, len);
    if (maker_chance(maker, 0.35)) {
        for (size_t i = 0; i < len; i++)
            at[i] = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] - 'A' + 'a') : at[i];
    }
    if (len > 1 && strchr("?.!", at[len - 1]) != NULL && maker_chance(maker, 0.35))
        len--;
    if (maker_chance(maker, 0.08))
        len = slip(maker, at, len);
    *ret_text = (struct str){at, len};
    return ERR_OK;
}

enum err maker_ask(struct maker *maker, const struct phrases_block *block, enum phrases_list list,
                   struct str row, struct str *ret_text)
{
    const struct phrases_line *line = maker_line(maker, block, list, row);
    struct str text;
    if (line == NULL)
        return ERR_AGAIN;
    enum err err = maker_fill(maker, line->text, &text);
    if (err != ERR_OK)
        return err;
    char *id = arena_printf(maker->scratch, "%.*s/%s%u", STR_ARG(block->name),
                            list == PHRASES_MORE ? "more" : "", line->number);
    maker->dialogue->label.template_id = str_from(id);
    return id == NULL ? ERR_NOMEM : maker_noise(maker, text, ret_text);
}

enum err maker_say(struct maker *maker, const struct phrases_block *block, struct str *ret_text)
{
    const struct phrases_line *line = maker_line(maker, block, PHRASES_SAY, STR_NONE);
    return line == NULL ? ERR_INPUT : maker_fill(maker, line->text, ret_text);
}
