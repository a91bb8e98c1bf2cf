/* The program on the MQTT road: alone with a server that behaves, then with one that loses,
 * repeats, delays and forgets, and with both roads in one life.  fake_kind_start and
 * fake_check_rules watch all the while that nothing acts twice, late, or while the server says it
 * does not. */
#include "device/fake_mqtt.h"

#include <stdio.h>

static struct hop hop; /* too big for the stack */

TEST(a_command_over_mqtt)
{
    hop_init(&hop, 1);
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    CHECK(hop_settle(&hop, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK_EQ(command->starts, 1);
    CHECK(command->volume_milli >= 3000);
    CHECK_EQ(hop.fake.claims, 1);
    CHECK_EQ(hop.fake.reports, 1);
    CHECK_EQ(hop.fake.hellos, 1);
    CHECK_EQ(hop.fake.checks, 0); /* not one byte over HTTP */
    CHECK(hop.fake.samples >= 29);
    hop_run(&hop, 2000);
    CHECK_EQ(journal_find(&hop.fake.device.journal, command->uid)->state, JOURNAL_HEARD);
}

TEST(many_in_order_without_waiting_for_a_poll)
{
    hop_init(&hop, 2);
    hop.fake.act_ms = 500;
    for (int i = 0; i < 100; i++)
        (void)fake_order(&hop.fake);
    hop_boot(&hop);
    CHECK(hop_settle(&hop, 100 * 1500)); /* pushed, one after the other */
    for (uint32_t i = 0; i < 100; i++)
        CHECK_EQ(hop.fake.command[i].state, FAKE_COMPLETE);
    CHECK_EQ(hop.fake.claims, 100);
}

TEST(an_offer_ends_the_pause_of_a_plain_poll)
{
    hop_init(&hop, 3);
    hop.fake.wait_s = 0;
    hop_boot(&hop);
    hop_run(&hop, 10000);
    int64_t ordered_ms = hop.fake.now_ms;
    (void)fake_order(&hop.fake);
    while (!hop.fake.acting)
        hop_turn(&hop);
    CHECK(hop.fake.now_ms - ordered_ms < 600);
}

TEST(an_idle_board_is_quiet)
{
    hop_init(&hop, 4);
    hop_boot(&hop);
    hop_run(&hop, 1000);
    uint32_t published = hop.mqtt.stats.published;
    hop_run(&hop, 100000);
    CHECK_EQ(hop.fake.hellos, 1);
    CHECK(hop.mqtt.stats.published - published <= 23); /* machine progress */
    CHECK_EQ(hop.mqtt.stats.timeouts, 0);
}

TEST(a_stop_is_honoured_at_once)
{
    hop_init(&hop, 5);
    hop.fake.act_ms = 20000;
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    while (!hop.fake.acting)
        hop_turn(&hop);
    command->stop = true;
    CHECK(hop_settle(&hop, 4000));
    CHECK_EQ(command->state, FAKE_CANCELLED);
}

TEST(a_stop_of_another_claim_stops_nothing)
{
    hop_init(&hop, 6);
    char body[512];
    struct text text;
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    while (!hop.fake.acting)
        hop_turn(&hop);
    struct wire_stop stop = {command->command_id, command->uid, {{9}}};
    for (int i = 0; i < 3; i++) {
        text_init(&text, body, sizeof(body));
        CHECK_OK(wire_stop_encode(&stop, &text));
        device_mqtt_on_message(&hop.mqtt, STR("machines/m1/stop"), (struct str){text.at, text.len});
        stop.claim_id = i == 0 ? command->claim_id : stop.claim_id;
        stop.uid = i == 0 ? (struct id128){{8}} : command->uid;
        stop.command_id = command->command_id + (i == 1);
    }
    CHECK(!hop.fake.asked_to_stop);
    CHECK(hop_settle(&hop, 20000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

TEST(waits_for_staff_and_is_told)
{
    hop_init(&hop, 7);
    hop.fake.waiting = true;
    (void)fake_order(&hop.fake);
    hop_boot(&hop);
    hop_run(&hop, 5000);
    CHECK_EQ(hop.fake.claims, 0);
    CHECK_EQ(hop.fake.machine_progresses, 0);
    hop.fake.waiting = false;
    uint32_t hellos = hop.fake.hellos;
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/config"),
                           STR("{\"admission\":\"admitted\",\"config\":{}}"));
    hop_run(&hop, 100);
    CHECK_EQ(hop.fake.hellos, hellos + 1);
    CHECK(hop_settle(&hop, 20000));
}

TEST(a_new_configuration_is_taken_when_nothing_is_in_hand)
{
    hop_init(&hop, 8);
    (void)fake_order(&hop.fake);
    hop_boot(&hop);
    while (!hop.fake.acting)
        hop_turn(&hop);
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/config"),
                           STR("{\"admission\":\"admitted\",\"config\":{\"a\":1}}"));
    hop_run(&hop, 1000);
    CHECK_EQ(hop.fake.configured, 1); /* fake_kind_configure checks that nothing acts */
    CHECK(hop_settle(&hop, 20000));
    hop_run(&hop, 3000);
    CHECK_EQ(hop.fake.configured, 2);
    /* A server that says it without end is not obeyed without end. */
    uint32_t hellos = hop.fake.hellos;
    for (int i = 0; i < 1000; i++) {
        device_mqtt_on_message(&hop.mqtt, STR("machines/m1/config"),
                               STR("{\"admission\":\"admitted\"}"));
        hop_turn(&hop);
    }
    CHECK(hop.fake.hellos - hellos <= 2 + (uint32_t)(hop.fake.now_ms / 2000));
}

TEST(a_config_for_another_boot_is_no_answer)
{
    hop_init(&hop, 9);
    hop.lose = 1;
    hop_boot(&hop);
    hop.lose = 0;
    hop_run(&hop, 6000);
    hop.lose = 1; /* the next hello goes nowhere */
    device_greet(&hop.fake.device);
    hop_run(&hop, 50);
    CHECK_EQ(hop.fake.device.phase, DEVICE_HELLO);
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/config"),
                           STR("{\"admission\":\"admitted\","
                               "\"boot_id\":\"000102030405060708090a0b0c0d0e0f\"}"));
    CHECK_EQ(hop.fake.device.phase, DEVICE_HELLO);
}

/* ---- results that are none ---- */

static void claim_and_wait(uint64_t seed)
{
    hop_init(&hop, seed);
    (void)fake_order(&hop.fake);
    hop_boot(&hop);
    while (hop.fake.device.phase != DEVICE_CLAIM)
        hop_turn(&hop);
    hop.lose = 1;
    hop_run(&hop, 20);
}

static void say_result(const struct wire_claim_result *result)
{
    char body[512];
    struct text text;
    text_init(&text, body, sizeof(body));
    CHECK_OK(wire_claim_result_encode(result, &text));
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/claim/result"),
                           (struct str){text.at, text.len});
}

TEST(only_the_result_of_this_attempt_counts)
{
    claim_and_wait(10);
    const struct device *device = &hop.fake.device;
    struct wire_claim_result good = {.command_id = device->command_id,
                                     .uid = device->uid,
                                     .claim_id = device->claim_id,
                                     .granted = true,
                                     .start_within_ms = 30000,
                                     .max_duration_s = 60};
    struct wire_claim_result bad = good;
    bad.claim_id.byte[3] ^= 1;
    say_result(&bad);
    bad = good;
    bad.uid.byte[15] ^= 1;
    say_result(&bad);
    bad = good;
    bad.command_id++;
    say_result(&bad);
    CHECK_EQ(device->phase, DEVICE_CLAIM);
    CHECK_EQ(hop.mqtt.stats.results_foreign, 3);
    /* Another machine's topic, and half a grant. */
    device_mqtt_on_message(&hop.mqtt, STR("machines/m2/claim/result"), STR("{}"));
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/claim/result"), STR("{\"granted\":true}"));
    CHECK_EQ(device->phase, DEVICE_CLAIM);
    CHECK_EQ(hop.mqtt.stats.bad_messages, 1);
    hop.fake.command[0].state = FAKE_RUNNING;
    hop.fake.command[0].claim_id = device->claim_id;
    hop.fake.command[0].claimed_ms = hop.fake.now_ms;
    say_result(&good);
    CHECK_EQ(device->phase, DEVICE_ACT);
    say_result(&good); /* again: the machine is on its way, and nothing asks */
    CHECK_EQ(hop.fake.command[0].starts, 1);
}

