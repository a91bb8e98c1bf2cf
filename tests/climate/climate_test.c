/* The room with the real telemetry, queue and database: asking, deciding, recording. */
#include "climate_kit.h"

#include "telemetry/telemetry_int.h"

static void open_own(struct kit *kit)
{
    kit_open(kit, &(struct climate_options){.model_preset = kit_preset()});
    CHECK_OK(climate_window_add(kit->climate, W1));
}

TEST(from_a_reading_to_a_command)
{
    struct kit kit;
    open_own(&kit);
    kit.lag_us = 0;
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_EQ(kit.published, 1);
    CHECK_STR(kit.topic, "ml/inference/request/window-1");
    CHECK_STR(kit.payload, "{\"device_id\":\"window-1\",\"temp\":22,\"humidity\":45,"
                           "\"sound_volume\":0.02,\"volume\":0.02,"
                           "\"ts\":1800000000,\"request_id\":\"reading-7\"}");
    CHECK_EQ(kit.created, 1);
    struct climate_window window = kit_window(&kit);
    CHECK_STR(window.decision, "commanded");
    CHECK_STR(window.asked_because, "start");
    CHECK_EQ(window.command_id, kit.command_id);
    CHECK(window.has_answer && window.answer.confidence > 0.6);
    CHECK_EQ(window.answer_version, 1);
    char payload[64];
    (void)snprintf(payload, sizeof(payload), "{\"position\":%d}",
                   (int)round(window.answer.position_pct));
    CHECK_STR(kit.command_payload, payload);
    CHECK_STR(kit.command_by, "climate:model-1");
    CHECK_STR(kit.command_request, "reading-7");
    CHECK(strstr(kit.command_meta, "\"confidence\":") != NULL);
    CHECK(strstr(kit.command_meta, "\"model_version\":\"model-1\"") != NULL);
    CHECK(isnan(window.position_pct));
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    CHECK_NEAR(kit_window(&kit).position_pct, round(window.answer.position_pct), 0);
    const struct climate_stats *stats = kit_stats(&kit);
    CHECK_EQ(stats->requests, 1);
    CHECK_EQ(stats->answers, 1);
    CHECK_EQ(stats->commands, 1);
    CHECK_EQ(stats->latency_s.count, 1);
    CHECK_EQ(stats->confidence.count, 1);
    CHECK_EQ(stats->sensor_to_command_s.count, 1);
    kit_predictions(&kit, 0, 10);
    CHECK_EQ(kit.rows, 1);
    CHECK_STR(kit.row_decision[0], "commanded");
    CHECK_STR(kit.row_because[0], "start");
    CHECK_STR(kit.row_version[0], "model-1");
    CHECK_EQ(kit.row[0].command_id, kit.command_id);
    CHECK_NEAR(kit.row[0].features.temperature_c, 22, 0);
    CHECK(!kit.row[0].has_actual);
    CHECK(kit.changes > 0);
    kit_close(&kit);
}

TEST(a_request_id_that_does_not_fit_is_replaced)
{
    struct kit kit;
    static const char *const id[] = {
        "0123456789012345678901234567890123456789012345678901234567890123", "with \"quotes\"", ""};
    for (size_t n = 0; n < ARRAY_COUNT(id); n++) {
        struct telemetry_reading reading[3] = {
            {.type = "temperature", .value = 22, .at_ms = T0},
            {.type = "humidity", .value = 45, .at_ms = T0},
            {.type = "sound_volume", .value = 1e-5, .at_ms = T0}};
        open_own(&kit);
        CHECK_OK(telemetry_ingest_readings(kit.telemetry, W1, reading, 3, id[n], NULL, NULL));
        kit_settle(&kit);
        CHECK_EQ(kit.published, 1);
        CHECK(strstr(kit.payload, "\"request_id\":\"0100000000000000") != NULL);
        CHECK(strstr(kit.payload, "\"sound_volume\":0.00001,") != NULL);
        kit_close(&kit);
    }
}

