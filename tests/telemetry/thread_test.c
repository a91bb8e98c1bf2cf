/* On a real file, with the store's own threads and a loop that runs. */
#include "telemetry_kit.h"

static bool see(void *cookie, const struct telemetry_latest *latest)
{
    CHECK(latest->at_ms > 0);
    ++*(int *)cookie;
    return true;
}

static void open_threaded(struct kit *kit, const char *path)
{
    char why[512] = "";
    *kit = (struct kit){.now_ms = T0, .mono_ms = 5000};
    kit->migrations = kit_tables();
    CHECK_OK(loop_create(&kit->loop));
    struct store_options store_options = {.path = path, .migrations = kit->migrations};
    enum err err = store_open(kit->loop, &store_options, why, sizeof(why), &kit->store);
    NOTE("%s", why);
    CHECK_OK(err);
    struct telemetry_options options = kit_options(kit);
    CHECK_OK(telemetry_create_with(&options, &telemetry_sink_null, &kit->telemetry));
    CHECK_OK(telemetry_watch(kit->telemetry, kit_watch, kit));
}

TEST(threads_write_while_the_loop_goes_on)
{
    struct kit kit;
    enum { ROUNDS = 200, EACH = 20 };
    const char *path = kit_path(kit_tempdir(), "a.db");
    open_threaded(&kit, path);
    int sent = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < EACH; i++) {
            char type[TELEMETRY_TYPE_BYTES];
            snprintf(type, sizeof(type), "t%d", (round + i) % 40); /* new series on the way */
            CHECK_OK(kit_send_at(&kit, i % 2 == 0 ? "a" : "b", type, i, T0 - round));
            sent++;
        }
        if (round % 50 == 25) {
            struct telemetry_range range = {
                .machine_id = STR("a"), .type = STR("t0"), .to_ms = T0 + 1};
            CHECK_OK(telemetry_range_read(kit.telemetry, &range, kit_range_done, &kit));
            telemetry_tick(kit.telemetry, kit.mono_ms += 1000);
        }
        int latest = 0;
        telemetry_latest_each(kit.telemetry, STR_NONE, see, &latest);
        loop_turn(kit.loop);
    }
    while (kit.dones < sent || kit.ranges < 4)
        loop_turn_wait(kit.loop);
    CHECK_EQ(kit.failures, 0);
    CHECK_EQ(kit.readings, sent);
    kit_close(&kit);
    open_threaded(&kit, path);
    CHECK_EQ(kit_look(&kit, LOOK_READINGS), sent);
    CHECK_EQ(kit_look(&kit, LOOK_WRONG_MINUTES5), 0);
    int latest = 0;
    telemetry_latest_each(kit.telemetry, STR_NONE, see, &latest);
    CHECK_EQ(latest, 2 * 40);
    kit_close(&kit);
}
