/* talk: from logits to text: choosing the next id, automata that keep JSON valid, text that leaves
 * in whole characters, and the engine that does this for many callers.
 *
 *     logits -> mask -> repetition -> top-k -> top-p -> min-p -> temperature -> draw
 *
 * which is the order of llama.cpp's default chain.  Greedy (temperature 0) takes the best after
 * mask and repetition; of equals the smallest id.  Specials other than LM_END are never chosen. */
#ifndef AUTOMAT_LM_TALK_INT_H
#define AUTOMAT_LM_TALK_INT_H

#include "lm/lm.h"

#include <stdatomic.h>

/* ---- choosing (sample.c) ---- */

#define LM_RECENT 256

struct lm_candidate {
    float value;
    uint32_t id;
};

/* Working memory for one thread; grows to the largest vocabulary seen. */
struct lm_pick {
    struct lm_candidate *candidate; /* vocab */
    float *weight;                  /* vocab */
    uint32_t vocab;
};
MUST_USE enum err lm_pick_reserve(struct lm_pick *pick, uint32_t vocab);
void lm_pick_finish(struct lm_pick *pick);

/* What one text remembers between its ids. */
struct lm_sampler {
    struct lm_sampling how;
    struct rng rng;
    uint16_t recent[LM_RECENT]; /* a ring */
    uint32_t recent_count;      /* seen in all */
};
void lm_sampler_init(struct lm_sampler *sampler, const struct lm_sampling *how);
void lm_sampler_saw(struct lm_sampler *sampler, const uint16_t *ids, uint32_t count);
/* logits (vocab) are changed.  `allowed`: a bit an id, or NULL.  Values that are not numbers are
 * never chosen; LM_END when nothing can be.  `pick` was reserved for this vocabulary.
 * `ret_logprob`: of the chosen id, as the model had it before mask, repetition and temperature. */
uint32_t lm_sampler_next(struct lm_sampler *sampler, struct lm_pick *pick, float *logits,
                         uint32_t vocab, const uint64_t *allowed, double *ret_logprob);
/* log of the sum of exp over what is a number in `logits`; `weight` is scratch (vocab). */
double lm_log_sum(const float *logits, uint32_t vocab, float *weight);

/* ---- an automaton over bytes (mask_automaton.c) ---- */

#define LM_NO_STATE   0xFFFFU
#define LM_STATES_MAX 16384U

/* Built from the end to the beginning: each piece is told the state in which the text goes on.  The
 * first failure sticks in `err`; what follows it does nothing. */
struct lm_automaton {
    uint16_t (*next)[256]; /* LM_NO_STATE: this byte may not follow */
    bool *accepts;
    uint32_t *distance; /* fewest bytes to an accepting state; after lm_automaton_trim */
    uint32_t count, cap;
    enum err err;
    struct lm_fault *fault;
};
void lm_automaton_init(struct lm_automaton *automaton, struct lm_fault *fault);
void lm_automaton_finish(struct lm_automaton *automaton);
/* Notes `why` (printf) and `err` unless something failed before; LM_NO_STATE. */
uint32_t lm_automaton_fail(struct lm_automaton *automaton, enum err err, const char *why, ...)
    PRINTF_LIKE(3, 4);
uint32_t lm_automaton_add(struct lm_automaton *automaton); /* no way out yet */
void lm_automaton_link(struct lm_automaton *automaton, uint32_t from, uint8_t byte, uint32_t to);
void lm_automaton_range(struct lm_automaton *automaton, uint32_t from, uint8_t first, uint8_t last,
                        uint32_t to);
/* `into` may also go on as `from` does.  ERR_INPUT when they disagree on a byte. */
void lm_automaton_merge(struct lm_automaton *automaton, uint32_t into, uint32_t from);
/* `text`, begun at state `root`, then `after`.  Texts with a common front share states. */
void lm_automaton_text(struct lm_automaton *automaton, uint32_t root, struct str text,
                       uint32_t after);
/* `state`, or one blank and then `state`. */
uint32_t lm_automaton_blank(struct lm_automaton *automaton, uint32_t state);
/* Distances; takes away every way that cannot end well.  ERR_INPUT when `start` is one. */
void lm_automaton_trim(struct lm_automaton *automaton, uint32_t start);

/* ---- pieces of JSON (mask_number.c, mask_string.c, mask_schema.c) ---- */

struct lm_number {
    int64_t min, max; /* inclusive, in units of 10^-digits */
    int64_t step;     /* of the same unit; at least 1 */
    uint32_t digits;  /* after the point, at most */
};
uint32_t lm_automaton_number(struct lm_automaton *automaton, const struct lm_number *number,
                             uint32_t after);
/* `max` UINT32_MAX: any length.  In characters. */
uint32_t lm_automaton_string(struct lm_automaton *automaton, uint32_t min, uint32_t max,
                             uint32_t after);
/* The whole schema; LM_NO_STATE on failure, why is in the automaton. */
uint32_t lm_automaton_schema(struct lm_automaton *automaton, struct str schema_json,
                             uint32_t after);

/* ---- masks (mask.c) ---- */

uint32_t lm_mask_start(const struct lm_mask *mask);
uint32_t lm_mask_words(const struct lm_mask *mask); /* 64-bit words of a set of ids */
/* After this id; LM_NO_STATE when it is not allowed here.  LM_END stays. */
uint32_t lm_mask_step(const struct lm_mask *mask, uint32_t state, uint32_t id);
bool lm_mask_accepts(const struct lm_mask *mask, uint32_t state);
bool lm_mask_complete(const struct lm_mask *mask, uint32_t state); /* nothing may follow */
/* Ids that may follow when `left` more may be made in all (this one included): enough for the text
 * to end well, if it was enough at the start.  Lives until the next call with this `scratch`
 * (lm_mask_words). */
const uint64_t *lm_mask_allowed(const struct lm_mask *mask, uint32_t state, uint32_t left,
                                uint64_t *scratch);
uint32_t lm_mask_distance(const struct lm_mask *mask, uint32_t state);

/* ---- text on its way out (emit.c) ---- */

#define LM_STOPS_MAX      8
#define LM_STOP_BYTES_MAX 64

/* Bytes in, whole UTF-8 characters out; what may become a stop string is held back.  The same text
 * however the bytes were cut into ids. */
struct lm_emit {
    char stop[LM_STOPS_MAX][LM_STOP_BYTES_MAX];
    uint8_t stop_len[LM_STOPS_MAX];
    uint32_t stop_count;
    char held[LM_STOP_BYTES_MAX]; /* a beginning of a stop string */
    uint32_t held_len;
    char part[4]; /* of a character */
    uint32_t part_len, part_need;
    uint8_t low, high; /* what the next byte of it must be between */
    bool stopped;
};
/* ERR_INPUT: more or longer strings than fit, or an empty one. */
MUST_USE enum err lm_emit_init(struct lm_emit *emit, const struct str *stop, uint32_t stop_count);
/* Appends what may leave to `out`.  After `stopped` nothing more does. */
MUST_USE enum err lm_emit_add(struct lm_emit *emit, struct str bytes, struct buf *out);
/* The text is over: what was held leaves too. */
MUST_USE enum err lm_emit_end(struct lm_emit *emit, struct buf *out);

#endif