TEST(a_small_move_is_none)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    kit_pass(&kit, 20 * SECOND);
    kit_readings(&kit, 22.02, 50, 0.02); /* asked again: the humidity changed */
    CHECK_EQ(kit_stats(&kit)->requests, 2);
    CHECK_STR(kit_window(&kit).decision, "no_change");
    CHECK_EQ(kit.created, 1);
    /* Also while the command for it is still on its way. */
    kit_pass(&kit, 20 * SECOND);
    kit_readings(&kit, 24, 50, 0.02);
    CHECK_EQ(kit.created, 2);
    kit_pass(&kit, 20 * SECOND);
    kit_readings(&kit, 24.01, 47, 0.02);
    CHECK_STR(kit_window(&kit).decision, "no_change");
    CHECK_EQ(kit.created, 2);
    kit_close(&kit);
}

TEST(low_confidence_holds_the_position)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 41, 90, 0.9);
    CHECK_EQ(kit.created, 0);
    CHECK_STR(kit_window(&kit).decision, "held_low_confidence");
    CHECK_EQ(kit_stats(&kit)->held_low_confidence, 1);
    kit_predictions(&kit, 0, 10);
    CHECK_STR(kit.row_decision[0], "held_low_confidence");
    kit_close(&kit);
}

TEST(manual_mode_records_and_does_nothing)
{
    struct kit kit;
    open_own(&kit);
    CHECK_OK(climate_mode_set(kit.climate, W1, CLIMATE_MANUAL, STR("account:alice"), "r1", kit_done,
                              &kit));
    kit_settle(&kit);
    CHECK_OK(kit.err);
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_EQ(kit.created, 0);
    CHECK_STR(kit_window(&kit).decision, "held_manual");
    CHECK_EQ(kit_audit_count(&kit, "climate.mode"), 1);
    CHECK_ERR(
        climate_mode_set(kit.climate, STR("nobody"), CLIMATE_AUTO, STR("a"), NULL, kit_done, &kit),
        ERR_NOT_FOUND);
    /* Given back, it acts at once. */
    CHECK_OK(climate_mode_set(kit.climate, W1, CLIMATE_AUTO, STR("account:alice"), "r2", kit_done,
                              &kit));
    kit_settle(&kit);
    CHECK_EQ(kit.created, 1);
    kit_close(&kit);
}

TEST(what_a_person_set_stays_for_half_an_hour)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    kit_set_by_hand(&kit, 3);
    CHECK_NEAR(kit_window(&kit).position_pct, 3, 0);
    kit_pass(&kit, MINUTE);
    kit_readings(&kit, 25, 45, 0.02);
    CHECK_STR(kit_window(&kit).decision, "held_manual");
    kit_pass(&kit, climate_rules.person_ms);
    kit_readings(&kit, 24.5, 45, 0.02);
    CHECK_STR(kit_window(&kit).decision, "commanded");
    kit_close(&kit);
}

TEST(a_persons_order_that_waits_is_not_replaced)
{
    struct kit kit;
    open_own(&kit);
    CHECK_OK(queue_submit(kit.queue,
                          &(struct queue_new){.kind = &kit_kind,
                                              .machine_id = W1,
                                              .command = STR("set_position"),
                                              .payload = STR("{\"position\":5}"),
                                              .execute_allowed = true,
                                              .actor = STR("token:phone")},
                          kit_ordered, &kit));
    kit_settle(&kit);
    kit_readings(&kit, 25, 45, 0.02);
    CHECK_STR(kit_window(&kit).decision, "held_manual");
    CHECK_EQ(kit.created, 1);
    kit_close(&kit);
}

TEST(a_window_on_hold_gets_no_command_that_could_only_expire)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    for (int i = 0; i < 3; i++) { /* three failures in a row: on hold */
        if (i > 0) {
            kit_pass(&kit, climate_rules.age_max_ms);
            kit_readings(&kit, 22 + i, 45, 0.02);
        }
        CHECK(kit_board(&kit, QUEUE_FAILED));
    }
    kit_pass(&kit, climate_rules.age_max_ms);
    kit_readings(&kit, 21, 45, 0.02);
    CHECK_EQ(kit.created, 3);
    CHECK_STR(kit_window(&kit).decision, "refused");
    kit_close(&kit);
}

