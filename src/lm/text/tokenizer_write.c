/* A vocabulary as a tokenizer.json that Hugging Face's `tokenizers` applies in the same way. */
#include "lm/text/text_int.h"

#include <string.h>

#define ADD(call)                                                                                  \
    do {                                                                                           \
        enum err add_err = (call);                                                                 \
        if (add_err != ERR_OK)                                                                     \
            return add_err;                                                                        \
    } while (0)

/* Valid UTF-8 between quotes. */
static enum err add_quoted(struct buf *buf, struct str text)
{
    ADD(buf_add_str(buf, STR("\"")));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.at[i];
        if (byte < 0x20)
            ADD(buf_printf(buf, "\\u%04x", byte));
        else if (byte == '"' || byte == '\\')
            ADD(buf_printf(buf, "\\%c", byte));
        else
            ADD(buf_add(buf, &byte, 1));
    }
    return buf_add_str(buf, STR("\""));
}

/* Bytes in GPT-2's alphabet, without quotes. */
static enum err add_piece(struct buf *buf, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint32_t point = lm_byte_to_point((uint8_t)bytes.at[i]);
        char two[2] = {(char)(0xC0 | point >> 6), (char)(0x80 | (point & 0x3F))};
        if (point == '"' || point == '\\')
            ADD(buf_add_str(buf, STR("\\")));
        if (point < 0x80)
            two[0] = (char)point;
        ADD(buf_add(buf, two, point < 0x80 ? 1 : 2));
    }
    return ERR_OK;
}

static enum err add_added(const struct lm_tokenizer *t, struct buf *buf)
{
    ADD(buf_add_str(buf, STR("  \"added_tokens\": [")));
    for (uint32_t i = 0; i < t->added_count; i++) {
        const struct lm_added *added = &t->added[i];
        ADD(buf_printf(buf, "%s\n    {\"id\": %u, \"content\": ", i > 0 ? "," : "", added->id));
        ADD(add_quoted(buf, (struct str){t->bytes + added->content.at, added->content.len}));
        ADD(buf_printf(buf,
                       ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                       "\"normalized\": false, \"special\": %s}",
                       added->special ? "true" : "false"));
    }
    return buf_add_str(buf, t->added_count > 0 ? STR("\n  ],\n") : STR("],\n"));
}

static enum err add_split(const struct lm_tokenizer *t, struct buf *buf)
{
    if (t->split == LM_SPLIT_GPT2)
        return buf_add_str(buf, STR("  \"pre_tokenizer\": {\"type\": \"ByteLevel\", "
                                    "\"add_prefix_space\": false, \"trim_offsets\": true, "
                                    "\"use_regex\": true},\n"));
    ADD(buf_add_str(buf, STR("  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                             "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ")));
    ADD(add_quoted(buf, STR(LM_SPLIT_REGEX)));
    return buf_add_str(buf, STR("}, \"behavior\": \"Isolated\", \"invert\": false},\n"
                                "    {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                                "\"trim_offsets\": true, \"use_regex\": false}\n  ]},\n"));
}

static enum err add_vocab(const struct lm_tokenizer *t, struct buf *buf)
{
    const char *comma = "";
    ADD(buf_add_str(buf, STR("    \"vocab\": {")));
    for (uint32_t i = 0; i < t->added_count; i++) {
        const struct lm_added *added = &t->added[i];
        if (!added->in_vocab)
            continue;
        ADD(buf_printf(buf, "%s\n      ", comma));
        ADD(add_quoted(buf, (struct str){t->bytes + added->content.at, added->content.len}));
        ADD(buf_printf(buf, ": %u", added->id));
        comma = ",";
    }
    for (uint32_t id = 0; id < t->vocab; id++) {
        bool is_added = false;
        for (uint32_t i = 0; i < t->added_count; i++)
            is_added = is_added || t->added[i].id == id;
        struct str bytes = lm_tokenizer_bytes(t, id);
        if (is_added || bytes.len == 0)
            continue;
        ADD(buf_printf(buf, "%s\n      \"", comma));
        ADD(add_piece(buf, bytes));
        ADD(buf_printf(buf, "\": %u", id));
        comma = ",";
    }
    return buf_add_str(buf, STR("\n    },\n"));
}

static enum err add_merges(const struct lm_tokenizer *t, struct buf *buf)
{
    ADD(buf_add_str(buf, STR("    \"merges\": [")));
    for (uint32_t i = 0; i < t->merge_count; i++) {
        ADD(buf_printf(buf, "%s\n      \"", i > 0 ? "," : ""));
        ADD(add_piece(buf, lm_tokenizer_bytes(t, t->merge[i].left)));
        ADD(buf_add_str(buf, STR(" ")));
        ADD(add_piece(buf, lm_tokenizer_bytes(t, t->merge[i].right)));
        ADD(buf_add_str(buf, STR("\"")));
    }
    return buf_add_str(buf, t->merge_count > 0 ? STR("\n    ]\n") : STR("]\n"));
}

enum err lm_tokenizer_json(const struct lm_tokenizer *t, struct buf *buf)
{
    ADD(buf_add_str(buf, STR("{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n"
                             "  \"padding\": null,\n")));
    ADD(add_added(t, buf));
    ADD(buf_add_str(buf, STR("  \"normalizer\": null,\n")));
    ADD(add_split(t, buf));
    ADD(buf_add_str(buf, STR("  \"post_processor\": null,\n"
                             "  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                             "\"trim_offsets\": true, \"use_regex\": true},\n"
                             "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
                             "    \"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n"
                             "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": false,\n"
                             "    \"byte_fallback\": false,\n    \"ignore_merges\": false,\n")));
    ADD(add_vocab(t, buf));
    ADD(add_merges(t, buf));
    return buf_add_str(buf, STR("  }\n}\n"));
}

enum err lm_tokenizer_write(const struct lm_tokenizer *t, const char *path)
{
    struct buf buf;
    buf_init(&buf, LM_TOKENIZER_MAX);
    enum err err = lm_tokenizer_json(t, &buf);
    if (err == ERR_OK)
        err = file_write_atomic(path, buf.at, buf.len, 0644);
    buf_finish(&buf);
    return err;
}
