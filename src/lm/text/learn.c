/* Learning merges: every distinct word once, with how often it occurs.
 *
 * A pair's count only grows while its younger half is being made, and after that only shrinks.  So
 * each pair is put on the heap once, when its younger half is there, and is put back with what is
 * left of its count when it comes up with an old one. */
#include "lm/text/text_int.h"

#include <string.h>

#define WORDS_MAX (8u * 1024 * 1024)
#define NONE      UINT32_MAX

struct word {
    uint32_t at, len; /* in `bytes`; later in `symbols` */
    uint64_t count;
};
struct pair {
    uint32_t key;   /* left << 16 | right */
    uint32_t where; /* newest of the words it was seen in, in `seen` */
    uint64_t count;
};
struct seen {
    uint32_t word, next;
};
struct best {
    uint64_t count;
    uint32_t key, pair;
};

/* A growing array of anything; the element size is given with each call. */
struct list {
    void *at;
    uint32_t len, cap;
};

struct learn {
    struct list words;   /* struct word */
    struct list bytes;   /* char */
    struct list pairs;   /* struct pair */
    struct list seen;    /* struct seen */
    struct list heap;    /* struct best */
    uint32_t *word_slot; /* index into words, NONE: empty */
    uint32_t word_mask;
    uint32_t *pair_slot;
    uint32_t pair_mask;
    uint16_t *symbols;
};

static enum err list_room(struct list *list, uint32_t more, size_t each)
{
    if (list->len > UINT32_MAX - 1 - more)
        return ERR_FULL;
    if (list->len + more <= list->cap)
        return ERR_OK;
    uint64_t cap = (uint64_t)list->cap * 2 + more + 256;
    if (cap > UINT32_MAX)
        cap = UINT32_MAX;
    void *at = mem_realloc(list->at, (size_t)cap * each);
    if (at == NULL)
        return ERR_NOMEM;
    list->at = at;
    list->cap = (uint32_t)cap;
    return ERR_OK;
}

static uint32_t *slots_make(uint32_t count)
{
    uint32_t *slots = mem_alloc((size_t)count * sizeof(*slots));
    if (slots != NULL)
        memset(slots, 0xFF, (size_t)count * sizeof(*slots));
    return slots;
}

/* ---- words ---- */

static uint64_t hash_of(const char *at, uint32_t len)
{
    uint64_t hash = 0xcbf29ce484222325u ^ len;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t eight;
        memcpy(&eight, at, 8);
        hash = (hash ^ eight) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    for (; len > 0; at++, len--)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    hash *= 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 32;
}

static uint32_t *word_find(const struct learn *learn, const char *at, uint32_t len)
{
    const struct word *words = learn->words.at;
    const char *bytes = learn->bytes.at;
    for (uint64_t hash = hash_of(at, len);; hash++) {
        uint32_t *slot = &learn->word_slot[hash & learn->word_mask];
        if (*slot == NONE)
            return slot;
        ASSERT(words != NULL && bytes != NULL);
        const struct word *word = &words[*slot];
        if (word->len == len && memcmp(bytes + word->at, at, len) == 0)
            return slot;
    }
}

static enum err words_rehash(struct learn *learn)
{
    uint32_t mask = learn->word_mask * 2 + 1;
    uint32_t *slots = slots_make(mask + 1);
    if (slots == NULL)
        return ERR_NOMEM;
    mem_free(learn->word_slot);
    learn->word_slot = slots;
    learn->word_mask = mask;
    const struct word *words = learn->words.at;
    for (uint32_t i = 0; i < learn->words.len; i++)
        *word_find(learn, (const char *)learn->bytes.at + words[i].at, words[i].len) = i;
    return ERR_OK;
}