TEST(missing_and_stale_values_wait_and_are_counted_once)
{
    struct kit kit;
    open_own(&kit);
    kit_reading(&kit, "temperature", 22);
    kit_reading(&kit, "temperature", 23);
    kit_reading(&kit, "humidity", 45);
    CHECK_EQ(kit.published, 0);
    CHECK_EQ(kit_stats(&kit)->missing_values, 1);
    kit_reading(&kit, "sound_volume", 0.02);
    CHECK_EQ(kit.published, 1);
    for (int i = 0; i < 40; i++) { /* the microphone is dead from now on */
        kit_pass(&kit, 30 * SECOND);
        kit_reading(&kit, "temperature", 22 + 0.1 * i);
        kit_reading(&kit, "humidity", 45);
    }
    CHECK_EQ(kit_stats(&kit)->missing_values, 2);
    CHECK(kit.published < 20);
    kit_close(&kit);
}

TEST(three_messages_make_one_question)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 21, 45, 0.02);
    kit_pass(&kit, 30 * SECOND);
    kit_reading(&kit, "temperature", 23);
    kit_reading(&kit, "humidity", 50);
    CHECK_EQ(kit.published, 1);
    kit_reading(&kit, "sound_volume", 0.03);
    CHECK_EQ(kit.published, 2);
    CHECK(strstr(kit.payload, "\"temp\":23,\"humidity\":50,\"sound_volume\":0.03") != NULL);
    kit_pass(&kit, 30 * SECOND);
    CHECK_EQ(kit.published, 2);
    /* One alone: after a quarter of a second, by the tick. */
    kit_reading(&kit, "temperature", 25);
    CHECK_EQ(kit.published, 2);
    kit_pass(&kit, climate_rules.gather_ms);
    CHECK_EQ(kit.published, 3);
    CHECK_STR(kit_window(&kit).asked_because, "change");
    kit_close(&kit);
}

TEST(age_asks_by_the_tick_alone)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 21, 45, 0.02);
    kit_pass(&kit, climate_rules.age_max_ms - 60 * SECOND);
    kit_readings(&kit, 21, 45, 0.02);
    int64_t next = climate_tick(kit.climate, 77);
    CHECK_EQ(next, 77 + 60 * SECOND);
    kit_pass(&kit, 60 * SECOND);
    CHECK_EQ(kit.published, 2);
    CHECK_STR(kit_window(&kit).asked_because, "age");
    kit_close(&kit);
}

TEST(other_machines_and_removed_ones_are_not_asked_for)
{
    struct kit kit;
    kit_open(&kit, &(struct climate_options){.model_preset = kit_preset()});
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_EQ(kit.published, 0);
    struct climate_window window;
    CHECK(!climate_window_get(kit.climate, W1, &window));
    CHECK_OK(climate_window_add(kit.climate, W1)); /* what telemetry has is enough to ask */
    kit_settle(&kit);
    CHECK_EQ(kit.published, 1);
    CHECK_OK(climate_window_add(kit.climate, W1));
    climate_window_remove(kit.climate, W1);
    kit_pass(&kit, HOUR);
    kit_readings(&kit, 25, 45, 0.02);
    CHECK_EQ(kit.published, 1);
    CHECK_ERR(climate_window_add(kit.climate, STR("no good id")), ERR_INPUT);
    climate_window_remove(kit.climate, STR("window-2"));
    kit_close(&kit);
}

TEST(switched_off_nobody_is_asked)
{
    struct kit kit;
    kit_open(&kit, &(struct climate_options){.model_preset = kit_preset(), .source = CLIMATE_OFF});
    CHECK_OK(climate_window_add(kit.climate, W1));
    kit_readings(&kit, 22, 45, 0.02);
    kit_pass(&kit, HOUR);
    CHECK_EQ(kit.published, 0);
    CHECK_EQ(kit_stats(&kit)->requests, 0);
    kit_close(&kit);
}

