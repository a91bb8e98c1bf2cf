/* Who may do what. */
#include "kit/kit.h"

#include "broker/broker.h"
#include "net/mqtt/mqtt_codec.h"

#include <stdio.h>
#include <string.h>

static bool allows(enum bus_role role, const char *id, enum broker_right right, const char *topic)
{
    struct bus_from from = {.role = role, .machine_id = str_from(id)};
    return broker_allows(&from, right, str_from(topic));
}

struct expected {
    enum broker_right right;
    const char *topic;
    /* d: device d1, w: d1 that waits, s: staff, a: admin, o: open, n: nobody */
    const char *who;
};

static const struct expected table[] = {
    {BROKER_PUBLISH, "sensor/d1/temperature", "dao"},
    {BROKER_PUBLISH, "sensor/d2/temperature", "ao"},
    {BROKER_PUBLISH, "sensor/d1/a/b", "ao"},
    {BROKER_PUBLISH, "sensor/d1", "ao"},
    {BROKER_PUBLISH, "sensor/d12/temperature", "ao"},
    {BROKER_PUBLISH, "machines/d1/hello", "dwo"},
    {BROKER_PUBLISH, "machines/d1/claim", "do"},
    {BROKER_PUBLISH, "machines/d1/report", "do"},
    {BROKER_PUBLISH, "machines/d1/progress", "do"},
    {BROKER_PUBLISH, "machines/d1/state", "do"},
    {BROKER_PUBLISH, "machines/d2/hello", "o"},
    {BROKER_PUBLISH, "machines/d1/offer", ""},
    {BROKER_PUBLISH, "machines/d1/config", ""},
    {BROKER_PUBLISH, "machines/d1/claim/result", ""},
    {BROKER_PUBLISH, "machines/d1", ""},
    {BROKER_PUBLISH, "machines", ""},
    {BROKER_PUBLISH, "window/d1/control", "sao"},
    {BROKER_PUBLISH, "window/d1/control/x", ""},
    {BROKER_PUBLISH, "window/d1", ""},
    {BROKER_PUBLISH, "ml/inference/request/d1", ""},
    {BROKER_PUBLISH, "cafe/light", "sao"},
    {BROKER_PUBLISH, "/machines/d1/offer", "sao"},
    {BROKER_PUBLISH, "$SYS/broker/uptime", ""},
    {BROKER_PUBLISH, "$internal", ""},
    {BROKER_DELIVER, "machines/d1/offer", "dsao"},
    {BROKER_DELIVER, "machines/d1/config", "dwsao"},
    {BROKER_DELIVER, "machines/d1/claim/result", "dsao"},
    {BROKER_DELIVER, "machines/d2/offer", "sao"},
    {BROKER_DELIVER, "window/d1/control", "dsao"},
    {BROKER_DELIVER, "ml/inference/request/d1", "dsao"},
    {BROKER_DELIVER, "ml/inference/request/d2", "sao"},
    {BROKER_DELIVER, "sensor/d1/temperature", "sao"},
    {BROKER_DELIVER, "$SYS/broker/uptime", "sao"},
    {BROKER_DELIVER, "$other/x", ""},
    {BROKER_SUBSCRIBE, "machines/d1/#", "dwsao"},
    {BROKER_SUBSCRIBE, "machines/d1/+", "dwsao"},
    {BROKER_SUBSCRIBE, "machines/d1", "dwsao"},
    {BROKER_SUBSCRIBE, "machines/d1/claim/#", "dwsao"},
    {BROKER_SUBSCRIBE, "machines/+/config", "sao"},
    {BROKER_SUBSCRIBE, "machines/#", "sao"},
    {BROKER_SUBSCRIBE, "machines/d2/#", "sao"},
    {BROKER_SUBSCRIBE, "+/d1/#", "sao"},
    {BROKER_SUBSCRIBE, "window/d1/#", "dwsao"},
    {BROKER_SUBSCRIBE, "ml/inference/request/d1", "dwsao"},
    {BROKER_SUBSCRIBE, "ml/inference/request/+", "sao"},
    {BROKER_SUBSCRIBE, "ml/inference/request/d1/#", "sao"},
    {BROKER_SUBSCRIBE, "#", "sao"},
    {BROKER_SUBSCRIBE, "+", "sao"},
    {BROKER_SUBSCRIBE, "$SYS/#", "sao"},
    {BROKER_SUBSCRIBE, "$SYS/broker/+", "sao"},
    {BROKER_SUBSCRIBE, "$SYSX/#", ""},
    {BROKER_SUBSCRIBE, "$other/#", ""},
};

