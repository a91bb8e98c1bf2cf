#include "record/record_kit.h"

struct alert_ask {
    struct record_alert alert;
    uint64_t alert_id, before_id;
    uint32_t limit;
    int64_t at_ms;
    struct str text, code;
    bool open_only;
    struct arena scratch;
    struct record_alert *alerts;
    size_t count;
};

static enum err raise_body(struct store_db *db, void *cookie)
{
    struct alert_ask *ask = cookie;
    return record_alert_raise(db, &ask->alert, &ask->alert_id);
}

static enum err acknowledge_body(struct store_db *db, void *cookie)
{
    struct alert_ask *ask = cookie;
    return record_alert_acknowledge(db, ask->alert_id, ask->text, ask->at_ms);
}

static enum err resolve_body(struct store_db *db, void *cookie)
{
    struct alert_ask *ask = cookie;
    return record_alert_resolve(db, ask->text, ask->code, ask->at_ms);
}

static enum err show_body(struct store_db *db, void *cookie)
{
    struct alert_ask *ask = cookie;
    return record_alert_show(db, ask->alert_id, &ask->scratch, &ask->alert);
}

static enum err list_body(struct store_db *db, void *cookie)
{
    struct alert_ask *ask = cookie;
    return record_alert_list(db, ask->open_only, ask->before_id, ask->limit, &ask->scratch,
                             &ask->alerts, &ask->count);
}

static uint64_t raise(struct store *store, struct str machine_id, struct str code,
                      enum record_severity severity, int64_t at_ms)
{
    struct alert_ask ask = {.alert = {.machine_id = machine_id,
                                      .code = code,
                                      .message = STR("Look here."),
                                      .severity = severity,
                                      .command_id = (uint64_t)at_ms,
                                      .raised_at_ms = at_ms}};
    CHECK_OK(in_job(store, raise_body, &ask));
    CHECK(ask.alert_id > 0);
    return ask.alert_id;
}

static struct record_alert show(struct store *store, struct arena *scratch, uint64_t alert_id)
{
    struct alert_ask ask = {.alert_id = alert_id, .scratch = *scratch};
    CHECK_OK(in_job(store, show_body, &ask));
    *scratch = ask.scratch;
    return ask.alert;
}

static size_t list_count(struct store *store, bool open_only, uint64_t before_id, uint32_t limit)
{
    struct alert_ask ask = {.open_only = open_only, .before_id = before_id, .limit = limit};
    arena_init(&ask.scratch, MIB);
    CHECK_OK(in_job(store, list_body, &ask));
    for (size_t i = 1; i < ask.count; i++)
        CHECK(ask.alerts[i].alert_id < ask.alerts[i - 1].alert_id);
    arena_finish(&ask.scratch);
    return ask.count;
}

TEST(the_same_open_alert_is_counted_not_added)
{
    struct store *store = record_store_at(NULL);
    struct arena scratch;
    arena_init(&scratch, MIB);
    uint64_t first = raise(store, STR("m1"), STR("pick_failed"), RECORD_CRITICAL, 10);
    CHECK_EQ(raise(store, STR("m1"), STR("pick_failed"), RECORD_INFO, 20), first);
    CHECK(raise(store, STR("m2"), STR("pick_failed"), RECORD_WARNING, 30) != first);
    CHECK(raise(store, STR("m1"), STR("water_low"), RECORD_WARNING, 40) != first);
    struct record_alert alert = show(store, &scratch, first);
    CHECK_EQ(alert.count, 2);
    CHECK_EQ(alert.raised_at_ms, 10);
    CHECK_EQ(alert.last_at_ms, 20);
    CHECK_EQ(alert.command_id, 20);
    CHECK_EQ(alert.severity, RECORD_CRITICAL); /* never lower than it was */
    CHECK_SLICE(alert.machine_id, "m1");
    CHECK_SLICE(alert.message, "Look here.");
    CHECK_EQ(list_count(store, false, 0, 100), 3);
    arena_finish(&scratch);
    store_close(store);
}

