/* tokenizer.json, one's own or another's.  Anything that would be applied otherwise than its maker
 * meant is refused by name. */
#include "lm/text/text_int.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct reading {
    struct lm_fault *fault;
    struct lm_tokenizer *made;
    json_t *vocab; /* borrowed: text -> id */
};

PRINTF_LIKE(2, 3) static enum err refuse(struct lm_fault *fault, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault->why, sizeof(fault->why), format, args);
    va_end(args);
    return ERR_INPUT;
}

static bool text_is(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool is_off(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) || text_is(value, "") ||
           (json_is_number(value) && json_number_value(value) == 0);
}

/* ---- how words are cut ---- */

static bool byte_level(const json_t *step, bool *ret_cuts)
{
    const json_t *cuts = json_object_get(step, "use_regex");
    *ret_cuts = cuts == NULL || json_is_true(cuts);
    return text_is(json_object_get(step, "type"), "ByteLevel") &&
           is_off(json_object_get(step, "add_prefix_space"));
}

static bool our_split(const json_t *step)
{
    const json_t *pattern = json_object_get(step, "pattern");
    return text_is(json_object_get(step, "type"), "Split") &&
           text_is(json_object_get(pattern, "Regex"), LM_SPLIT_REGEX) &&
           text_is(json_object_get(step, "behavior"), "Isolated") &&
           is_off(json_object_get(step, "invert"));
}

static enum err read_split(const json_t *root, struct lm_fault *fault, enum lm_split *ret_split)
{
    const json_t *step = json_object_get(root, "pre_tokenizer");
    const json_t *steps = json_object_get(step, "pretokenizers");
    bool cuts = false;
    if (!json_is_object(step))
        return refuse(fault, "pre_tokenizer: there must be one, of type ByteLevel");
    if (byte_level(step, &cuts) && cuts) {
        *ret_split = LM_SPLIT_GPT2;
        return ERR_OK;
    }
    if (text_is(json_object_get(step, "type"), "Sequence") && json_array_size(steps) == 2 &&
        our_split(json_array_get(steps, 0)) && byte_level(json_array_get(steps, 1), &cuts) &&
        !cuts) {
        *ret_split = LM_SPLIT_OURS;
        return ERR_OK;
    }
    return refuse(fault, "pre_tokenizer: not one that is applied here (ByteLevel without a prefix "
                         "space, or our own Split before it)");
}

static enum err check_frame(const json_t *root, struct lm_fault *fault)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                      "byte_fallback", "ignore_merges"};
    const json_t *model = json_object_get(root, "model");
    const json_t *decoder = json_object_get(root, "decoder");
    const json_t *type = json_object_get(model, "type");
    if (!is_off(json_object_get(root, "normalizer")))
        return refuse(fault, "normalizer: texts are not changed before they are cut; must be null");
    if (!is_off(decoder) && !text_is(json_object_get(decoder, "type"), "ByteLevel"))
        return refuse(fault, "decoder.type: must be ByteLevel");
    if (!json_is_object(model))
        return refuse(fault, "model: must be an object");
    if (type != NULL && !text_is(type, "BPE"))
        return refuse(fault, "model.type: must be BPE");
    for (size_t i = 0; i < ARRAY_COUNT(off); i++) {
        if (!is_off(json_object_get(model, off[i])))
            return refuse(fault, "model.%s: not supported", off[i]);
    }
    if (!json_is_object(json_object_get(model, "vocab")))
        return refuse(fault, "model.vocab: must be an object");
    if (!json_is_array(json_object_get(model, "merges")))
        return refuse(fault, "model.merges: must be an array");
    return ERR_OK;
}

/* ---- ids ---- */

static bool id_of(const json_t *value, uint16_t *ret_id)
{
    json_int_t id = json_integer_value(value);
    if (!json_is_integer(value) || id < 0 || id >= LM_VOCAB_MAX)
        return false;
    *ret_id = (uint16_t)id;
    return true;
}