TEST(a_grant_that_comes_too_late_is_dropped)
{
    claim_and_wait(11);
    const struct device *device = &hop.fake.device;
    struct wire_claim_result good = {.command_id = device->command_id,
                                     .uid = device->uid,
                                     .claim_id = device->claim_id,
                                     .granted = true,
                                     .start_within_ms = 10,
                                     .max_duration_s = 60};
    hop_run(&hop, 500);
    CHECK_EQ(device->phase, DEVICE_CLAIM);
    say_result(&good);
    CHECK_EQ(device->phase, DEVICE_REPORT);
    CHECK_EQ(device->stats.late_grants, 1);
    CHECK_EQ(device->stats.starts, 0);
}

TEST(a_refusal_that_passes_is_asked_again)
{
    claim_and_wait(12);
    const struct device *device = &hop.fake.device;
    struct wire_claim_result later = {.command_id = device->command_id,
                                      .uid = device->uid,
                                      .claim_id = device->claim_id,
                                      .code = "store_unavailable"};
    say_result(&later);
    CHECK_EQ(device->phase, DEVICE_CLAIM);
    hop.lose = 0;
    CHECK(hop_settle(&hop, 20000));
    CHECK_EQ(hop.fake.command[0].state, FAKE_COMPLETE);
}

TEST(a_refused_offer_is_let_go)
{
    claim_and_wait(13);
    const struct device *device = &hop.fake.device;
    struct wire_claim_result no = {.command_id = device->command_id,
                                   .uid = device->uid,
                                   .claim_id = device->claim_id,
                                   .code = "claim_mismatch"};
    say_result(&no);
    CHECK_EQ(device->phase, DEVICE_POLL);
    CHECK(!hop.mqtt.offer_held);
    hop_run(&hop, 5000);
    CHECK_EQ(device->stats.claims, 1);
}