static enum err word_new(struct learn *learn, uint32_t *slot, struct str text)
{
    if (learn->words.len >= WORDS_MAX)
        return ERR_FULL;
    enum err err = list_room(&learn->words, 1, sizeof(struct word));
    if (err == ERR_OK)
        err = list_room(&learn->bytes, (uint32_t)text.len, 1);
    if (err != ERR_OK)
        return err;
    ASSERT(learn->bytes.at != NULL && learn->words.at != NULL);
    memcpy((char *)learn->bytes.at + learn->bytes.len, text.at, text.len);
    ((struct word *)learn->words.at)[learn->words.len] =
        (struct word){learn->bytes.len, (uint32_t)text.len, 1};
    *slot = learn->words.len++;
    learn->bytes.len += (uint32_t)text.len;
    return learn->words.len > learn->word_mask / 2 ? words_rehash(learn) : ERR_OK;
}

static enum err words_count(struct learn *learn, struct str text)
{
    while (text.len > 0) {
        size_t len = lm_split_next(LM_SPLIT_OURS, text);
        uint32_t *slot = word_find(learn, text.at, (uint32_t)len);
        struct word *words = learn->words.at;
        if (*slot != NONE) {
            ASSERT(words != NULL);
            words[*slot].count++;
        } else {
            enum err err = word_new(learn, slot, str_slice(text, 0, len));
            if (err != ERR_OK)
                return err;
        }
        text = str_slice(text, len, text.len);
    }
    return ERR_OK;
}

/* ---- the heap: most frequent first, of equals the pair with the lower ids ---- */

