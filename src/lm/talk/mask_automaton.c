#include "lm/talk/talk_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lm_automaton_init(struct lm_automaton *automaton, struct lm_fault *fault)
{
    *automaton = (struct lm_automaton){.fault = fault};
}

void lm_automaton_finish(struct lm_automaton *automaton)
{
    mem_free(automaton->next);
    mem_free(automaton->accepts);
    mem_free(automaton->distance);
    *automaton = (struct lm_automaton){.err = ERR_CLOSED};
}

uint32_t lm_automaton_fail(struct lm_automaton *automaton, enum err err, const char *why, ...)
{
    if (automaton->err != ERR_OK)
        return LM_NO_STATE;
    automaton->err = err;
    if (automaton->fault == NULL)
        return LM_NO_STATE;
    *automaton->fault = (struct lm_fault){.at_byte = 0};
    va_list values;
    va_start(values, why);
    (void)vsnprintf(automaton->fault->why, sizeof(automaton->fault->why), why, values);
    va_end(values);
    return LM_NO_STATE;
}

static bool grow(struct lm_automaton *automaton)
{
    uint32_t cap = automaton->cap == 0 ? 64 : automaton->cap * 2;
    uint16_t(*next)[256] = mem_realloc(automaton->next, cap * sizeof(*next));
    if (next == NULL)
        return false;
    automaton->next = next;
    bool *accepts = mem_realloc(automaton->accepts, cap * sizeof(*accepts));
    if (accepts == NULL)
        return false;
    automaton->accepts = accepts;
    automaton->cap = cap;
    return true;
}

uint32_t lm_automaton_add(struct lm_automaton *automaton)
{
    if (automaton->err != ERR_OK)
        return LM_NO_STATE;
    if (automaton->count == LM_STATES_MAX)
        return lm_automaton_fail(automaton, ERR_INPUT, "the schema is too large");
    if (automaton->count == automaton->cap && !grow(automaton))
        return lm_automaton_fail(automaton, ERR_NOMEM, "no memory for the schema");
    uint32_t state = automaton->count++;
    memset(automaton->next[state], 0xFF, sizeof(automaton->next[state]));
    automaton->accepts[state] = false;
    return state;
}

void lm_automaton_link(struct lm_automaton *automaton, uint32_t from, uint8_t byte, uint32_t to)
{
    if (automaton->err != ERR_OK || from == LM_NO_STATE || to == LM_NO_STATE)
        return;
    uint16_t *next = &automaton->next[from][byte];
    if (*next != LM_NO_STATE && *next != to) {
        (void)lm_automaton_fail(automaton, ERR_INPUT, "the schema is ambiguous at '%c'", byte);
        return;
    }
    *next = (uint16_t)to;
}

void lm_automaton_range(struct lm_automaton *automaton, uint32_t from, uint8_t first, uint8_t last,
                        uint32_t to)
{
    for (unsigned byte = first; byte <= last; byte++)
        lm_automaton_link(automaton, from, (uint8_t)byte, to);
}

void lm_automaton_merge(struct lm_automaton *automaton, uint32_t into, uint32_t from)
{
    if (automaton->err != ERR_OK || into == LM_NO_STATE || from == LM_NO_STATE)
        return;
    for (unsigned byte = 0; byte < 256; byte++)
        lm_automaton_link(automaton, into, (uint8_t)byte, automaton->next[from][byte]);
    automaton->accepts[into] = automaton->accepts[into] || automaton->accepts[from];
}

void lm_automaton_text(struct lm_automaton *automaton, uint32_t root, struct str text,
                       uint32_t after)
{
    uint32_t state = root;
    for (size_t i = 0; i < text.len && automaton->err == ERR_OK; i++) {
        uint8_t byte = (uint8_t)text.at[i];
        uint32_t next = automaton->next[state][byte];
        if (next == LM_NO_STATE) {
            next = lm_automaton_add(automaton);
            lm_automaton_link(automaton, state, byte, next);
        }
        state = next;
    }
    /* Its own copy of `after`: a longer text may go on from here too. */
    lm_automaton_merge(automaton, state, after);
}