/* One more than the highest id of the vocabulary and of the added tokens. */
static enum err count_ids(json_t *vocab, const json_t *added, struct lm_fault *fault,
                          uint32_t *ret_vocab)
{
    const char *text;
    json_t *value;
    uint16_t id;
    *ret_vocab = 0;
    json_object_foreach(vocab, text, value)
    {
        if (!id_of(value, &id))
            return refuse(fault, "model.vocab: the id of \"%.60s\" is not 0 to %u", text,
                          LM_VOCAB_MAX - 1);
        *ret_vocab = id >= *ret_vocab ? id + 1u : *ret_vocab;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (!id_of(json_object_get(json_array_get(added, i), "id"), &id))
            return refuse(fault, "added_tokens[%zu].id: not 0 to %u", i, LM_VOCAB_MAX - 1);
        *ret_vocab = id >= *ret_vocab ? id + 1u : *ret_vocab;
    }
    return *ret_vocab > 0 ? ERR_OK : refuse(fault, "model.vocab: empty");
}

static const struct lm_added *added_find(const struct lm_tokenizer *t, uint16_t id)
{
    for (uint32_t i = 0; i < t->added_count; i++) {
        if (t->added[i].id == id)
            return &t->added[i];
    }
    return NULL;
}

static bool added_content(const struct lm_tokenizer *t, struct str content)
{
    for (uint32_t i = 0; i < t->added_count; i++) {
        struct lm_piece piece = t->added[i].content;
        if (str_equal((struct str){t->bytes + piece.at, piece.len}, content))
            return true;
    }
    return false;
}

static enum err read_added(struct reading *reading, const json_t *list)
{
    struct lm_tokenizer *t = reading->made;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const json_t *text = json_object_get(entry, "content");
        struct lm_added *added = &t->added[i];
        struct str content = str_from(json_string_value(text));
        uint16_t id = (uint16_t)json_integer_value(json_object_get(entry, "id"));
        uint16_t vocab_id = id;
        if (content.len == 0)
            return refuse(reading->fault, "added_tokens[%zu].content: must be a text", i);
        if (added_find(t, id) != NULL || added_content(t, content))
            return refuse(reading->fault, "added_tokens[%zu]: its id or content stands twice", i);
        const json_t *in_vocab = json_object_get(reading->vocab, content.at);
        if (in_vocab != NULL && (!id_of(in_vocab, &vocab_id) || vocab_id != id))
            return refuse(reading->fault, "added_tokens[%zu]: model.vocab has another id for it",
                          i);
        *added = (struct lm_added){.id = id,
                                   .special = json_is_true(json_object_get(entry, "special")),
                                   .in_vocab = in_vocab != NULL};
        enum err err = lm_tokenizer_keep(t, content, &added->content);
        if (err != ERR_OK)
            return err;
        if (!added->special)
            t->piece[id] = added->content;
        t->added_count++;
    }
    return ERR_OK;
}

/* ---- pieces ---- */

/* The next character of valid UTF-8 (jansson checked it); those of the alphabet have two bytes at
 * most. */
static bool next_point(const char **at, uint32_t *ret_point)
{
    uint8_t first = (uint8_t) * *at;
    if (first >= 0xE0)
        return false;
    *ret_point = first < 0x80 ? first : (first & 0x1Fu) << 6 | ((uint8_t)(*at)[1] & 0x3Fu);
    *at += first < 0x80 ? 1 : 2;
    return true;
}

/* In place: a character becomes one byte. */
static bool to_bytes(char *text, size_t *ret_len, const uint8_t *of_point)
{
    const char *at = text;
    size_t len = 0;
    while (*at != '\0') {
        uint32_t point;
        uint8_t byte;
        if (!next_point(&at, &point) || point >= 512)
            return false;
        byte = of_point[point];
        if (byte == 0 && point != lm_byte_to_point(0))
            return false;
        text[len++] = (char)byte;
    }
    *ret_len = len;
    return len > 0;
}