TEST(the_table_says_who)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const struct expected *row = &table[i];
        struct bus_from waits = {.role = BUS_DEVICE, .machine_id = STR("d1"), .waiting = true};
        NOTE("%d %s", (int)row->right, row->topic);
        CHECK_EQ(allows(BUS_DEVICE, "d1", row->right, row->topic), strchr(row->who, 'd') != NULL);
        CHECK_EQ(broker_allows(&waits, row->right, str_from(row->topic)),
                 strchr(row->who, 'w') != NULL);
        CHECK_EQ(allows(BUS_STAFF, "", row->right, row->topic), strchr(row->who, 's') != NULL);
        CHECK_EQ(allows(BUS_ADMIN, "", row->right, row->topic), strchr(row->who, 'a') != NULL);
        CHECK_EQ(allows(BUS_OPEN, "", row->right, row->topic), strchr(row->who, 'o') != NULL);
        CHECK(!allows(BUS_NOBODY, "d1", row->right, row->topic));
        CHECK(!allows(BUS_DEVICE, "", row->right, row->topic));
        CHECK(allows(BUS_SERVER, "", row->right, row->topic));
    }
}

/* What a filter that was allowed can match may be delivered: tried with many small ones. */
static void make(struct rng *rng, const char *const *words, uint32_t count, bool filter,
                 char dst[200])
{
    uint32_t levels = 1 + rng_below(rng, 5);
    struct text text;
    text_init(&text, dst, 200);
    for (uint32_t i = 0; i < levels; i++) {
        uint32_t wild = filter ? rng_below(rng, 6) : 5;
        if (i > 0)
            text_add_char(&text, '/');
        if (wild == 0 && i + 1 == levels)
            text_add_char(&text, '#');
        else
            text_add(&text, wild == 1 ? STR("+") : str_from(words[rng_below(rng, count)]));
    }
}

TEST(an_allowed_filter_matches_nothing_forbidden)
{
    static const char *const words[] = {"machines", "d1",    "d2", "window", "ml",   "inference",
                                        "request",  "offer", "",   "sensor", "$SYS", "$x"};
    struct rng rng;
    rng_init(&rng, 17);
    uint32_t allowed = 0, matched = 0;
    for (int i = 0; i < 60000; i++) {
        char filter[200], topic[200];
        make(&rng, words, ARRAY_COUNT(words), true, filter);
        for (int role = BUS_DEVICE; role <= BUS_OPEN; role++) {
            struct bus_from from = {.role = (enum bus_role)role,
                                    .machine_id = role == BUS_DEVICE ? STR("d1") : STR("")};
            if (!broker_allows(&from, BROKER_SUBSCRIBE, str_from(filter)))
                continue;
            allowed++;
            for (int k = 0; k < 20; k++) {
                make(&rng, words, ARRAY_COUNT(words), false, topic);
                if (!mqtt_filter_matches(str_from(filter), str_from(topic)))
                    continue;
                matched++;
                NOTE("role %d filter %s topic %s", role, filter, topic);
                CHECK(broker_allows(&from, BROKER_DELIVER, str_from(topic)));
            }
        }
    }
    CHECK(allowed > 1000);
    CHECK(matched > 1000);
}
