/* Numbers between two bounds that are multiples of a step, digit by digit.
 *
 * After some digits p, what may still come depends on p only through (a) p modulo the step, and (b)
 * for each count of digits to come, whether the numbers that begin with p lie outside the bounds,
 * inside, or across one.  Only where they lie across does p itself matter, and that is so for the
 * beginnings of the bounds alone.  States that agree in this are one state, so 0 to 10,000 in steps
 * of 500 takes some dozens of states, not 10,000. */
#include "lm/talk/talk_int.h"

enum part { PART_OUT, PART_ACROSS, PART_IN };

#define BUCKETS 1024U

struct place {
    bool fraction;   /* after the point */
    bool closed;     /* no more digits before the point: it is a zero */
    uint32_t digits; /* before the point: how many may come; after it: how many have */
    uint64_t parts;  /* two bits for each count of digits that may come */
    int64_t rest;    /* p modulo the step, or p itself where `across` */
    bool across;
};

struct known {
    struct place place;
    uint32_t state;
    uint32_t next; /* in the bucket; index + 1 */
};

struct build {
    struct lm_automaton *automaton;
    int64_t min, max, step; /* magnitudes, of one sign */
    uint32_t digits;
    uint32_t after;
    struct known *known;
    uint32_t known_count, known_cap;
    uint32_t bucket[BUCKETS];
};

static int64_t power(uint32_t digits)
{
    int64_t value = 1;
    while (digits-- > 0)
        value *= 10;
    return value;
}

static enum part part_of(const struct build *build, int64_t first, int64_t last)
{
    if (last < build->min || first > build->max)
        return PART_OUT;
    return first >= build->min && last <= build->max ? PART_IN : PART_ACROSS;
}

/* Where `p` stands with `digits` still allowed before the point, or `digits` already after it. */
static struct place place_of(const struct build *build, int64_t p, bool fraction, bool closed,
                             uint32_t digits)
{
    struct place place = {.fraction = fraction, .closed = closed};
    uint32_t more = fraction || closed ? 0 : digits;
    uint32_t below = fraction ? build->digits - digits : build->digits;
    for (uint32_t i = 0; i <= more; i++) {
        int64_t unit = power(i + below);
        enum part part = part_of(build, p * unit, (p + 1) * unit - 1);
        place.parts |= (uint64_t)part << (2 * i);
        place.across = place.across || part == PART_ACROSS;
    }
    place.digits = fraction ? digits : 0; /* before the point the parts say it */
    place.rest = place.across ? p : p % build->step;
    return place;
}

static bool same_place(const struct place *a, const struct place *b)
{
    return a->fraction == b->fraction && a->closed == b->closed && a->digits == b->digits &&
           a->parts == b->parts && a->rest == b->rest && a->across == b->across;
}

static uint32_t bucket_of(const struct place *place)
{
    uint64_t hash = place->parts * 3 + (uint64_t)place->rest;
    return crc32c(place->digits, &hash, sizeof(hash)) % BUCKETS;
}

static uint32_t find(const struct build *build, const struct place *place)
{
    for (uint32_t at = build->bucket[bucket_of(place)]; at != 0; at = build->known[at - 1].next)
        if (same_place(&build->known[at - 1].place, place))
            return build->known[at - 1].state;
    return LM_NO_STATE;
}

static void remember(struct build *build, const struct place *place, uint32_t state)
{
    if (build->known_count == build->known_cap) {
        uint32_t cap = build->known_cap == 0 ? 64 : build->known_cap * 2;
        struct known *known = mem_realloc(build->known, cap * sizeof(*known));
        if (known == NULL) {
            (void)lm_automaton_fail(build->automaton, ERR_NOMEM, "no memory for the schema");
            return;
        }
        build->known = known;
        build->known_cap = cap;
    }
    uint32_t *bucket = &build->bucket[bucket_of(place)];
    build->known[build->known_count++] =
        (struct known){.place = *place, .state = state, .next = *bucket};
    *bucket = build->known_count;
}

/* The state after the digits `p`.  Recursion is as deep as a number has digits. */
static uint32_t visit(struct build *build, int64_t p, bool fraction, bool closed, uint32_t digits)
{
    struct place place = place_of(build, p, fraction, closed, digits);
    if (place.parts == 0 || build->automaton->err != ERR_OK)
        return LM_NO_STATE; /* no number that begins so is within the bounds */
    uint32_t state = find(build, &place);
    if (state != LM_NO_STATE)
        return state;
    state = lm_automaton_add(build->automaton);
    remember(build, &place, state);
    if (build->automaton->err != ERR_OK)
        return LM_NO_STATE;
    int64_t value = p * power(fraction ? build->digits - digits : build->digits);
    bool ends = !fraction || digits > 0;
    if (ends && value >= build->min && value <= build->max && value % build->step == 0)
        lm_automaton_merge(build->automaton, state, build->after);
    bool more = fraction ? digits < build->digits : digits > 0 && !closed;
    for (unsigned digit = 0; digit < 10 && more; digit++) {
        uint32_t to =
            visit(build, p * 10 + digit, fraction, false, fraction ? digits + 1 : digits - 1);
        lm_automaton_link(build->automaton, state, (uint8_t)('0' + digit), to);
    }
    if (!fraction && build->digits > 0)
        lm_automaton_link(build->automaton, state, '.', visit(build, p, true, false, 0));
    return state;
}

/* The first digit, from `from`: no zero in front of another digit. */
static void begin(struct lm_automaton *automaton, uint32_t from, const struct lm_number *number,
                  int64_t min, int64_t max, uint32_t after)
{
    struct build *build = mem_zalloc(sizeof(*build));
    if (build == NULL) {
        (void)lm_automaton_fail(automaton, ERR_NOMEM, "no memory for the schema");
        return;
    }
    build->automaton = automaton;
    build->min = min;
    build->max = max;
    build->step = number->step;
    build->digits = number->digits;
    build->after = after;
    uint32_t whole = 1; /* digits before the point of the largest */
    while (max / power(number->digits) >= power(whole))
        whole++;
    for (unsigned digit = 0; digit < 10; digit++) {
        uint32_t to = visit(build, digit, false, digit == 0, whole - 1);
        lm_automaton_link(automaton, from, (uint8_t)('0' + digit), to);
    }
    mem_free(build->known);
    mem_free(build);
}

uint32_t lm_automaton_number(struct lm_automaton *automaton, const struct lm_number *number,
                             uint32_t after)
{
    uint32_t start = lm_automaton_add(automaton);
    if (number->max >= 0)
        begin(automaton, start, number, number->min > 0 ? number->min : 0, number->max, after);
    if (number->min < 0) { /* "-0" is written "0" */
        uint32_t minus = lm_automaton_add(automaton);
        lm_automaton_link(automaton, start, '-', minus);
        begin(automaton, minus, number, number->max < 0 ? -number->max : 1, -number->min, after);
    }
    return start;
}
