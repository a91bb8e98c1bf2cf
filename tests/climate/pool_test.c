/* On a real loop with its pool and the store's thread: learning happens beside the loop, and the
 * room may end while it does. */
#include "climate_kit.h"

#define TURNS_MAX 20000

static void open_on_loop(struct kit *kit)
{
    *kit = (struct kit){.bus = {&kit_bus_ops}, .now_ms = T0};
    kit->options.model_preset = kit_preset();
    kit->migrations = kit_tables();
    kit->folder = kit_tempdir();
    kit->path = kit_path(kit_tempdir(), "automat.db");
    CHECK_OK(loop_create(&kit->loop));
    enum err err = kit_try_open(kit);
    NOTE("%s", kit->why);
    CHECK_OK(err);
    CHECK_OK(climate_window_add(kit->climate, W1));
}

static void close_on_loop(struct kit *kit)
{
    kit_close(kit);
    loop_destroy(kit->loop);
}

static void turn_until(struct kit *kit, const uint64_t *value, uint64_t least)
{
    for (int turn = 0; turn < TURNS_MAX && *value < least; turn++)
        CHECK(loop_turn_wait(kit->loop));
    CHECK(*value >= least);
}

static void turn_until_calls(struct kit *kit, int least)
{
    for (int turn = 0; turn < TURNS_MAX && kit->calls < least; turn++)
        CHECK(loop_turn_wait(kit->loop));
    CHECK(kit->calls >= least);
}

static void read_all(struct kit *kit)
{
    struct telemetry_reading reading[3] = {{.type = "temperature", .value = 24.5},
                                           {.type = "humidity", .value = 50},
                                           {.type = "sound_volume", .value = 0.02}};
    for (int i = 0; i < 3; i++)
        reading[i].at_ms = kit->now_ms;
    CHECK_OK(telemetry_ingest_readings(kit->telemetry, W1, reading, 3, NULL, NULL, NULL));
}

static void set_by_hand(struct kit *kit, int position_pct)
{
    char payload[64];
    bool own = false;
    struct id128 claim = {{9, 9}}, journal = {{7}};
    (void)snprintf(payload, sizeof(payload), "{\"position\":%d}", position_pct);
    kit->calls = 0;
    CHECK_OK(queue_submit(kit->queue,
                          &(struct queue_new){.kind = &kit_kind,
                                              .machine_id = W1,
                                              .command = STR("set_position"),
                                              .payload = str_from(payload),
                                              .execute_allowed = true,
                                              .actor = STR("account:alice")},
                          kit_ordered, kit));
    turn_until_calls(kit, 1);
    const struct queue_command *command = queue_check(kit->queue, W1, (struct id128){{0}}, &own);
    CHECK(command != NULL);
    uint64_t command_id = command->command_id;
    CHECK_OK(queue_claim(kit->queue,
                         &(struct queue_claim){.command_id = command_id,
                                               .machine_id = W1,
                                               .claim_id = claim,
                                               .journal_id = journal,
                                               .actor = STR("machine:window-1")},
                         kit_claimed, kit));
    turn_until_calls(kit, 2);
    CHECK_OK(queue_report(kit->queue,
                          &(struct queue_report){.command_id = command_id,
                                                 .machine_id = W1,
                                                 .outcome = QUEUE_COMPLETE,
                                                 .claim_id = claim,
                                                 .journal_id = journal,
                                                 .actor = STR("machine:window-1")},
                          kit_reported, kit));
    turn_until_calls(kit, 3);
}

TEST(asked_decided_and_learned_beside_the_loop)
{
    struct kit kit;
    open_on_loop(&kit);
    read_all(&kit);
    turn_until(&kit, &kit_stats(&kit)->commands, 1);
    set_by_hand(&kit, 20);
    turn_until(&kit, &kit_stats(&kit)->models_adopted, 1);
    CHECK(climate_model_info_get(kit.climate).version > 1);
    CHECK_EQ(climate_model_info_get(kit.climate).samples_people, 1);
    close_on_loop(&kit);
}

TEST(the_room_may_end_while_it_learns)
{
    struct kit kit;
    open_on_loop(&kit);
    read_all(&kit);
    turn_until(&kit, &kit_stats(&kit)->commands, 1);
    set_by_hand(&kit, 20);
    turn_until(&kit, &kit_stats(&kit)->samples_people, 1);
    close_on_loop(&kit); /* the pool is at work, or its answer waits: nothing leaks */
}

TEST(a_setting_while_it_learns_is_learned_next)
{
    struct kit kit;
    open_on_loop(&kit);
    read_all(&kit);
    turn_until(&kit, &kit_stats(&kit)->commands, 1);
    set_by_hand(&kit, 20);
    set_by_hand(&kit, 22);
    turn_until(&kit, &kit_stats(&kit)->samples_people, 2);
    for (int turn = 0; turn < TURNS_MAX && climate_model_info_get(kit.climate).samples_people < 2;
         turn++)
        CHECK(loop_turn_wait(kit.loop));
    CHECK_EQ(climate_model_info_get(kit.climate).samples_people, 2);
    close_on_loop(&kit);
}