TEST(without_a_model_nothing_moves)
{
    struct kit kit;
    kit_open(&kit, NULL);
    CHECK(strstr(kit.why, "none that can be used") != NULL);
    CHECK_OK(climate_window_add(kit.climate, W1));
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_STR(kit_window(&kit).decision, "held_low_confidence");
    CHECK_EQ(climate_model_info_get(kit.climate).version, 0);
    CHECK_STR(climate_model_info_get(kit.climate).origin, "untrained");
    kit_close(&kit);
}

/* ---- somebody else answers ---- */

static const struct bus_from staff = {.role = BUS_STAFF, .actor = STR_INIT("token:ml")};

/* The request_id of what was published last. */
static const char *kit_window_request(const struct kit *kit)
{
    static char id[64];
    const char *at = strstr(kit->payload, "\"request_id\":\"");
    CHECK(at != NULL);
    CHECK_EQ(sscanf(at, "\"request_id\":\"%63[^\"]", id), 1);
    return id;
}

static void open_external(struct kit *kit)
{
    kit_open(kit,
             &(struct climate_options){.model_preset = kit_preset(), .source = CLIMATE_EXTERNAL});
    CHECK_OK(climate_window_add(kit->climate, W1));
}

TEST(a_service_answers)
{
    struct kit kit;
    open_external(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_EQ(kit.published, 1);
    CHECK_EQ(kit.created, 0);
    kit.now_ms += 300;
    CHECK_OK(climate_propose(kit.climate, W1, 62.4, 0.9, &staff, "", "m1"));
    kit_settle(&kit);
    CHECK_EQ(kit.created, 1);
    CHECK_STR(kit.command_payload, "{\"position\":62}");
    CHECK_STR(kit.command_by, "climate:external");
    CHECK_STR(kit.command_request, "reading-7"); /* of the reading, through the question */
    kit_predictions(&kit, 0, 10);
    CHECK_STR(kit.row_version[0], "external");
    CHECK_NEAR(kit.row[0].latency_ms, 300, 0.001);
    CHECK_EQ(kit_stats(&kit)->answers_external, 1);
    /* Unsure: held. */
    kit_pass(&kit, MINUTE);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK_OK(climate_propose(kit.climate, W1, 10, 0.3, &staff, "", "m2"));
    kit_settle(&kit);
    CHECK_STR(kit_window(&kit).decision, "held_low_confidence");
    /* Unasked: a proposal all the same. */
    CHECK_OK(climate_propose(kit.climate, W1, 10, 1, &staff, "", "m3"));
    kit_settle(&kit);
    CHECK_EQ(kit.created, 2);
    CHECK_STR(kit_window(&kit).asked_because, "unasked");
    CHECK_STR(kit.command_request, "m3");
    kit_close(&kit);
}

TEST(nobody_answers)
{
    struct kit kit;
    open_external(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    int64_t next = climate_tick(kit.climate, 0);
    CHECK_EQ(next, climate_rules.answer_ms);
    kit_pass(&kit, climate_rules.answer_ms);
    CHECK_STR(kit_window(&kit).decision, "no_answer");
    CHECK_EQ(kit_stats(&kit)->no_answer, 1);
    kit_predictions(&kit, 0, 10);
    CHECK_EQ(kit.rows, 1);
    CHECK_STR(kit.row_decision[0], "no_answer");
    CHECK(isnan(kit.row[0].position_pct));
    /* Too late is unasked. */
    CHECK_OK(climate_propose(kit.climate, W1, 10, 1, &staff, "", "m3"));
    kit_settle(&kit);
    CHECK_STR(kit_window(&kit).asked_because, "unasked");
    kit_close(&kit);
}

/* The answer to the first question comes when the second waits: what it says is about other air. */
TEST(a_late_answer_is_not_taken_for_the_newer_question)
{
    struct kit kit;
    open_external(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    char first[64];
    CHECK_OK(str_copy(first, sizeof(first), str_from(kit_window_request(&kit))));
    kit_pass(&kit, climate_rules.answer_ms);
    kit_pass(&kit, MINUTE);
    kit_reading(&kit, "temperature", 25);
    kit_pass(&kit, SECOND);
    CHECK_EQ(kit.published, 2);
    const char *second = kit_window_request(&kit);
    CHECK(strcmp(first, second) != 0);
    CHECK_ERR(climate_propose(kit.climate, W1, 90, 1, &staff, first, "m1"), ERR_CONFLICT);
    kit_settle(&kit);
    CHECK_EQ(kit.created, 0);
    CHECK_EQ(kit_stats(&kit)->answers, 0);
    kit_predictions(&kit, 0, 10);
    CHECK_STR(kit.row_decision[0], "refused");
    CHECK_STR(kit.row_because[0], "unasked");
    CHECK_NEAR(kit.row[0].position_pct, 90, 0);
    /* The newer one still waits, and takes its own answer. */
    CHECK_OK(climate_propose(kit.climate, W1, 40, 1, &staff, second, "m2"));
    kit_settle(&kit);
    CHECK_EQ(kit.created, 1);
    CHECK_STR(kit.command_payload, "{\"position\":40}");
    CHECK_STR(kit_window(&kit).decision, "commanded");
    CHECK_STR(kit_window(&kit).asked_because, "change");
    /* Nor later, when the newer one was answered. */
    CHECK_ERR(climate_propose(kit.climate, W1, 90, 1, &staff, first, "m3"), ERR_CONFLICT);
    kit_settle(&kit);
    CHECK_EQ(kit.created, 1);
    CHECK_NEAR(kit_window(&kit).answer.position_pct, 40, 0);
    kit_close(&kit);
}

TEST(proposals_of_the_wrong_kind_or_hand_are_refused)
{
    struct kit kit;
    open_external(&kit);
    const struct bus_from board = {.role = BUS_DEVICE, .machine_id = W1},
                          nobody = {.role = BUS_NOBODY};
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_ERR(climate_propose(kit.climate, W1, 50, 1, &board, "", NULL), ERR_REFUSED);
    CHECK_ERR(climate_propose(kit.climate, W1, 50, 1, &nobody, "", NULL), ERR_REFUSED);
    CHECK_ERR(climate_propose(kit.climate, STR("window-2"), 50, 1, &staff, "", NULL),
              ERR_NOT_FOUND);
    const double bad[] = {-1, 101, NAN, INFINITY};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CHECK_ERR(climate_propose(kit.climate, W1, bad[i], 1, &staff, "", NULL), ERR_INPUT);
        CHECK_ERR(climate_propose(kit.climate, W1, 50, bad[i] + 0.5, &staff, "", NULL), ERR_INPUT);
    }
    CHECK_EQ(kit.created, 0);
    kit_close(&kit);
    open_own(&kit);
    CHECK_ERR(climate_propose(kit.climate, W1, 50, 1, &staff, "", NULL), ERR_REFUSED);
    kit_close(&kit);
}

/* ---- the record ---- */

TEST(predictions_are_read_in_pages_newest_first)
{
    struct kit kit;
    open_own(&kit);
    for (int i = 0; i < 12; i++) {
        kit_readings(&kit, 20 + 0.5 * i, 45, 0.02);
        kit_pass(&kit, MINUTE);
    }
    kit_predictions(&kit, 0, 5);
    CHECK_EQ(kit.rows, 5);
    CHECK(kit.more);
    uint64_t before = kit.row[4].prediction_id;
    kit_predictions(&kit, before, 10);
    CHECK_EQ(kit.rows, 7);
    CHECK(!kit.more);
    CHECK_EQ(kit.row[0].prediction_id, before - 1);
    CHECK_OK(climate_predictions_read(kit.climate, STR_NONE, T0 + MINUTE, T0 + 3 * MINUTE, 0, 0,
                                      kit_rows, &kit));
    kit_settle(&kit);
    CHECK_EQ(kit.rows, 2);
    kit_close(&kit);
}

/* A room of which one value is simulated is no measured room. */
TEST(a_prediction_says_where_its_values_came_from)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 22, 45, 0.02);
    kit_pass(&kit, MINUTE);
    struct telemetry_reading made = {
        .type = "humidity", .value = 55, .at_ms = kit.now_ms, .provenance = TELEMETRY_SIMULATED};
    CHECK_OK(telemetry_ingest_readings(kit.telemetry, W1, &made, 1, NULL, NULL, NULL));
    kit_settle(&kit);
    kit_pass(&kit, MINUTE);
    kit_predictions(&kit, 0, 10);
    CHECK_EQ(kit.rows, 2);
    CHECK_STR(kit.row_provenance[1], "measured");
    CHECK_STR(kit.row_provenance[0], "simulated");
    kit_close(&kit);
}

