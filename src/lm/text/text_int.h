/* text: byte-level BPE.  A text is cut into words (split.c), each word's bytes are merged pair by
 * pair, the earliest learned pair first. */
#ifndef AUTOMAT_LM_TEXT_INT_H
#define AUTOMAT_LM_TEXT_INT_H

#include "lm/lm.h"

/* ---- words ---- */

enum lm_split {
    LM_SPLIT_OURS, /* words with their apostrophes, digits one by one: see LM_SPLIT_REGEX */
    LM_SPLIT_GPT2, /* GPT-2's pattern; every byte from 0x80 on counts as a letter, so exact on ASCII
                      only */
};
/* LM_SPLIT_OURS as a pattern for other programs (Oniguruma, Python), on any valid UTF-8.  Letters
 * are A-Z, a-z and everything beyond ASCII; a digit never has a space in front of it, so that a
 * number has the same ids wherever it stands. */
#define LM_SPLIT_SPACE  "\\x09-\\x0D\\x20"
#define LM_SPLIT_LETTER "^\\x00-\\x40\\x5B-\\x60\\x7B-\\x7F"
#define LM_SPLIT_REGEX                                                                             \
    " ?[" LM_SPLIT_LETTER "]+(?:'[" LM_SPLIT_LETTER "]+)*"                                         \
    "|[0-9]"                                                                                       \
    "| ?[\\x00-\\x08\\x0E-\\x1F\\x21-\\x2F\\x3A-\\x40\\x5B-\\x60\\x7B-\\x7F]+"                     \
    "|[" LM_SPLIT_SPACE "]+(?![^" LM_SPLIT_SPACE "])"                                              \
    "|[" LM_SPLIT_SPACE "]+"

/* Longer words are cut here, which bounds the work a byte; the pattern knows nothing of it. */
#define LM_WORD_BYTES_MAX 512
/* Length of the word at the front: 1..LM_WORD_BYTES_MAX, 0 only when the text is empty. */
size_t lm_split_next(enum lm_split split, struct str text);

/* ---- the tokenizer ---- */

#define LM_BYTE_FIRST    ((uint32_t)LM_SPECIALS)
#define LM_MERGE_FIRST   (LM_BYTE_FIRST + 256)
#define LM_MERGES_MAX    65536u
#define LM_ADDED_MAX     1024u
#define LM_PIECE_NONE    UINT32_MAX
#define LM_TOKENIZER_MAX (64 * MIB) /* of a tokenizer.json */

struct lm_piece {
    uint32_t at, len; /* in `bytes`; empty for specials and for ids that nobody uses */
};
struct lm_merge {
    uint16_t left, right, made;
};
struct lm_merge_slot {
    uint32_t pair; /* left << 16 | right; LM_PIECE_NONE: empty */
    uint32_t rank; /* index of the merge: the lowest goes first */
    uint16_t made;
};
struct lm_added { /* a token that no text becomes */
    uint16_t id;
    bool special;  /* says nothing when decoded */
    bool in_vocab; /* stands among the model's tokens too */
    struct lm_piece content;
};

struct lm_tokenizer {
    enum lm_split split;
    uint32_t vocab; /* highest id + 1 */
    struct lm_piece *piece;
    char *bytes;
    size_t bytes_len, bytes_cap;
    uint16_t byte_id[256];
    struct lm_merge *merge;
    uint32_t merge_count;
    struct lm_merge_slot *slot;
    uint32_t slot_mask;
    struct lm_added *added;
    uint32_t added_count;
};

/* Empty, with room for `vocab` ids, `merges` and `added` (0 allowed). */
MUST_USE enum err lm_tokenizer_create(uint32_t vocab, uint32_t merges, uint32_t added,
                                      struct lm_tokenizer **ret_tokenizer);
/* Appends to `bytes`. */
MUST_USE enum err lm_tokenizer_keep(struct lm_tokenizer *tokenizer, struct str text,
                                    struct lm_piece *ret_piece);
/* Builds the table of pairs; false when a pair stands twice. */
bool lm_tokenizer_index(struct lm_tokenizer *tokenizer, uint32_t *ret_twice);
/* The 16 specials of lm.h and the 256 bytes in their places; room must have been made. */
MUST_USE enum err lm_tokenizer_basics(struct lm_tokenizer *tokenizer);

/* GPT-2's alphabet: each byte as one printable character, for JSON. */
uint32_t lm_byte_to_point(uint8_t byte);
/* tokenizer.json into `buf`. */
MUST_USE enum err lm_tokenizer_json(const struct lm_tokenizer *tokenizer, struct buf *buf);

#endif