TEST(an_offer_of_what_was_reported_is_old_news)
{
    hop_init(&hop, 14);
    struct fake_command *command = fake_order(&hop.fake);
    char body[1024];
    struct text text;
    hop_boot(&hop);
    CHECK(hop_settle(&hop, 20000));
    hop_run(&hop, 1000);
    struct wire_offer offer = {.command_id = command->command_id,
                               .uid = command->uid,
                               .command = "pour",
                               .execute_allowed = true};
    text_init(&text, body, sizeof(body));
    CHECK_OK(wire_offer_encode(&offer, &text));
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/offer"), (struct str){text.at, text.len});
    hop_run(&hop, 5000);
    CHECK_EQ(hop.fake.reports, 1);
    CHECK_EQ(hop.fake.claims, 1);
    CHECK_EQ(hop.mqtt.stats.offers_dropped, 1);
}

/* Queue rule 2: what runs is shown to the journal that claimed it. */
TEST(the_running_command_of_another_journal_is_not_ours)
{
    hop_init(&hop, 15);
    char body[1024];
    struct text text;
    struct fake_command *command = fake_order(&hop.fake);
    command->state = FAKE_RUNNING; /* a clone has it */
    command->claim_id = command->journal_id = (struct id128){{0xCC}};
    command->claimed_ms = hop.fake.now_ms;
    command->starts = 1;
    hop.fake.waiting = true; /* so that this hello changes nothing */
    hop_boot(&hop);
    hop_run(&hop, 1000);
    hop.fake.waiting = false;
    struct wire_offer offer = {.command_id = 1,
                               .uid = command->uid,
                               .command = "pour",
                               .running = true,
                               .has_claim = true,
                               .claim_id = command->claim_id,
                               .journal_id = command->journal_id};
    text_init(&text, body, sizeof(body));
    CHECK_OK(wire_offer_encode(&offer, &text));
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/offer"), (struct str){text.at, text.len});
    CHECK(!hop.mqtt.offer_held);
    CHECK_EQ(hop.fake.reports, 0);
}

/* The grant never came; the server shows what it thinks is running, and the board accounts for it.
 */
TEST(a_lost_grant_is_accounted_for)
{
    hop_init(&hop, 16);
    struct fake_command *command = fake_order(&hop.fake);
    hop.fake.start_within_ms = 1; /* whatever comes, comes too late */
    hop_boot(&hop);
    CHECK(hop_settle(&hop, 60000));
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK_STR(command->reason, "not_started");
    CHECK_EQ(command->starts, 0);
}

/* ---- reports ---- */

TEST(a_cancellation_that_came_too_late_is_a_failure_with_its_figures)
{
    hop_init(&hop, 17);
    hop.fake.act_ms = 20000;
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    while (!hop.fake.acting)
        hop_turn(&hop);
    hop_run(&hop, 1500);
    char body[512];
    struct text text;
    struct wire_stop stop = {command->command_id, command->uid, command->claim_id};
    text_init(&text, body, sizeof(body));
    CHECK_OK(wire_stop_encode(&stop, &text));
    command->stop = true;
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/stop"), (struct str){text.at, text.len});
    hop.fake.settled_elsewhere = true;
    command->state = FAKE_UNKNOWN; /* silence, as the server saw it */
    hop_run(&hop, 10000);
    CHECK_EQ(command->state, FAKE_FAILED);
    CHECK(command->volume_milli >= 1000);
    CHECK_EQ(journal_unheard(&hop.fake.device.journal), NULL);
}