TEST(what_a_person_set_stands_beside_what_was_said)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    kit_pass(&kit, 40 * MINUTE);
    kit_readings(&kit, 24, 45, 0.02);
    kit_pass(&kit, MINUTE);
    kit_set_by_hand(&kit, 35);
    kit_predictions(&kit, 0, 10);
    CHECK_EQ(kit.rows, 2);
    CHECK(kit.row[0].has_actual); /* a minute before */
    CHECK_NEAR(kit.row[0].actual_pct, 35, 0);
    CHECK(!kit.row[1].has_actual); /* long before */
    kit_close(&kit);
}

/* ---- the column store ---- */

struct sent {
    struct store_job job;
    int predictions, actions;
    struct telemetry_action last;
    char last_source[16], last_version[24];
};
enum { SENT_CONFIGURE, SENT_ROWS, SENT_COUNT };
static const char *const sent_sql[SENT_COUNT] = {
    [SENT_CONFIGURE] = "UPDATE telemetry_outbox_state SET configured = 1, bytes_max = 100000000",
    [SENT_ROWS] = "SELECT sink_table, bytes FROM telemetry_outbox ORDER BY outbox_id",
};
static struct store_statements sent_statements = {"sent", sent_sql, SENT_COUNT, 0};

static enum err configure_run(struct store_job *job, struct store_db *db)
{
    (void)job;
    return store_exec(db, store_prepare(db, &sent_statements, SENT_CONFIGURE), NULL);
}

