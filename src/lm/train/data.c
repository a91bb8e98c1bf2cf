/* Dialogues from a token file, shuffled by epoch and laid into rows.  Everything here follows from
 * the file, the seed and the epoch's number, so a resumed run needs to remember only where it was.
 */
#include "lm/train/train_int.h"

#include <stdio.h>
#include <string.h>

#define WINDOW 64u /* dialogues to choose from when a row is filled up */

static enum err refuse(struct lm_fault *fault, uint64_t token, const char *why)
{
    (void)snprintf(fault->why, sizeof(fault->why), "%s (token %llu)", why,
                   (unsigned long long)token);
    fault->at_byte = (size_t)token * 2;
    return ERR_INPUT;
}

/* Tokens a..b of the file are one dialogue: how many pieces, and these themselves when `piece` is
 * not NULL.  Pieces after the first repeat at least half a row of what was before. */
static uint32_t cut(uint64_t a, uint64_t b, uint32_t length, struct lm_piece *piece)
{
    uint32_t count = 0;
    uint64_t done = a; /* the successors of tokens before this one are scored */
    while (done + 1 < b) {
        uint64_t end = done + (count == 0 ? length : length / 2);
        if (end > b)
            end = b;
        uint64_t from = end - a > length ? end - length : a;
        if (piece != NULL)
            piece[count] = (struct lm_piece){(uint32_t)from, (uint16_t)(end - from),
                                             (uint16_t)(done - from), end == b};
        count++;
        done = end;
    }
    return count;
}

static uint32_t cut_all(const uint16_t *ids, uint64_t count, uint32_t length,
                        struct lm_piece *piece)
{
    uint32_t pieces = 0;
    uint64_t begin = 0;
    for (uint64_t i = 1; i <= count; i++) {
        if (i < count && (ids[i] & ~LM_TOKEN_QUIET) != LM_BEGIN)
            continue;
        pieces += cut(begin, i, length, piece != NULL ? piece + pieces : NULL);
        begin = i;
    }
    return pieces;
}

static enum err check(const uint16_t *ids, uint64_t count, uint32_t vocab_used,
                      struct lm_fault *fault)
{
    if (count == 0)
        return refuse(fault, 0, "there are no tokens");
    if (count > UINT32_MAX)
        return refuse(fault, count, "there are more tokens than can be counted");
    if ((ids[0] & ~LM_TOKEN_QUIET) != LM_BEGIN)
        return refuse(fault, 0, "the first token does not begin a dialogue");
    for (uint64_t i = 0; i < count; i++) {
        if ((ids[i] & ~LM_TOKEN_QUIET) >= vocab_used)
            return refuse(fault, i, "this id is not in use by the tokenizer");
    }
    return ERR_OK;
}

enum err lm_data_init(struct lm_data *data, const struct lm_tokens *tokens, uint32_t vocab_used,
                      uint32_t length, struct lm_fault *fault)
{
    const uint16_t *ids = lm_tokens_at(tokens);
    uint64_t count = lm_tokens_count(tokens);
    *data = (struct lm_data){.ids = ids, .length = length};
    enum err err = check(ids, count, vocab_used, fault);
    if (err != ERR_OK)
        return err;
    uint32_t pieces = cut_all(ids, count, length, NULL);
    if (pieces == 0)
        return refuse(fault, 0, "no dialogue has two tokens");
    data->crc = crc32c(0, ids, (size_t)count * sizeof(*ids));
    data->piece_count = pieces;
    data->piece = mem_alloc(pieces * sizeof(*data->piece));
    data->order = mem_alloc(pieces * sizeof(*data->order));
    data->row = mem_alloc((pieces + (size_t)1) * sizeof(*data->row));
    if (data->piece == NULL || data->order == NULL || data->row == NULL) {
        lm_data_finish(data);
        return ERR_NOMEM;
    }
    (void)cut_all(ids, count, length, data->piece);
    return ERR_OK;
}