/* Fills `of_point` (512): the byte of each character, 0 for those that stand for none. */
static void alphabet(uint8_t *of_point)
{
    memset(of_point, 0, 512);
    for (uint32_t byte = 0; byte < 256; byte++)
        of_point[lm_byte_to_point((uint8_t)byte)] = (uint8_t)byte;
}

static enum err read_piece(struct reading *reading, const char *text, uint16_t id,
                           const uint8_t *of_point)
{
    struct lm_tokenizer *t = reading->made;
    const struct lm_added *added = added_find(t, id);
    if (added != NULL &&
        !str_equal((struct str){t->bytes + added->content.at, added->content.len}, str_from(text)))
        return refuse(reading->fault, "model.vocab: id %u is an added token's", id);
    if (added != NULL)
        return ERR_OK;
    if (t->piece[id].len > 0)
        return refuse(reading->fault, "model.vocab: id %u stands twice", id);
    char *copy = mem_strdup(str_from(text));
    size_t len;
    if (copy == NULL)
        return ERR_NOMEM;
    enum err err = ERR_OK;
    if (to_bytes(copy, &len, of_point))
        err = lm_tokenizer_keep(t, (struct str){copy, len}, &t->piece[id]);
    else
        err = refuse(reading->fault, "model.vocab: \"%.60s\" is not in the byte-level alphabet",
                     text);
    mem_free(copy);
    return err;
}

static enum err read_vocab(struct reading *reading)
{
    struct lm_tokenizer *t = reading->made;
    uint8_t of_point[512];
    bool found[256] = {false};
    const char *text;
    json_t *value;
    alphabet(of_point);
    json_object_foreach(reading->vocab, text, value)
    {
        enum err err = read_piece(reading, text, (uint16_t)json_integer_value(value), of_point);
        if (err != ERR_OK)
            return err;
    }
    for (uint32_t id = 0; id < t->vocab; id++) {
        struct str bytes = lm_tokenizer_bytes(t, id);
        if (bytes.len != 1 || added_find(t, (uint16_t)id) != NULL)
            continue;
        t->byte_id[(uint8_t)bytes.at[0]] = (uint16_t)id;
        found[(uint8_t)bytes.at[0]] = true;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        if (!found[byte])
            return refuse(reading->fault, "model.vocab: no token for the single byte 0x%02X", byte);
    }
    return ERR_OK;
}

/* ---- merges ---- */

static bool token_of(const struct reading *reading, struct str text, uint16_t *ret_id)
{
    const json_t *value = json_object_getn(reading->vocab, text.at, text.len);
    return id_of(value, ret_id) && added_find(reading->made, *ret_id) == NULL;
}

static enum err read_merge(struct reading *reading, const json_t *entry, size_t index)
{
    struct lm_tokenizer *t = reading->made;
    struct lm_merge *merge = &t->merge[index];
    struct str left = str_from(json_string_value(json_array_get(entry, 0)));
    struct str right = str_from(json_string_value(json_array_get(entry, 1)));
    if (json_is_string(entry)) {
        struct str both = str_from(json_string_value(entry));
        left = str_slice(both, 0, str_find(both, ' '));
        right = str_slice(both, left.len + 1, both.len);
    } else if (json_array_size(entry) != 2) {
        return refuse(reading->fault, "model.merges[%zu]: must be \"a b\" or [\"a\", \"b\"]",
                      index);
    }
    if (!token_of(reading, left, &merge->left) || !token_of(reading, right, &merge->right))
        return refuse(reading->fault, "model.merges[%zu]: a half of it is not in model.vocab",
                      index);
    char *whole = mem_alloc(left.len + right.len);
    if (whole == NULL)
        return ERR_NOMEM;
    memcpy(whole, left.at, left.len);
    memcpy(whole + left.len, right.at, right.len);
    bool found = token_of(reading, (struct str){whole, left.len + right.len}, &merge->made);
    mem_free(whole);
    if (!found)
        return refuse(reading->fault, "model.merges[%zu]: what it makes is not in model.vocab",
                      index);
    t->merge_count++;
    return ERR_OK;
}