static enum err sent_run(struct store_job *job, struct store_db *db)
{
    struct sent *sent = (struct sent *)(void *)job;
    struct store_stmt *stmt = store_prepare(db, &sent_statements, SENT_ROWS);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        struct telemetry_outbox_row row;
        enum telemetry_sink_table table = (enum telemetry_sink_table)store_col_i64(stmt, 0);
        struct str bytes = store_col_blob(stmt, 1);
        while ((err = telemetry_outbox_decode(&bytes, table, &row)) == ERR_OK) {
            sent->predictions += table == TELEMETRY_SINK_PREDICTIONS;
            if (table != TELEMETRY_SINK_ACTIONS)
                continue;
            sent->actions++;
            sent->last = row.of.action;
            CHECK_OK(str_copy(sent->last_source, 16, row.of.action.source));
            CHECK_OK(str_copy(sent->last_version, 24, row.of.action.said_version));
        }
        if (err != ERR_NOT_FOUND)
            return err;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static struct sent sent(struct kit *kit)
{
    struct sent sent = {.job = {.run = sent_run}};
    CHECK_OK(store_run_now(kit->store, &sent.job));
    return sent;
}

TEST(the_column_store_is_told_what_was_said_with_what_was_set)
{
    struct kit kit;
    struct store_job configure = {.run = configure_run};
    open_own(&kit);
    CHECK_OK(store_run_now(kit.store, &configure));
    kit_set_by_hand(&kit, 10); /* nothing was said yet */
    struct sent now = sent(&kit);
    CHECK_EQ(now.actions, 1);
    CHECK_STR(now.last_source, "person");
    CHECK(isnan(now.last.said_pct) && isnan(now.last.said_confidence));
    CHECK_STR(now.last_version, "");
    kit_pass(&kit, HOUR);
    kit_readings(&kit, 24, 45, 0.02);
    double said = kit_window(&kit).answer.position_pct;
    double sure = kit_window(&kit).answer.confidence;
    CHECK(kit_board(&kit, QUEUE_COMPLETE)); /* a proposal's own end says nothing about it */
    now = sent(&kit);
    CHECK_STR(now.last_source, "model");
    CHECK(isnan(now.last.said_pct));
    kit_pass(&kit, MINUTE);
    kit_set_by_hand(&kit, 35);
    now = sent(&kit);
    CHECK_EQ(now.actions, 3);
    CHECK_EQ(now.predictions, 1); /* once, however often it is corrected */
    CHECK_STR(now.last_source, "person");
    CHECK_NEAR(now.last.position_pct, 35, 0);
    CHECK_NEAR(now.last.said_pct, said, 1e-9);
    CHECK_NEAR(now.last.said_confidence, sure, 1e-9);
    CHECK_STR(now.last_version, "model-1");
    kit_pass(&kit, HOUR);
    kit_set_by_hand(&kit, 45); /* that is too long ago to be an answer to it */
    CHECK(isnan(sent(&kit).last.said_pct));
    kit_close(&kit);
}

TEST(a_restart_remembers)
{
    struct kit kit;
    struct climate_options options = {.model_preset = kit_preset()};
    kit_open(&kit, &options);
    kit_close(&kit);
    kit.path = kit_path(kit_tempdir(), "automat.db");
    CHECK_OK(kit_try_open(&kit));
    CHECK_OK(climate_window_add(kit.climate, W1));
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    double position = kit_window(&kit).position_pct;
    kit_set_by_hand(&kit, 30);
    CHECK_OK(climate_mode_set(kit.climate, W1, CLIMATE_MANUAL, STR("a"), NULL, kit_done, &kit));
    kit_settle(&kit);
    CHECK(position > 40);
    kit_close(&kit);
    CHECK_OK(kit_try_open(&kit));
    struct climate_window window;
    CHECK(!climate_window_get(kit.climate, W1, &window)); /* nobody said yet that it exists */
    CHECK_OK(climate_window_add(kit.climate, W1));
    kit_settle(&kit);
    CHECK_NEAR(kit_window(&kit).position_pct, 30, 0);
    CHECK_EQ(kit_window(&kit).mode, CLIMATE_MANUAL);
    CHECK_EQ(climate_model_info_get(kit.climate).samples_people, 1);
    kit_close(&kit);
}

TEST(after_a_restart_a_command_on_its_way_is_seen)
{
    struct kit kit;
    struct climate_options options = {.model_preset = kit_preset()};
    kit_open(&kit, &options);
    kit_close(&kit);
    kit.path = kit_path(kit_tempdir(), "automat.db");
    CHECK_OK(kit_try_open(&kit));
    CHECK_OK(climate_window_add(kit.climate, W1));
    kit_readings(&kit, 24, 45, 0.02);
    CHECK_EQ(kit.created, 1);
    kit_close(&kit);
    CHECK_OK(kit_try_open(&kit));
    CHECK_OK(climate_window_add(kit.climate, W1)); /* asks at once, and says the same */
    kit_settle(&kit);
    CHECK_STR(kit_window(&kit).decision, "no_change");
    CHECK_EQ(kit.created, 1);
    kit_close(&kit);
}

TEST(where_it_was_measured_counts_more_than_where_it_should_be)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board_says(&kit, QUEUE_COMPLETE,
                         STR("{\"position\":71.5,\"provenance\":\"measured\"}")));
    CHECK_NEAR(kit_window(&kit).position_pct, 71.5, 0);
    kit_pass(&kit, MINUTE);
    kit_readings(&kit, 21, 45, 0.02);
    CHECK(kit_board_says(&kit, QUEUE_FAILED, STR("{\"position\":55}"))); /* pinched */
    CHECK_NEAR(kit_window(&kit).position_pct, 55, 0);
    kit_pass(&kit, climate_rules.age_max_ms);
    kit_readings(&kit, 21, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_FAILED)); /* and nobody knows where */
    CHECK(isnan(kit_window(&kit).position_pct));
    kit_close(&kit);
}

