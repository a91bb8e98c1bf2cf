#include "lm/talk/talk_int.h"

#include <string.h>

#define REPLACEMENT STR("\xEF\xBF\xBD") /* U+FFFD */

enum err lm_emit_init(struct lm_emit *emit, const struct str *stop, uint32_t stop_count)
{
    *emit = (struct lm_emit){.stop_count = stop_count};
    if (stop_count > LM_STOPS_MAX)
        return ERR_INPUT;
    for (uint32_t i = 0; i < stop_count; i++) {
        if (stop[i].len == 0 || stop[i].len > LM_STOP_BYTES_MAX)
            return ERR_INPUT;
        memcpy(emit->stop[i], stop[i].at, stop[i].len);
        emit->stop_len[i] = (uint8_t)stop[i].len;
    }
    return ERR_OK;
}

/* A byte that begins a character: how many follow, and what the first of them may be (no overlong
 * forms, no surrogates, nothing above U+10FFFF).  0 and a byte above 0x7F: none begins so. */
static uint32_t follow(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *ret_high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first >= 0xC2 && first <= 0xDF)
        return 1;
    if (first >= 0xE0 && first <= 0xEF)
        return 2;
    if (first >= 0xF0 && first <= 0xF4)
        return 3;
    return 0;
}

static enum err character_byte(struct lm_emit *emit, uint8_t byte, struct buf *out)
{
    enum err err = ERR_OK;
    if (emit->part_len > 0) {
        if (byte >= emit->low && byte <= emit->high) {
            emit->part[emit->part_len++] = (char)byte;
            emit->low = 0x80;
            emit->high = 0xBF;
            if (emit->part_len <= emit->part_need)
                return ERR_OK;
            err = buf_add(out, emit->part, emit->part_len);
            emit->part_len = 0;
            return err;
        }
        emit->part_len = 0; /* broken off; this byte begins anew */
        err = buf_add_str(out, REPLACEMENT);
        if (err != ERR_OK)
            return err;
    }
    if (byte < 0x80)
        return buf_add(out, &byte, 1);
    emit->part_need = follow(byte, &emit->low, &emit->high);
    if (emit->part_need == 0)
        return buf_add_str(out, REPLACEMENT);
    emit->part[0] = (char)byte;
    emit->part_len = 1;
    return ERR_OK;
}

static enum err release(struct lm_emit *emit, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++) {
        enum err err = character_byte(emit, (uint8_t)emit->held[i], out);
        if (err != ERR_OK)
            return err;
    }
    emit->held_len -= count;
    memmove(emit->held, emit->held + count, emit->held_len);
    return ERR_OK;
}

/* The longest end of `held` that is a beginning of a stop string; `ret_whole` when it is a whole
 * one. */
static uint32_t longest_hold(const struct lm_emit *emit, bool *ret_whole)
{
    uint32_t best = 0;
    bool whole = false;
    for (uint32_t i = 0; i < emit->stop_count; i++) {
        uint32_t len = emit->stop_len[i] < emit->held_len ? emit->stop_len[i] : emit->held_len;
        for (; len > 0; len--) {
            bool is_whole = len == emit->stop_len[i];
            if (whole && !is_whole)
                break; /* shorter ones of this string are no whole either */
            if ((len > best || (is_whole && !whole)) &&
                memcmp(emit->held + emit->held_len - len, emit->stop[i], len) == 0) {
                best = len;
                whole = is_whole;
                break;
            }
        }
    }
    *ret_whole = whole;
    return best;
}

static enum err add_byte(struct lm_emit *emit, char byte, struct buf *out)
{
    if (emit->stop_count == 0)
        return character_byte(emit, (uint8_t)byte, out);
    ASSERT(emit->held_len < sizeof(emit->held));
    emit->held[emit->held_len++] = byte;
    bool whole;
    uint32_t hold = longest_hold(emit, &whole);
    enum err err = release(emit, emit->held_len - hold, out);
    if (err != ERR_OK || !whole)
        return err;
    emit->held_len = 0;
    emit->stopped = true;
    return ERR_OK;
}

enum err lm_emit_add(struct lm_emit *emit, struct str bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.len && !emit->stopped; i++) {
        enum err err = add_byte(emit, bytes.at[i], out);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

enum err lm_emit_end(struct lm_emit *emit, struct buf *out)
{
    enum err err = release(emit, emit->held_len, out);
    if (err != ERR_OK || emit->part_len == 0)
        return err;
    emit->part_len = 0;
    return buf_add_str(out, REPLACEMENT);
}