TEST(a_report_without_rights_waits)
{
    hop_init(&hop, 18);
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    while (hop.fake.device.phase != DEVICE_REPORT)
        hop_turn(&hop);
    hop.lose = 1;
    while (hop.mqtt.ask[DEVICE_CONTROL].call != DEVICE_MQTT_REPORT)
        hop_turn(&hop);
    uint64_t handle = hop.mqtt.ask[DEVICE_CONTROL].handle;
    device_mqtt_on_published(&hop.mqtt, handle + 1000, 0); /* of something else */
    CHECK_EQ(hop.fake.device.phase, DEVICE_REPORT);
    device_mqtt_on_published(&hop.mqtt, handle, DEVICE_MQTT_NOT_AUTHORIZED);
    CHECK_EQ(hop.fake.device.phase, DEVICE_HELLO);
    CHECK(hop.fake.device.outcome.open);
    hop.lose = 0;
    CHECK(hop_settle(&hop, 30000));
    CHECK_EQ(command->state, FAKE_COMPLETE);
}

/* A server that says "not authorised" for every refusal: after a hello it is taken at its word. */
TEST(a_report_that_is_not_authorised_again_is_over)
{
    hop_init(&hop, 24);
    (void)fake_order(&hop.fake);
    hop_boot(&hop);
    hop.refusal = DEVICE_MQTT_NOT_AUTHORIZED;
    hop.fake.act_ms = 20000;
    hop.fake.settled_elsewhere = true;
    while (!hop.fake.acting)
        hop_turn(&hop);
    hop.fake.command[0].state = FAKE_FAILED; /* staff took it for over */
    hop_run(&hop, 30000);
    CHECK(!hop.fake.acting); /* and its progress was answered with a stop */
    CHECK(!hop.fake.device.outcome.open);
    CHECK_EQ(hop.fake.device.phase, DEVICE_POLL);
    CHECK(hop.fake.reports >= 2 && hop.fake.reports <= 4);
}

TEST(a_lost_acknowledgement_means_once_more)
{
    hop_init(&hop, 19);
    struct fake_command *command = fake_order(&hop.fake);
    hop_boot(&hop);
    while (!hop.fake.acting)
        hop_turn(&hop);
    hop.handle_unacked = 1; /* settled on disk, and the connection breaks before the PUBACK */
    while (hop.fake.device.phase != DEVICE_REPORT)
        hop_turn(&hop);
    hop_run(&hop, 6000);
    CHECK_EQ(command->state, FAKE_COMPLETE);
    CHECK(hop.fake.device.outcome.open);
    hop.handle_unacked = 0;
    hop_run(&hop, 20000);
    CHECK(!hop.fake.device.outcome.open);
    CHECK_EQ(command->endings, 1);
    CHECK_EQ(command->starts, 1);
}

/* ---- the connection ---- */

TEST(nothing_is_asked_without_a_connection)
{
    hop_init(&hop, 20);
    hop.down = true;
    (void)fake_order(&hop.fake);
    hop_boot(&hop);
    hop_run(&hop, 60000);
    CHECK_EQ(hop.mqtt.phase, DEVICE_MQTT_OFF);
    CHECK_EQ(hop.mqtt.stats.published, 0);
    hop.down = false;
    hop.connect_ms = hop.fake.now_ms;
    /* Not after the pause that a minute of failures made. */
    CHECK(hop_settle(&hop, 6000));
}

TEST(a_refused_subscription_is_no_road)
{
    hop_init(&hop, 21);
    hop_boot(&hop);
    hop.linked = true;
    hop.lose = 1;
    device_mqtt_on_connected(&hop.mqtt);
    for (unsigned i = 0; i < 2 * DEVICE_MQTT_FILTERS; i++)
        CHECK(!device_mqtt_on_subscribed(&hop.mqtt, i == 0));
    CHECK_EQ(hop.mqtt.phase, DEVICE_MQTT_SUBSCRIBING);
    struct device_exchange exchange = {.path = "/api/machines/m1/hello", .body = STR("{}")};
    CHECK_EQ(device_mqtt_send(&hop.mqtt, &exchange), ERR_CLOSED);
}

TEST(the_will_and_the_word_online)
{
    char topic[WIRE_TOPIC_BYTES], body[128];
    struct text name, payload;
    text_init(&name, topic, sizeof(topic));
    text_init(&payload, body, sizeof(body));
    device_mqtt_will(STR("m1"), &name, &payload);
    CHECK_STR(topic, "machines/m1/state");
    CHECK_STR(body, "{\"state\":\"offline\"}");
    hop_init(&hop, 22);
    hop_boot(&hop);
    hop_run(&hop, 1000);
    CHECK_STR(hop.state, "{\"state\":\"online\",\"step\":\"idle\",\"sensors\":{\"glass\":true}}");
    (void)fake_order(&hop.fake);
    hop_run(&hop, 30000);
    CHECK(hop.retained <= 8);
}

