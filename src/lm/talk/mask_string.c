#include "lm/talk/talk_int.h"

/* One character of a JSON string: plain, one of the two-byte escapes, or a UTF-8 sequence; then
 * `after`.  Escapes with four digits say nothing that these cannot, but for control characters. */
static void character(struct lm_automaton *automaton, uint32_t from, uint32_t after)
{
    lm_automaton_range(automaton, from, ' ', '!', after);
    lm_automaton_range(automaton, from, '#', '[', after);
    lm_automaton_range(automaton, from, ']', 0x7F, after);
    uint32_t escape = lm_automaton_add(automaton);
    lm_automaton_link(automaton, from, '\\', escape);
    for (const char *kind = "\"\\/bfnrt"; *kind != '\0'; kind++)
        lm_automaton_link(automaton, escape, (uint8_t)*kind, after);

    uint32_t one = lm_automaton_add(automaton); /* byte to come */
    uint32_t two = lm_automaton_add(automaton);
    uint32_t three = lm_automaton_add(automaton);
    lm_automaton_range(automaton, one, 0x80, 0xBF, after);
    lm_automaton_range(automaton, two, 0x80, 0xBF, one);
    lm_automaton_range(automaton, three, 0x80, 0xBF, two);
    lm_automaton_range(automaton, from, 0xC2, 0xDF, one);
    lm_automaton_range(automaton, from, 0xE1, 0xEC, two);
    lm_automaton_range(automaton, from, 0xEE, 0xEF, two);
    lm_automaton_range(automaton, from, 0xF1, 0xF3, three);
    /* No overlong forms, no surrogates, nothing above U+10FFFF. */
    static const struct {
        uint8_t first, low, high;
        bool long_form;
    } edge[] = {{0xE0, 0xA0, 0xBF, false},
                {0xED, 0x80, 0x9F, false},
                {0xF0, 0x90, 0xBF, true},
                {0xF4, 0x80, 0x8F, true}};
    for (size_t i = 0; i < ARRAY_COUNT(edge); i++) {
        uint32_t second = lm_automaton_add(automaton);
        lm_automaton_link(automaton, from, edge[i].first, second);
        lm_automaton_range(automaton, second, edge[i].low, edge[i].high,
                           edge[i].long_form ? two : one);
    }
}

uint32_t lm_automaton_string(struct lm_automaton *automaton, uint32_t min, uint32_t max,
                             uint32_t after)
{
    bool bounded = max != UINT32_MAX;
    uint32_t length = bounded ? max : min;
    uint32_t state = lm_automaton_add(automaton);
    lm_automaton_link(automaton, state, '"', after);
    if (!bounded)
        character(automaton, state, state);
    while (length > 0 && automaton->err == ERR_OK) {
        length--;
        uint32_t shorter = lm_automaton_add(automaton);
        if (length >= min)
            lm_automaton_link(automaton, shorter, '"', after);
        character(automaton, shorter, state);
        state = shorter;
    }
    uint32_t quote = lm_automaton_add(automaton);
    lm_automaton_link(automaton, quote, '"', state);
    return quote;
}