static enum err read_all(struct reading *reading, const json_t *added, const json_t *merges)
{
    uint32_t twice;
    enum err err = read_added(reading, added);
    if (err == ERR_OK)
        err = read_vocab(reading);
    for (size_t i = 0; err == ERR_OK && i < json_array_size(merges); i++)
        err = read_merge(reading, json_array_get(merges, i), i);
    if (err == ERR_OK && !lm_tokenizer_index(reading->made, &twice))
        err = refuse(reading->fault, "model.merges[%u]: the pair stands twice", twice);
    return err;
}

static enum err from_json(const json_t *root, struct lm_fault *fault,
                          struct lm_tokenizer **ret_tokenizer)
{
    struct reading reading = {.fault = fault};
    enum lm_split split = LM_SPLIT_OURS;
    enum err err = check_frame(root, fault);
    if (err == ERR_OK)
        err = read_split(root, fault, &split);
    if (err != ERR_OK)
        return err;
    const json_t *added = json_object_get(root, "added_tokens");
    const json_t *model = json_object_get(root, "model");
    const json_t *merges = json_object_get(model, "merges");
    uint32_t vocab = 0;
    reading.vocab = json_object_get(model, "vocab");
    if (!is_off(added) && !json_is_array(added))
        return refuse(fault, "added_tokens: must be an array");
    if (json_array_size(added) > LM_ADDED_MAX)
        return refuse(fault, "added_tokens: more than %u", LM_ADDED_MAX);
    if (json_array_size(merges) > LM_MERGES_MAX)
        return refuse(fault, "model.merges: more than %u", LM_MERGES_MAX);
    err = count_ids(reading.vocab, added, fault, &vocab);
    if (err == ERR_OK)
        err = lm_tokenizer_create(vocab, (uint32_t)json_array_size(merges),
                                  (uint32_t)json_array_size(added), &reading.made);
    if (err != ERR_OK)
        return err;
    reading.made->split = split;
    err = read_all(&reading, added, merges);
    if (err != ERR_OK) {
        lm_tokenizer_destroy(reading.made);
        return err;
    }
    *ret_tokenizer = reading.made;
    return ERR_OK;
}

enum err lm_tokenizer_parse(struct str json, struct lm_fault *fault,
                            struct lm_tokenizer **ret_tokenizer)
{
    json_error_t error = {0};
    *fault = (struct lm_fault){0};
    json_t *root =
        json_loadb(json.at != NULL ? json.at : "", json.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fault->at_byte = (size_t)(error.position > 0 ? error.position : 0);
        return json_error_code(&error) == json_error_out_of_memory
                   ? ERR_NOMEM
                   : refuse(fault, "line %d, column %d: %.160s", error.line, error.column,
                            error.text);
    }
    enum err err = json_is_object(root) ? from_json(root, fault, ret_tokenizer)
                                        : refuse(fault, "the file must be a JSON object");
    json_decref(root);
    return err;
}

enum err lm_tokenizer_read(const char *path, struct lm_fault *fault,
                           struct lm_tokenizer **ret_tokenizer)
{
    struct buf buf;
    *fault = (struct lm_fault){0};
    enum err err = file_read(path, LM_TOKENIZER_MAX, &buf);
    if (err == ERR_OK)
        err = lm_tokenizer_parse(buf_str(&buf), fault, ret_tokenizer);
    else
        (void)snprintf(fault->why, sizeof(fault->why), "%.200s: %s", path, err_name(err));
    buf_finish(&buf);
    return err;
}