void lm_data_finish(struct lm_data *data)
{
    mem_free(data->piece);
    mem_free(data->order);
    mem_free(data->row);
    *data = (struct lm_data){0};
}

/* ---- rows ---- */

struct window {
    uint32_t piece[WINDOW];
    uint32_t count, next; /* next of the shuffled order */
};

static void refill(struct window *window, const uint32_t *shuffled, uint32_t count)
{
    while (window->count < WINDOW && window->next < count)
        window->piece[window->count++] = shuffled[window->next++];
}

static uint32_t take(struct window *window, uint32_t index)
{
    uint32_t piece = window->piece[index];
    window->count--;
    memmove(&window->piece[index], &window->piece[index + 1],
            (window->count - index) * sizeof(window->piece[0]));
    return piece;
}

/* The longest that fits, the older of equals; window->count: none. */
static uint32_t best_fit(const struct lm_data *data, const struct window *window, uint32_t room)
{
    uint32_t best = window->count, best_count = 0;
    for (uint32_t i = 0; i < window->count; i++) {
        uint32_t count = data->piece[window->piece[i]].count;
        if (count <= room && count > best_count) {
            best = i;
            best_count = count;
        }
    }
    return best;
}

/* `order` holds the shuffled pieces and becomes the order of the rows: what is written is never
 * ahead of what the window has read. */
static void fill_rows(struct lm_data *data)
{
    struct window window = {.count = 0};
    uint32_t placed = 0;
    data->row_count = 0;
    for (;;) {
        refill(&window, data->order, data->piece_count);
        if (window.count == 0)
            break;
        data->row[data->row_count++] = placed;
        uint32_t room = data->length, index = 0; /* the oldest first: nobody waits for ever */
        while (index < window.count) {
            uint32_t piece = take(&window, index);
            room -= data->piece[piece].count;
            data->order[placed++] = piece;
            refill(&window, data->order, data->piece_count);
            index = best_fit(data, &window, room);
        }
    }
    data->row[data->row_count] = placed;
    ASSERT(placed == data->piece_count);
}

void lm_data_lay(struct lm_data *data, bool shuffle, uint64_t seed, uint64_t epoch)
{
    /* The file's checksum goes into the seed: the generator's state, which a checkpoint remembers,
     * then also tells whether a resumed run reads the same file. */
    rng_init(&data->rng, seed ^ (epoch + 1) * 0x9E3779B97F4A7C15u ^ (uint64_t)data->crc << 16);
    for (uint32_t i = 0; i < data->piece_count; i++)
        data->order[i] = i;
    for (uint32_t i = data->piece_count; shuffle && i > 1; i--) {
        uint32_t other = rng_below(&data->rng, i);
        uint32_t keep = data->order[i - 1];
        data->order[i - 1] = data->order[other];
        data->order[other] = keep;
    }
    fill_rows(data);
}

uint32_t lm_data_row(const struct lm_data *data, uint32_t row, uint16_t *ids, int32_t *targets,
                     uint16_t *starts)
{
    uint32_t at = 0, scored = 0;
    for (uint32_t p = data->row[row]; p < data->row[row + 1]; p++) {
        const struct lm_piece *piece = &data->piece[data->order[p]];
        const uint16_t *from = data->ids + piece->at;
        uint32_t start = at;
        for (uint32_t i = 0; i < piece->count; i++, at++) {
            bool has_next = i + 1 < piece->count || !piece->last;
            bool counts = has_next && i >= piece->skip && (from[i + 1] & LM_TOKEN_QUIET) == 0;
            ids[at] = from[i] & (uint16_t)~LM_TOKEN_QUIET;
            targets[at] = counts ? from[i + 1] : -1;
            starts[at] = (uint16_t)start;
            scored += counts;
        }
    }
    for (uint32_t start = at; at < data->length; at++) {
        ids[at] = LM_PAD;
        targets[at] = -1;
        starts[at] = (uint16_t)start;
    }
    return scored;
}
