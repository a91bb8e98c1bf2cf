/* From an automaton over bytes to sets of ids.  The vocabulary is walked in the order of its bytes,
 * as one would walk its trie: what an id shares with the one before is not walked again, and where
 * the automaton says no, every id with the same front is passed over. */
#include "lm/talk/talk_int.h"

#include <stdlib.h>
#include <string.h>

#define ID_BYTES_LONG 128U  /* longer ids are never allowed: no JSON of ours needs them */
#define KEPT_MAX      2048U /* sets of ids kept; of further states they are made anew */

struct lm_mask {
    struct lm_automaton automaton;
    const struct lm_tokenizer *tokenizer;
    uint32_t start, vocab, words;
    uint32_t distance_max;
    uint16_t *order;           /* ids by their bytes */
    uint8_t *shared;           /* bytes in common with the one before in this order */
    uint32_t ordered;          /* of both */
    _Atomic(uint64_t *) *kept; /* a set of ids for each state, once it was asked for */
    atomic_uint kept_count;
};

struct entry {
    struct str bytes;
    uint16_t id;
};

static int by_bytes(const void *a, const void *b)
{
    const struct entry *one = a;
    const struct entry *two = b;
    size_t len = one->bytes.len < two->bytes.len ? one->bytes.len : two->bytes.len;
    int order = memcmp(one->bytes.at, two->bytes.at, len);
    if (order != 0)
        return order;
    if (one->bytes.len != two->bytes.len)
        return one->bytes.len < two->bytes.len ? -1 : 1;
    return one->id < two->id ? -1 : 1;
}

static enum err order_ids(struct lm_mask *mask)
{
    struct entry *entry = mem_alloc(mask->vocab * sizeof(*entry));
    if (entry == NULL)
        return ERR_NOMEM;
    for (uint32_t id = LM_SPECIALS; id < mask->vocab; id++) {
        struct str bytes = lm_tokenizer_bytes(mask->tokenizer, id);
        if (bytes.len > 0 && bytes.len <= ID_BYTES_LONG)
            entry[mask->ordered++] = (struct entry){bytes, (uint16_t)id};
    }
    qsort(entry, mask->ordered, sizeof(*entry), by_bytes);
    for (uint32_t i = 0; i < mask->ordered; i++) {
        uint32_t shared = 0;
        while (i > 0 && shared < entry[i].bytes.len && shared < entry[i - 1].bytes.len &&
               entry[i].bytes.at[shared] == entry[i - 1].bytes.at[shared])
            shared++;
        mask->order[i] = entry[i].id;
        mask->shared[i] = (uint8_t)shared;
    }
    mem_free(entry);
    return ERR_OK;
}

/* Every byte that may ever follow must be an id of its own, or a text could come to a place where
 * no id goes on. */
static enum err check_bytes(const struct lm_mask *mask, struct lm_fault *fault)
{
    bool single[256] = {false};
    for (uint32_t id = LM_SPECIALS; id < mask->vocab; id++) {
        struct str bytes = lm_tokenizer_bytes(mask->tokenizer, id);
        if (bytes.len == 1)
            single[(uint8_t)bytes.at[0]] = true;
    }
    for (uint32_t state = 0; state < mask->automaton.count; state++)
        for (unsigned byte = 0; byte < 256; byte++)
            if (mask->automaton.next[state][byte] != LM_NO_STATE && !single[byte]) {
                if (fault != NULL)
                    *fault = (struct lm_fault){.why = "the vocabulary lacks a byte of its own"};
                return ERR_INPUT;
            }
    return ERR_OK;
}

static enum err mask_fill(struct lm_mask *mask, struct str schema_json, struct lm_fault *fault)
{
    struct lm_automaton *automaton = &mask->automaton;
    lm_automaton_init(automaton, fault);
    uint32_t end = lm_automaton_add(automaton);
    if (end != LM_NO_STATE)
        automaton->accepts[end] = true;
    mask->start = lm_automaton_schema(automaton, schema_json, end);
    lm_automaton_trim(automaton, mask->start);
    automaton->fault = NULL;
    if (automaton->err != ERR_OK)
        return automaton->err;
    for (uint32_t state = 0; state < automaton->count; state++)
        if (automaton->distance[state] != UINT32_MAX &&
            automaton->distance[state] > mask->distance_max)
            mask->distance_max = automaton->distance[state];
    mask->order = mem_alloc(mask->vocab * sizeof(*mask->order));
    mask->shared = mem_alloc(mask->vocab);
    mask->kept = mem_alloc(automaton->count * sizeof(*mask->kept));
    for (uint32_t state = 0; mask->kept != NULL && state < automaton->count; state++)
        atomic_init(&mask->kept[state], NULL); /* before the first failure: destroy looks at them */
    if (mask->order == NULL || mask->shared == NULL || mask->kept == NULL)
        return ERR_NOMEM;
    enum err err = check_bytes(mask, fault);
    return err != ERR_OK ? err : order_ids(mask);
}