TEST(a_resolved_alert_is_raised_anew)
{
    struct store *store = record_store_at(NULL);
    uint64_t first = raise(store, STR("m1"), STR("a"), RECORD_INFO, 1);
    struct alert_ask ask = {.text = STR("m1"), .code = STR("a"), .at_ms = 5};
    CHECK_OK(in_job(store, resolve_body, &ask));
    CHECK_OK(in_job(store, resolve_body, &ask)); /* nothing open is fine */
    CHECK_EQ(list_count(store, true, 0, 100), 0);
    CHECK(raise(store, STR("m1"), STR("a"), RECORD_INFO, 9) > first);
    CHECK_EQ(list_count(store, true, 0, 100), 1);
    CHECK_EQ(list_count(store, false, 0, 100), 2);
    struct arena scratch;
    arena_init(&scratch, MIB);
    CHECK_EQ(show(store, &scratch, first).resolved_at_ms, 5);
    CHECK_EQ(show(store, &scratch, first + 1).resolved_at_ms, 0);
    arena_finish(&scratch);
    store_close(store);
}

TEST(resolve_without_code_is_the_whole_machine)
{
    struct store *store = record_store_at(NULL);
    raise(store, STR("m1"), STR("a"), RECORD_INFO, 1);
    raise(store, STR("m1"), STR("b"), RECORD_INFO, 1);
    raise(store, STR("m2"), STR("a"), RECORD_INFO, 1);
    raise(store, STR_NONE, STR("a"), RECORD_INFO, 1);
    struct alert_ask ask = {.text = STR("m1"), .at_ms = 5};
    CHECK_OK(in_job(store, resolve_body, &ask));
    CHECK_EQ(list_count(store, true, 0, 100), 2);
    store_close(store);
}

TEST(an_acknowledgement_keeps_its_first_name_until_it_happens_again)
{
    struct store *store = record_store_at(NULL);
    struct arena scratch;
    arena_init(&scratch, MIB);
    struct alert_ask ask = {.text = STR("account:alice"), .at_ms = 5};
    ask.alert_id = raise(store, STR("m1"), STR("a"), RECORD_INFO, 1);
    CHECK_OK(in_job(store, acknowledge_body, &ask));
    ask.text = STR("account:bob");
    ask.at_ms = 6;
    CHECK_OK(in_job(store, acknowledge_body, &ask));
    struct record_alert alert = show(store, &scratch, ask.alert_id);
    CHECK_SLICE(alert.acknowledged_by, "account:alice");
    CHECK_EQ(alert.acknowledged_at_ms, 5);
    raise(store, STR("m1"), STR("a"), RECORD_INFO, 7);
    alert = show(store, &scratch, ask.alert_id);
    CHECK_EQ(alert.acknowledged_at_ms, 0);
    CHECK(alert.acknowledged_by.at == NULL);
    ask.alert_id = 999;
    CHECK_ERR(in_job(store, acknowledge_body, &ask), ERR_NOT_FOUND);
    CHECK_ERR(in_job(store, show_body, &ask), ERR_NOT_FOUND);
    arena_finish(&scratch);
    store_close(store);
}

TEST(the_list_pages)
{
    struct store *store = record_store_at(NULL);
    const char *const machines[] = {"m1", "m2", "m3", "m4", "m5"};
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++)
        raise(store, str_from(machines[i]), STR("a"), RECORD_INFO, 1);
    CHECK_EQ(list_count(store, false, 0, 2), 2);
    CHECK_EQ(list_count(store, false, 4, 2), 2);
    CHECK_EQ(list_count(store, false, 2, 2), 1);
    CHECK_EQ(list_count(store, true, 1, 2), 0);
    store_close(store);
}

TEST(severities_have_names)
{
    CHECK_STR(record_severity_name(RECORD_INFO), "info");
    CHECK_STR(record_severity_name(RECORD_WARNING), "warning");
    CHECK_STR(record_severity_name(RECORD_CRITICAL), "critical");
}