static bool before(const struct best *a, const struct best *b)
{
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static enum err heap_push(struct learn *learn, struct best best)
{
    enum err err = list_room(&learn->heap, 1, sizeof(best));
    if (err != ERR_OK)
        return err;
    struct best *heap = learn->heap.at;
    uint32_t at = learn->heap.len++;
    for (; at > 0 && before(&best, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = best;
    return ERR_OK;
}

static bool heap_pop(struct learn *learn, struct best *ret_best)
{
    struct best *heap = learn->heap.at;
    if (learn->heap.len == 0)
        return false;
    *ret_best = heap[0];
    struct best last = heap[--learn->heap.len];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= learn->heap.len)
            break;
        if (child + 1 < learn->heap.len && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    if (learn->heap.len > 0)
        heap[at] = last;
    return true;
}

/* ---- pairs ---- */

static uint32_t *pair_find(const struct learn *learn, uint32_t key)
{
    const struct pair *pairs = learn->pairs.at;
    for (uint32_t at = (key * 2654435769u) >> 7;; at++) {
        uint32_t *slot = &learn->pair_slot[at & learn->pair_mask];
        if (*slot == NONE || pairs[*slot].key == key)
            return slot;
    }
}

static enum err pairs_rehash(struct learn *learn)
{
    uint32_t mask = learn->pair_mask * 2 + 1;
    uint32_t *slots = slots_make(mask + 1);
    if (slots == NULL)
        return ERR_NOMEM;
    mem_free(learn->pair_slot);
    learn->pair_slot = slots;
    learn->pair_mask = mask;
    const struct pair *pairs = learn->pairs.at;
    for (uint32_t i = 0; i < learn->pairs.len; i++)
        *pair_find(learn, pairs[i].key) = i;
    return ERR_OK;
}

/* `times` more of this pair, in this word (NONE: which is known to have it). */
static enum err pair_add(struct learn *learn, uint32_t key, uint64_t times, uint32_t word)
{
    uint32_t *slot = pair_find(learn, key);
    enum err err = list_room(&learn->seen, 1, sizeof(struct seen));
    if (err != ERR_OK)
        return err;
    struct seen *seen = learn->seen.at;
    if (*slot == NONE) {
        err = list_room(&learn->pairs, 1, sizeof(struct pair));
        if (err != ERR_OK)
            return err;
        *slot = learn->pairs.len;
        ((struct pair *)learn->pairs.at)[learn->pairs.len++] = (struct pair){key, NONE, 0};
    }
    struct pair *pair = &((struct pair *)learn->pairs.at)[*slot];
    ASSERT(learn->pairs.at != NULL && seen != NULL);
    pair->count += times;
    if (word != NONE && (pair->where == NONE || seen[pair->where].word != word)) {
        seen[learn->seen.len] = (struct seen){word, pair->where};
        pair->where = learn->seen.len++;
    }
    return learn->pairs.len > learn->pair_mask / 2 ? pairs_rehash(learn) : ERR_OK;
}

static uint32_t key_at(const uint16_t *symbols, uint32_t at)
{
    return (uint32_t)symbols[at] << 16 | symbols[at + 1];
}

static enum err pairs_begin(struct learn *learn)
{
    struct word *words = learn->words.at;
    const uint8_t *bytes = learn->bytes.at;
    learn->symbols = mem_alloc(((size_t)learn->bytes.len + 1) * sizeof(*learn->symbols));
    if (learn->symbols == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < learn->bytes.len; i++)
        learn->symbols[i] = (uint16_t)(LM_BYTE_FIRST + bytes[i]);
    for (uint32_t w = 0; w < learn->words.len; w++) {
        for (uint32_t i = 0; i + 1 < words[w].len; i++) {
            enum err err =
                pair_add(learn, key_at(learn->symbols + words[w].at, i), words[w].count, w);
            if (err != ERR_OK)
                return err;
        }
    }
    const struct pair *pairs = learn->pairs.at;
    for (uint32_t i = 0; i < learn->pairs.len; i++) {
        enum err err = heap_push(learn, (struct best){pairs[i].count, pairs[i].key, i});
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* Replaces the pair wherever it stands in one word; all counts of the word's pairs follow. */
static enum err word_merge(struct learn *learn, uint32_t index, uint32_t key, uint16_t made)
{
    struct word *word = &((struct word *)learn->words.at)[index];
    uint16_t *symbols = learn->symbols + word->at;
    uint32_t first = 0;
    while (first + 1 < word->len && key_at(symbols, first) != key)
        first++;
    if (first + 1 >= word->len)
        return ERR_OK; /* an earlier merge took it apart */
    for (uint32_t i = 0; i + 1 < word->len; i++)
        ((struct pair *)learn->pairs.at)[*pair_find(learn, key_at(symbols, i))].count -=
            word->count;
    uint32_t len = first;
    for (uint32_t i = first; i < word->len; len++) {
        bool here = i + 1 < word->len && key_at(symbols, i) == key;
        symbols[len] = here ? made : symbols[i];
        i += here ? 2 : 1;
    }
    word->len = len;
    for (uint32_t i = 0; i + 1 < len; i++) {
        bool grew = symbols[i] == made || symbols[i + 1] == made;
        enum err err = pair_add(learn, key_at(symbols, i), word->count, grew ? index : NONE);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* `again`: `made` is older than this merge, so pairs with it may have grown too. */
static enum err merge_everywhere(struct learn *learn, const struct best *best, uint16_t made,
                                 bool again)
{
    uint32_t from = again ? 0 : learn->pairs.len; /* a pair with a new id in it is new */
    uint32_t where = ((struct pair *)learn->pairs.at)[best->pair].where;
    while (where != NONE) {
        struct seen seen = ((struct seen *)learn->seen.at)[where];
        enum err err = word_merge(learn, seen.word, best->key, made);
        if (err != ERR_OK)
            return err;
        where = seen.next;
    }
    for (uint32_t i = from; i < learn->pairs.len; i++) {
        const struct pair *pair = &((struct pair *)learn->pairs.at)[i];
        bool grew = pair->key >> 16 == made || (pair->key & 0xFFFF) == made;
        enum err err = !grew || pair->count < 2
                           ? ERR_OK
                           : heap_push(learn, (struct best){pair->count, pair->key, i});
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* The most frequent pair that occurs twice at least; false: there is none. */
static enum err next_best(struct learn *learn, bool *ret_found, struct best *ret_best)
{
    *ret_found = false;
    while (heap_pop(learn, ret_best)) {
        uint64_t now = ((struct pair *)learn->pairs.at)[ret_best->pair].count;
        if (now < 2)
            continue;
        if (now == ret_best->count) {
            *ret_found = true;
            return ERR_OK;
        }
        ret_best->count = now;
        enum err err = heap_push(learn, *ret_best);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* The id that has this text: "aaaa" may come from "aa" "aa" and from "aaa" "a". */
static uint32_t id_of(const struct lm_tokenizer *t, struct str text)
{
    for (uint32_t id = LM_MERGE_FIRST; id < t->vocab; id++) {
        if (t->piece[id].len == text.len &&
            memcmp(t->bytes + t->piece[id].at, text.at, text.len) == 0)
            return id;
    }
    return t->vocab;
}

static enum err learn_one(struct learn *learn, const struct best *best, struct lm_tokenizer *t)
{
    char bytes[2 * LM_WORD_BYTES_MAX];
    struct lm_merge merge = {(uint16_t)(best->key >> 16), (uint16_t)best->key, 0};
    struct str left = lm_tokenizer_bytes(t, merge.left);
    struct str right = lm_tokenizer_bytes(t, merge.right);
    struct str text = {bytes, left.len + right.len};
    ASSERT(text.len <= LM_WORD_BYTES_MAX);
    memcpy(bytes, left.at, left.len);
    memcpy(bytes + left.len, right.at, right.len);
    uint32_t made = id_of(t, text);
    merge.made = (uint16_t)made;
    enum err err = merge_everywhere(learn, best, merge.made, made < t->vocab);
    if (err == ERR_OK && made == t->vocab)
        err = lm_tokenizer_keep(t, text, &t->piece[t->vocab++]);
    if (err == ERR_OK)
        t->merge[t->merge_count++] = merge;
    return err;
}

/* Words are letters or punctuation, never both: no merge spells a special token's name. */
static enum err learn_merges(struct learn *learn, uint32_t vocab, uint32_t merges,
                             struct lm_tokenizer *t)
{
    t->vocab = LM_MERGE_FIRST;
    while (t->vocab < vocab && t->merge_count < merges) {
        struct best best;
        bool found;
        enum err err = next_best(learn, &found, &best);
        if (err == ERR_OK && !found)
            return ERR_OK;
        if (err == ERR_OK)
            err = learn_one(learn, &best, t);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

static enum err learn_words(struct learn *learn, bool (*next)(void *cookie, struct str *ret_text),
                            void *cookie)
{
    struct str text;
    learn->word_mask = 65535;
    learn->pair_mask = 65535;
    learn->word_slot = slots_make(learn->word_mask + 1);
    learn->pair_slot = slots_make(learn->pair_mask + 1);
    if (learn->word_slot == NULL || learn->pair_slot == NULL)
        return ERR_NOMEM;
    while (next(cookie, &text)) {
        enum err err = words_count(learn, text);
        if (err != ERR_OK)
            return err;
    }
    return pairs_begin(learn);
}

static void learn_finish(struct learn *learn)
{
    mem_free(learn->words.at);
    mem_free(learn->bytes.at);
    mem_free(learn->pairs.at);
    mem_free(learn->seen.at);
    mem_free(learn->heap.at);
    mem_free(learn->word_slot);
    mem_free(learn->pair_slot);
    mem_free(learn->symbols);
}

enum err lm_tokenizer_train(bool (*next)(void *cookie, struct str *ret_text), void *cookie,
                            uint32_t vocab, struct lm_tokenizer **ret_tokenizer)
{
    struct learn learn = {0};
    struct lm_tokenizer *t = NULL;
    uint32_t twice;
    if (vocab < LM_MERGE_FIRST || vocab > LM_VOCAB_MAX)
        return ERR_INPUT;
    uint32_t merges = 2 * (vocab - LM_MERGE_FIRST); /* some make a token that is there already */
    enum err err = lm_tokenizer_create(vocab, merges, LM_SPECIALS, &t);
    if (err == ERR_OK)
        err = lm_tokenizer_basics(t);
    if (err == ERR_OK)
        err = learn_words(&learn, next, cookie);
    if (err == ERR_OK)
        err = learn_merges(&learn, vocab, merges, t);
    learn_finish(&learn);
    if (err != ERR_OK) {
        lm_tokenizer_destroy(t);
        return err;
    }
    bool once = lm_tokenizer_index(t, &twice);
    ASSERT(once);
    *ret_tokenizer = t;
    return ERR_OK;
}
