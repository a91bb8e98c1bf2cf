/* A vocabulary in memory, and text to ids and back. */
#include "lm/text/text_int.h"

#include <stdio.h>
#include <string.h>

static const char *const special_name[] = {
    "<|pad|>",  "<|begin|>",     "<|end|>",    "<|system|>",   "<|facts|>",
    "<|user|>", "<|assistant|>", "<|recipe|>", "<|classify|>", "<|summarize|>",
};

enum err lm_tokenizer_create(uint32_t vocab, uint32_t merges, uint32_t added,
                             struct lm_tokenizer **ret_tokenizer)
{
    struct lm_tokenizer *t = mem_zalloc(sizeof(*t));
    if (t == NULL)
        return ERR_NOMEM;
    uint32_t slots = 1024;
    while (slots < merges * 2)
        slots *= 2;
    t->slot_mask = slots - 1;
    t->vocab = vocab;
    t->piece = mem_zalloc((size_t)vocab * sizeof(*t->piece));
    t->merge = mem_zalloc((size_t)(merges + 1) * sizeof(*t->merge));
    t->added = mem_zalloc((size_t)(added + 1) * sizeof(*t->added));
    t->slot = mem_alloc((size_t)slots * sizeof(*t->slot));
    if (t->piece == NULL || t->merge == NULL || t->added == NULL || t->slot == NULL) {
        lm_tokenizer_destroy(t);
        return ERR_NOMEM;
    }
    memset(t->slot, 0xFF, (size_t)slots * sizeof(*t->slot));
    *ret_tokenizer = t;
    return ERR_OK;
}

void lm_tokenizer_destroy(struct lm_tokenizer *t)
{
    if (t == NULL)
        return;
    mem_free(t->piece);
    mem_free(t->bytes);
    mem_free(t->merge);
    mem_free(t->slot);
    mem_free(t->added);
    mem_free(t);
}

enum err lm_tokenizer_keep(struct lm_tokenizer *t, struct str text, struct lm_piece *ret_piece)
{
    if (t->bytes_len + text.len > UINT32_MAX / 2)
        return ERR_FULL;
    if (t->bytes_len + text.len > t->bytes_cap) {
        size_t cap = 2 * t->bytes_cap + text.len + 4096;
        char *bytes = mem_realloc(t->bytes, cap);
        if (bytes == NULL)
            return ERR_NOMEM;
        t->bytes = bytes;
        t->bytes_cap = cap;
    }
    *ret_piece = (struct lm_piece){(uint32_t)t->bytes_len, (uint32_t)text.len};
    if (text.len > 0)
        memcpy(t->bytes + t->bytes_len, text.at, text.len);
    t->bytes_len += text.len;
    return ERR_OK;
}

enum err lm_tokenizer_basics(struct lm_tokenizer *t)
{
    char name[32];
    for (uint32_t i = 0; i < LM_SPECIALS; i++) {
        struct lm_added *added = &t->added[t->added_count];
        if (i < ARRAY_COUNT(special_name))
            (void)snprintf(name, sizeof(name), "%s", special_name[i]);
        else
            (void)snprintf(name, sizeof(name), "<|reserved%u|>", i);
        enum err err = lm_tokenizer_keep(t, str_from(name), &added->content);
        if (err != ERR_OK)
            return err;
        added->id = (uint16_t)i;
        added->special = true;
        added->in_vocab = true;
        t->added_count++;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        char c = (char)(uint8_t)byte;
        t->byte_id[byte] = (uint16_t)(LM_BYTE_FIRST + byte);
        enum err err = lm_tokenizer_keep(t, (struct str){&c, 1}, &t->piece[LM_BYTE_FIRST + byte]);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* ---- the table of pairs ---- */

static struct lm_merge_slot *slot_of(const struct lm_tokenizer *t, uint32_t pair)
{
    uint32_t at = (pair * 2654435769u) >> 7;
    for (;; at++) {
        struct lm_merge_slot *slot = &t->slot[at & t->slot_mask];
        if (slot->pair == pair || slot->pair == LM_PIECE_NONE)
            return slot;
    }
}

bool lm_tokenizer_index(struct lm_tokenizer *t, uint32_t *ret_twice)
{
    for (uint32_t rank = 0; rank < t->merge_count; rank++) {
        const struct lm_merge *merge = &t->merge[rank];
        uint32_t pair = (uint32_t)merge->left << 16 | merge->right;
        struct lm_merge_slot *slot = slot_of(t, pair);
        if (slot->pair != LM_PIECE_NONE) {
            *ret_twice = rank;
            return false;
        }
        *slot = (struct lm_merge_slot){pair, rank, merge->made};
    }
    return true;
}

static uint32_t rank_of(const struct lm_tokenizer *t, uint16_t left, uint16_t right)
{
    return slot_of(t, (uint32_t)left << 16 | right)->rank; /* an empty slot's is the highest */
}

/* ---- encode ---- */

/* Merges `ids` in place: again and again the pair that was learned first, the leftmost of these. */
static size_t merge_word(const struct lm_tokenizer *t, uint16_t *ids, size_t count)
{
    uint32_t rank[LM_WORD_BYTES_MAX];
    for (size_t i = 0; i + 1 < count; i++)
        rank[i] = rank_of(t, ids[i], ids[i + 1]);
    while (count > 1) {
        uint32_t least = LM_PIECE_NONE;
        for (size_t i = 0; i + 1 < count; i++)
            least = rank[i] < least ? rank[i] : least;
        if (least == LM_PIECE_NONE)
            break;
        size_t at = 0;
        while (rank[at] != least)
            at++;
        ids[at] = t->merge[least].made;
        memmove(ids + at + 1, ids + at + 2, (count - at - 2) * sizeof(*ids));
        memmove(rank + at, rank + at + 1, (count - at - 2) * sizeof(*rank));
        count--;
        if (at > 0)
            rank[at - 1] = rank_of(t, ids[at - 1], ids[at]);
        if (at + 1 < count)
            rank[at] = rank_of(t, ids[at], ids[at + 1]);
    }
    return count;
}

enum err lm_tokenizer_encode(const struct lm_tokenizer *t, struct str text, uint16_t *ids,
                             size_t ids_max, size_t *ret_count)
{
    uint16_t word[LM_WORD_BYTES_MAX];
    size_t made = 0;
    *ret_count = 0;
    while (text.len > 0) {
        size_t len = lm_split_next(t->split, text);
        for (size_t i = 0; i < len; i++)
            word[i] = t->byte_id[(uint8_t)text.at[i]];
        size_t count = merge_word(t, word, len);
        size_t fits = count < ids_max - made ? count : ids_max - made;
        if (fits > 0)
            memcpy(ids + made, word, fits * sizeof(*ids));
        made += fits;
        *ret_count = made;
        if (fits < count)
            return ERR_FULL;
        text = str_slice(text, len, text.len);
    }
    return ERR_OK;
}

uint32_t lm_tokenizer_vocab(const struct lm_tokenizer *t)
{
    return t->vocab;
}

struct str lm_tokenizer_bytes(const struct lm_tokenizer *t, uint32_t id)
{
    if (id >= t->vocab)
        return STR_NONE;
    struct lm_piece piece = t->piece[id];
    return piece.len == 0 ? STR_NONE : (struct str){t->bytes + piece.at, piece.len};
}