TEST(an_unknown_outcome_leaves_the_position_unknown)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    kit_pass(&kit, MINUTE);
    kit_readings(&kit, 21, 45, 0.02);
    bool own;
    const struct queue_command *command = queue_check(kit.queue, W1, (struct id128){{0}}, &own);
    CHECK(command != NULL);
    CHECK_OK(queue_claim(kit.queue,
                         &(struct queue_claim){.command_id = command->command_id,
                                               .machine_id = W1,
                                               .claim_id = {{1}},
                                               .journal_id = {{2}},
                                               .actor = STR("machine:window-1")},
                         kit_claimed, &kit));
    kit_settle(&kit);
    kit_pass(&kit, 5 * MINUTE);
    CHECK(isnan(kit_window(&kit).position_pct));
    kit_close(&kit);
}

TEST(a_wall_clock_that_jumps_stops_nothing)
{
    struct kit kit;
    open_own(&kit);
    kit_readings(&kit, 21, 45, 0.02);
    kit_pass(&kit, 26 * HOUR);
    kit_readings(&kit, 23, 45, 0.02);
    CHECK_EQ(kit.published, 2);
    kit.now_ms -= 20 * HOUR;
    (void)climate_tick(kit.climate, 1);
    for (int i = 0; i < 3; i++) {
        kit_pass(&kit, MINUTE);
        kit_readings(&kit, 24 + i, 45, 0.02);
    }
    CHECK(climate_tick(kit.climate, 1) <= 1 + climate_rules.age_max_ms);
    kit_close(&kit);
}