enum err lm_mask_create(struct str schema_json, const struct lm_tokenizer *tokenizer,
                        struct lm_fault *fault, struct lm_mask **ret_mask)
{
    if (fault != NULL)
        *fault = (struct lm_fault){.at_byte = 0};
    struct lm_mask *mask = mem_zalloc(sizeof(*mask));
    if (mask == NULL)
        return ERR_NOMEM;
    mask->tokenizer = tokenizer;
    mask->vocab = lm_tokenizer_vocab(tokenizer);
    mask->words = (mask->vocab + 63) / 64;
    atomic_init(&mask->kept_count, 0);
    enum err err = mask_fill(mask, schema_json, fault);
    if (err != ERR_OK) {
        lm_mask_destroy(mask);
        return err;
    }
    *ret_mask = mask;
    return ERR_OK;
}

void lm_mask_destroy(struct lm_mask *mask)
{
    if (mask == NULL)
        return;
    for (uint32_t state = 0; mask->kept != NULL && state < mask->automaton.count; state++)
        mem_free(atomic_load(&mask->kept[state]));
    mem_free((void *)mask->kept);
    mem_free(mask->order);
    mem_free(mask->shared);
    lm_automaton_finish(&mask->automaton);
    mem_free(mask);
}

uint32_t lm_mask_start(const struct lm_mask *mask)
{
    return mask->start;
}

uint32_t lm_mask_words(const struct lm_mask *mask)
{
    return mask->words;
}

uint32_t lm_mask_step(const struct lm_mask *mask, uint32_t state, uint32_t id)
{
    if (id == LM_END)
        return mask->automaton.accepts[state] ? state : LM_NO_STATE;
    struct str bytes = lm_tokenizer_bytes(mask->tokenizer, id);
    if (id < LM_SPECIALS || bytes.len == 0 || bytes.len > ID_BYTES_LONG)
        return LM_NO_STATE;
    for (size_t i = 0; i < bytes.len && state != LM_NO_STATE; i++)
        state = mask->automaton.next[state][(uint8_t)bytes.at[i]];
    return state;
}

bool lm_mask_accepts(const struct lm_mask *mask, uint32_t state)
{
    return mask->automaton.accepts[state];
}

bool lm_mask_complete(const struct lm_mask *mask, uint32_t state)
{
    if (!mask->automaton.accepts[state])
        return false;
    for (unsigned byte = 0; byte < 256; byte++)
        if (mask->automaton.next[state][byte] != LM_NO_STATE)
            return false;
    return true;
}

uint32_t lm_mask_distance(const struct lm_mask *mask, uint32_t state)
{
    return mask->automaton.distance[state];
}

static void walk(const struct lm_mask *mask, uint32_t state, uint64_t *set)
{
    memset(set, 0, mask->words * sizeof(*set));
    if (mask->automaton.accepts[state])
        set[LM_END / 64] |= 1ULL << (LM_END % 64);
    uint32_t path[ID_BYTES_LONG + 1] = {state}; /* path[n]: after n bytes */
    uint32_t alive = 0;                         /* path is right up to here */
    bool is_dead = false;                       /* and does not go on after that */
    for (uint32_t i = 0; i < mask->ordered; i++) {
        uint32_t shared = mask->shared[i];
        if (is_dead && shared > alive)
            continue;
        alive = shared < alive ? shared : alive;
        is_dead = false;
        struct str bytes = lm_tokenizer_bytes(mask->tokenizer, mask->order[i]);
        while (alive < bytes.len && !is_dead) {
            uint32_t next = mask->automaton.next[path[alive]][(uint8_t)bytes.at[alive]];
            is_dead = next == LM_NO_STATE;
            if (!is_dead)
                path[++alive] = next;
        }
        if (!is_dead)
            set[mask->order[i] / 64] |= 1ULL << (mask->order[i] % 64);
    }
}

/* The set of a state: kept by whoever is first; `scratch` where it cannot be kept. */
static const uint64_t *set_of(const struct lm_mask *mask, uint32_t state, uint64_t *scratch)
{
    uint64_t *kept = atomic_load_explicit(&mask->kept[state], memory_order_acquire);
    if (kept != NULL)
        return kept;
    struct lm_mask *shared = (struct lm_mask *)(uintptr_t)mask; /* only the two atomics change */
    uint64_t *fresh = NULL;
    if (atomic_fetch_add(&shared->kept_count, 1) < KEPT_MAX)
        fresh = mem_alloc(mask->words * sizeof(*fresh));
    if (fresh == NULL) {
        (void)atomic_fetch_sub(&shared->kept_count, 1);
        walk(mask, state, scratch);
        return scratch;
    }
    walk(mask, state, fresh);
    if (atomic_compare_exchange_strong(&shared->kept[state], &kept, fresh))
        return fresh;
    (void)atomic_fetch_sub(&shared->kept_count, 1);
    mem_free(fresh);
    return kept;
}

const uint64_t *lm_mask_allowed(const struct lm_mask *mask, uint32_t state, uint32_t left,
                                uint64_t *scratch)
{
    const uint64_t *set = set_of(mask, state, scratch);
    if (left > mask->distance_max)
        return set;
    /* Near the end only what can still be finished, one byte an id if need be. */
    bool any = false;
    for (uint32_t word = 0; word < mask->words; word++) {
        uint64_t good = 0;
        for (uint64_t bits = set[word]; bits != 0; bits &= bits - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(bits);
            uint32_t to = lm_mask_step(mask, state, id);
            if (to != LM_NO_STATE && mask->automaton.distance[to] < left)
                good |= 1ULL << (id % 64);
        }
        any = any || good != 0;
        scratch[word] = good;
    }
    return any ? scratch : set_of(mask, state, scratch);
}