uint32_t lm_automaton_blank(struct lm_automaton *automaton, uint32_t state)
{
    uint32_t either = lm_automaton_add(automaton);
    lm_automaton_merge(automaton, either, state);
    lm_automaton_link(automaton, either, ' ', state);
    return either;
}

/* Who leads to a state: `from` holds the ways into state s at first[s] .. first[s + 1] - 1, each
 * pair of states once. */
struct ways {
    uint32_t *first, *from, *seen, *queue;
};

static void ways_free(struct ways *ways)
{
    mem_free(ways->first);
    mem_free(ways->from);
    mem_free(ways->seen);
    mem_free(ways->queue);
}

/* Counts the ways into each state, or notes them where `from` is there. */
static void ways_walk(const struct lm_automaton *automaton, struct ways *ways)
{
    for (uint32_t state = 0; state < automaton->count; state++)
        ways->seen[state] = LM_NO_STATE;
    for (uint32_t state = 0; state < automaton->count; state++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint32_t to = automaton->next[state][byte];
            if (to == LM_NO_STATE || ways->seen[to] == state)
                continue;
            ways->seen[to] = state;
            if (ways->from == NULL)
                ways->first[to + 1]++;
            else
                ways->from[--ways->first[to + 1]] = state;
        }
}

static bool ways_find(const struct lm_automaton *automaton, struct ways *ways)
{
    uint32_t count = automaton->count;
    ways->first = mem_zalloc((count + 1) * sizeof(*ways->first));
    ways->seen = mem_alloc(count * sizeof(*ways->seen));
    ways->queue = mem_alloc(count * sizeof(*ways->queue));
    if (ways->first == NULL || ways->seen == NULL || ways->queue == NULL)
        return false;
    ways_walk(automaton, ways);
    for (uint32_t state = 0; state < count; state++)
        ways->first[state + 1] += ways->first[state];
    uint32_t total = ways->first[count];
    ways->from = mem_alloc((total + 1) * sizeof(*ways->from));
    if (ways->from == NULL)
        return false;
    ways_walk(automaton, ways); /* each end moves down to its state's beginning */
    for (uint32_t state = 0; state < count; state++)
        ways->first[state] = ways->first[state + 1];
    ways->first[count] = total;
    return true;
}

/* Backwards from the accepting states, one length after the other. */
static void measure(const struct lm_automaton *automaton, const struct ways *ways)
{
    uint32_t *distance = automaton->distance;
    uint32_t end = 0;
    for (uint32_t state = 0; state < automaton->count; state++) {
        distance[state] = automaton->accepts[state] ? 0 : UINT32_MAX;
        if (automaton->accepts[state])
            ways->queue[end++] = state;
    }
    for (uint32_t at = 0; at < end; at++) {
        uint32_t to = ways->queue[at];
        for (uint32_t way = ways->first[to]; way < ways->first[to + 1]; way++) {
            uint32_t from = ways->from[way];
            if (distance[from] != UINT32_MAX)
                continue;
            distance[from] = distance[to] + 1;
            ways->queue[end++] = from;
        }
    }
}

void lm_automaton_trim(struct lm_automaton *automaton, uint32_t start)
{
    if (automaton->err != ERR_OK)
        return;
    struct ways ways = {.first = NULL};
    automaton->distance = mem_alloc(automaton->count * sizeof(*automaton->distance));
    bool found = automaton->distance != NULL && ways_find(automaton, &ways);
    if (found)
        measure(automaton, &ways);
    ways_free(&ways);
    if (!found) {
        (void)lm_automaton_fail(automaton, ERR_NOMEM, "no memory for the schema");
        return;
    }
    if (automaton->distance[start] == UINT32_MAX) {
        (void)lm_automaton_fail(automaton, ERR_INPUT, "nothing can obey this schema");
        return;
    }
    for (uint32_t state = 0; state < automaton->count; state++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint16_t *to = &automaton->next[state][byte];
            if (*to != LM_NO_STATE && automaton->distance[*to] == UINT32_MAX)
                *to = LM_NO_STATE;
        }
}