TEST(an_offer_too_long_to_hold_is_not_seen)
{
    static char long_offer[DEVICE_MQTT_OFFER_BYTES + 1];
    hop_init(&hop, 23);
    hop_boot(&hop);
    hop_run(&hop, 1000);
    memset(long_offer, ' ', sizeof(long_offer));
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/offer"),
                           (struct str){long_offer, sizeof(long_offer)});
    device_mqtt_on_message(&hop.mqtt, STR("machines/m1/offer"), STR("{\"command_id\":"));
    CHECK_EQ(hop.mqtt.stats.bad_messages, 2);
    CHECK(!hop.mqtt.offer_held);
}

/* ---- two roads in one life ---- */

TEST(roads_are_changed_at_every_moment)
{
    for (int64_t at_ms = 0; at_ms < 6000; at_ms += 45) {
        for (int http_first = 0; http_first < 2; http_first++) {
            hop_init(&hop, 1000 + (uint64_t)at_ms);
            hop.http = http_first != 0;
            struct fake_command *command = fake_order(&hop.fake);
            struct fake_command *second = fake_order(&hop.fake);
            hop_boot(&hop);
            hop_run(&hop, at_ms + 1);
            hop_change_road(&hop);
            NOTE("at %lld ms from %s", (long long)at_ms, http_first ? "HTTP" : "MQTT");
            CHECK(hop_settle(&hop, 60000));
            CHECK_EQ(command->state, FAKE_COMPLETE);
            CHECK_EQ(second->state, FAKE_COMPLETE);
        }
    }
}

/* ---- everything at once ---- */

static void storm(uint64_t seed)
{
    hop_init(&hop, seed);
    struct rng *rng = &hop.fake.rng;
    hop.fake.act_ms = 400 + rng_below(rng, 4000);
    hop.fake.wait_s = rng_chance(rng, 0.7) ? 10 : 0;
    hop.v311 = rng_chance(rng, 0.3);
    hop.refusal = rng_chance(rng, 0.4) ? DEVICE_MQTT_NOT_AUTHORIZED : DEVICE_MQTT_REFUSED;
    hop.http = rng_chance(rng, 0.2);
    hop.lose = 0.15 * rng_unit(rng);
    hop.repeat = 0.15 * rng_unit(rng);
    hop.delay = 0.2 * rng_unit(rng);
    hop.part = 0.02 * rng_unit(rng);
    hop.forget = 0.3 * rng_unit(rng);
    hop.handle_unacked = 0.1 * rng_unit(rng);
    hop.reboot = 0.003 * rng_unit(rng);
    hop.change_road = rng_chance(rng, 0.5) ? 0.01 * rng_unit(rng) : 0;
    hop.fake.settled_elsewhere = false;
    for (int i = 0; i < 6; i++)
        (void)fake_order(&hop.fake);
    hop_boot(&hop);
    hop_run(&hop, 90000);
    hop.lose = hop.repeat = hop.delay = hop.part = hop.forget = hop.handle_unacked = hop.reboot =
        hop.change_road = 0;
    /* What is unknown holds the machine; staff would look.  All else must come to its end. */
    for (int i = 0; i < 40 && !hop_settle(&hop, 20000); i++) {
        for (uint32_t c = 0; c < hop.fake.command_count; c++) {
            if (hop.fake.command[c].state == FAKE_UNKNOWN)
                hop.fake.command[c].state = FAKE_FAILED;
        }
    }
}

TEST(storms)
{
    uint32_t complete = 0, starts = 0, dropped = 0, foreign = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        storm(seed);
        NOTE("seed %llu", (unsigned long long)seed);
        for (uint32_t c = 0; c < hop.fake.command_count; c++) {
            const struct fake_command *command = &hop.fake.command[c];
            CHECK(command->state != FAKE_PENDING && command->state != FAKE_RUNNING);
            CHECK(command->starts <= 1);
            complete += command->state == FAKE_COMPLETE;
            starts += command->starts;
        }
        dropped += hop.mqtt.stats.offers_dropped;
        foreign += hop.mqtt.stats.results_foreign;
    }
    /* A storm in which nothing happens proves nothing. */
    NOTE("%u complete, %u starts, %u offers dropped, %u foreign", complete, starts, dropped,
         foreign);
    CHECK(complete > 1200 && starts > 1500 && dropped > 100 && foreign > 50);
}
