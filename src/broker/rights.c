/* Who may publish, subscribe to and be handed what.  One table; the first row that covers it
 * decides, and no row means no. */
#include "broker/broker_int.h"

#include <string.h>

enum { DEVICE = 1 << BUS_DEVICE, ADMIN = 1 << BUS_ADMIN | 1 << BUS_OPEN };
enum { OPEN = 1 << BUS_OPEN, PEOPLE = 1 << BUS_STAFF | ADMIN };
enum { PUB = 1 << BROKER_PUBLISH, SUB = 1 << BROKER_SUBSCRIBE, OUT = 1 << BROKER_DELIVER };

struct row {
    int roles, rights;
    bool waiting; /* holds for a device, too, that staff has not let in yet */
    bool allow;
    const char *filter; /* "{id}": the machine's own */
};

static const struct row rows[] = {
    {DEVICE, PUB, true, true, "machines/{id}/hello"},
    {DEVICE, PUB, false, true, "machines/{id}/claim"},
    {DEVICE, PUB, false, true, "machines/{id}/report"},
    {DEVICE, PUB, false, true, "machines/{id}/progress"},
    {DEVICE, PUB, false, true, "machines/{id}/state"},
    {DEVICE, PUB, false, true, "sensor/{id}/+"},
    /* It may ask early for what it is handed only once it was let in. */
    {DEVICE, SUB, true, true, "machines/{id}/#"},
    {DEVICE, SUB, true, true, "window/{id}/#"},
    {DEVICE, SUB, true, true, "ml/inference/request/{id}"},
    {DEVICE, OUT, true, true, "machines/{id}/config"},
    {DEVICE, OUT, false, true, "machines/{id}/#"},
    {DEVICE, OUT, false, true, "window/{id}/#"},
    {DEVICE, OUT, false, true, "ml/inference/request/{id}"},

    /* Without credentials on the loopback: every device, too. */
    {OPEN, PUB, false, true, "machines/+/hello"},
    {OPEN, PUB, false, true, "machines/+/claim"},
    {OPEN, PUB, false, true, "machines/+/report"},
    {OPEN, PUB, false, true, "machines/+/progress"},
    {OPEN, PUB, false, true, "machines/+/state"},

    {PEOPLE, PUB, false, true, "window/+/control"}, /* a proposal */
    {ADMIN, PUB, false, true, "sensor/#"},
    {PEOPLE, PUB, false, false, "machines/#"},
    {PEOPLE, PUB, false, false, "sensor/#"},
    {PEOPLE, PUB, false, false, "ml/#"},
    {PEOPLE, PUB, false, false, "window/#"},
    {PEOPLE, PUB, false, true, "#"}, /* wildcards leave out what begins with '$' */
    {PEOPLE, SUB | OUT, false, true, "#"},
    {PEOPLE, SUB | OUT, false, true, "$SYS/#"},
};

struct levels {
    struct str rest;
    bool ended;
};

static struct str level_take(struct levels *levels)
{
    size_t end = str_find(levels->rest, '/');
    struct str level = {levels->rest.at, end};
    if (end == levels->rest.len)
        levels->ended = true;
    else
        levels->rest = str_slice(levels->rest, end + 1, levels->rest.len);
    return level;
}

/* Does the row's filter cover everything that `inner` can match?  A topic is a filter that matches
 * itself alone. */
static bool covers(const char *row_filter, struct str machine_id, struct str inner)
{
    struct levels a = {str_from(row_filter), false}, b = {inner, false};
    for (bool first = true;; first = false) {
        if (a.ended || b.ended)
            break;
        struct str outer_level = level_take(&a), inner_level = level_take(&b);
        bool dollar = first && inner_level.len > 0 && inner_level.at[0] == '$';
        if (str_equal(outer_level, STR("#")))
            return !dollar;
        if (str_equal(inner_level, STR("#")))
            return false;
        if (str_equal(outer_level, STR("+"))) {
            if (dollar)
                return false;
            continue;
        }
        if (str_equal(outer_level, STR("{id}")))
            outer_level = machine_id;
        if (!str_equal(outer_level, inner_level))
            return false;
    }
    if (a.ended && b.ended)
        return true;
    return b.ended && str_equal(a.rest, STR("#")); /* "a/#" covers "a" */
}

bool broker_allows(const struct bus_from *from, enum broker_right right, struct str topic)
{
    if (from->role == BUS_SERVER)
        return true;
    if (topic.len == 0 || (from->role == BUS_DEVICE && from->machine_id.len == 0))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        if ((row->roles & (1 << from->role)) == 0 || (row->rights & (1 << right)) == 0)
            continue;
        if (from->waiting && !row->waiting)
            continue;
        if (covers(row->filter, from->machine_id, topic))
            return row->allow;
    }
    return false;
}