/* ---- bad days ---- */

static void scenario(struct kit *kit)
{
    struct telemetry_reading reading[3] = {{.type = "temperature", .value = 24},
                                           {.type = "humidity", .value = 45},
                                           {.type = "sound_volume", .value = 0.02}};
    for (int i = 0; i < 3; i++)
        reading[i].at_ms = kit->now_ms;
    enum err err = climate_window_add(kit->climate, W1);
    CHECK(err == ERR_OK || err == ERR_NOMEM);
    err = telemetry_ingest_readings(kit->telemetry, W1, reading, 3, NULL, NULL, NULL);
    CHECK(err == ERR_OK || err == ERR_NOMEM);
    kit_settle(kit);
    err = climate_mode_set(kit->climate, W1, CLIMATE_MANUAL, STR("a"), NULL, kit_done, kit);
    CHECK(err == ERR_OK || err == ERR_NOMEM || err == ERR_NOT_FOUND);
    kit_settle(kit);
}

TEST(every_allocation_may_fail)
{
    struct climate_options options = {.model_preset = kit_preset()};
    struct kit kit;
    for (uint32_t nth = 1; nth < 4000; nth++) {
        NOTE("allocation %u", nth);
        kit_open(&kit, &options);
        mem_fail_at(nth);
        scenario(&kit);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        kit_close(&kit);
        if (!fired)
            break;
    }
    for (uint32_t nth = 1; nth < 4000; nth++) { /* and while it is made */
        NOTE("allocation %u at birth", nth);
        kit = (struct kit){.bus = {&kit_bus_ops}, .now_ms = T0, .options = options};
        kit.migrations = kit_tables();
        kit.folder = kit_tempdir();
        mem_fail_at(nth);
        enum err err = kit_try_open(&kit);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        kit_close(&kit);
        CHECK(fired ? err != ERR_OK : err == ERR_OK);
        if (!fired)
            break;
    }
}

TEST(a_store_that_crashes_leaves_nothing_behind)
{
    struct kit kit;
    open_own(&kit);
    struct telemetry_reading reading = {.type = "temperature", .value = 24, .at_ms = T0};
    kit_readings(&kit, 22, 45, 0.02);
    CHECK_OK(telemetry_ingest_readings(kit.telemetry, W1, &reading, 1, NULL, NULL, NULL));
    CHECK_OK(climate_mode_set(kit.climate, W1, CLIMATE_MANUAL, STR("a"), NULL, kit_done, &kit));
    CHECK_OK(climate_predictions_read(kit.climate, W1, 0, 0, 0, 10, kit_rows, &kit));
    store_crash(kit.store);
    kit.store = NULL;
    kit_close(&kit);
}
