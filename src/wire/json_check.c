/* The one pass that decides whether bytes are a document.  Everything else in this room relies on
 * it and looks no second time. */
#include "wire/wire_int.h"

struct scan {
    struct str text;
    size_t pos;
    struct wire_fault fault;
};

static bool fail(struct scan *scan, const char *why)
{
    scan->fault = (struct wire_fault){.at_byte = scan->pos, .why = why};
    return false;
}

static bool at_end(const struct scan *scan)
{
    return scan->pos == scan->text.len;
}

static char peek(const struct scan *scan)
{
    return at_end(scan) ? '\0' : scan->text.at[scan->pos];
}

static void skip_space(struct scan *scan)
{
    while (!at_end(scan)) {
        char byte = peek(scan);
        if (byte != ' ' && byte != '\t' && byte != '\n' && byte != '\r')
            return;
        scan->pos++;
    }
}

static bool check_word(struct scan *scan, struct str word)
{
    if (!str_starts(str_slice(scan->text, scan->pos, scan->text.len), word))
        return fail(scan, "syntax");
    scan->pos += word.len;
    return true;
}

static bool check_digits(struct scan *scan)
{
    size_t from = scan->pos;
    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->pos++;
    return scan->pos > from || fail(scan, "number");
}

static bool check_number(struct scan *scan)
{
    if (peek(scan) == '-')
        scan->pos++;
    if (peek(scan) == '0')
        scan->pos++;
    else if (!check_digits(scan))
        return false;
    if (peek(scan) == '.') {
        scan->pos++;
        if (!check_digits(scan))
            return false;
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->pos++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->pos++;
        if (!check_digits(scan))
            return false;
    }
    return true;
}

static bool check_string(struct scan *scan)
{
    size_t from = ++scan->pos;
    while (!at_end(scan) && peek(scan) != '"') {
        char out[4];
        size_t len;
        size_t begun = scan->pos;
        if (!wire_string_step(scan->text, &scan->pos, out, &len)) {
            scan->pos = begun;
            return fail(scan, "string");
        }
    }
    if (at_end(scan))
        return fail(scan, "unfinished");
    if (!utf8_valid(str_slice(scan->text, from, scan->pos))) {
        scan->pos = from;
        return fail(scan, "utf8");
    }
    scan->pos++;
    return true;
}

static bool check_value(struct scan *scan, unsigned depth);

/* Compares a new key with those before it by walking the object again: the members are bounded, and
 * a board has no room for a table of them at every depth. */
static bool check_key_new(struct scan *scan, size_t object_at, size_t key_at, uint32_t key_index)
{
    struct wire_value key = {WIRE_STRING, str_slice(scan->text, key_at, scan->pos)};
    struct wire_walk walk = {.rest = str_slice(scan->text, object_at + 1, key_at), .object = true};
    struct wire_value other;
    struct wire_value ignored;
    for (uint32_t i = 0; i < key_index; i++) {
        if (!wire_walk_next(&walk, &other, &ignored))
            return fail(scan, "syntax");
        if (wire_same_string(key, other)) {
            scan->pos = key_at;
            return fail(scan, "duplicate key");
        }
    }
    return true;
}

static bool check_member(struct scan *scan, size_t object_at, uint32_t index, unsigned depth)
{
    skip_space(scan);
    if (index == WIRE_MEMBERS_MAX)
        return fail(scan, "too many members");
    size_t key_at = scan->pos;
    if (peek(scan) != '"')
        return fail(scan, at_end(scan) ? "unfinished" : "syntax");
    if (!check_string(scan) || !check_key_new(scan, object_at, key_at, index))
        return false;
    skip_space(scan);
    if (peek(scan) != ':')
        return fail(scan, at_end(scan) ? "unfinished" : "syntax");
    scan->pos++;
    return check_value(scan, depth);
}

static bool check_container(struct scan *scan, unsigned depth)
{
    bool object = peek(scan) == '{';
    char closing = object ? '}' : ']';
    size_t object_at = scan->pos;
    if (depth == WIRE_DEPTH_MAX)
        return fail(scan, "depth");
    scan->pos++;
    skip_space(scan);
    if (peek(scan) == closing) {
        scan->pos++;
        return true;
    }
    for (uint32_t index = 0;; index++) {
        bool good =
            object ? check_member(scan, object_at, index, depth + 1) : check_value(scan, depth + 1);
        if (!good)
            return false;
        skip_space(scan);
        char byte = peek(scan);
        if (byte != ',' && byte != closing)
            return fail(scan, at_end(scan) ? "unfinished" : "syntax");
        scan->pos++;
        if (byte == closing)
            return true;
    }
}

/* Recursion is bounded by WIRE_DEPTH_MAX. */
static bool check_value(struct scan *scan, unsigned depth) /* NOLINT(misc-no-recursion) */
{
    skip_space(scan);
    if (at_end(scan))
        return fail(scan, "unfinished");
    switch (peek(scan)) {
    case '{':
    case '[':
        return check_container(scan, depth);
    case '"':
        return check_string(scan);
    case 't':
        return check_word(scan, STR("true"));
    case 'f':
        return check_word(scan, STR("false"));
    case 'n':
        return check_word(scan, STR("null"));
    default:
        return check_number(scan);
    }
}

enum err wire_open(struct str text, struct wire_value *ret_root, struct wire_fault *ret_fault)
{
    struct scan scan = {.text = text};
    bool good = check_value(&scan, 0);
    if (good) {
        skip_space(&scan);
        if (!at_end(&scan))
            good = fail(&scan, "text after the end");
    }
    if (!good) {
        if (ret_fault != NULL)
            *ret_fault = scan.fault;
        return ERR_INPUT;
    }
    struct wire_walk whole = {.rest = text, .object = false};
    struct wire_value none;
    bool found = wire_walk_next(&whole, &none, ret_root);
    ASSERT(found);
    return ERR_OK;
}
