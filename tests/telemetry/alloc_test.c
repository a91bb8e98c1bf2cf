/* Every allocation fails once: nothing leaks, nothing half done is left, and it works afterwards.
 */
#include "telemetry_kit.h"

static int said;
static void count_done(void *cookie, enum err err)
{
    (void)cookie;
    (void)err;
    said++;
}

static enum err use(struct kit *kit, int *accepted)
{
    enum telemetry_refusal refusal;
    char why[TELEMETRY_WHY_BYTES];
    struct telemetry_input input = {.machine_id = STR("a"),
                                    .type = STR("readings"),
                                    .payload =
                                        STR("{\"temperature\":20,\"humidity\":40,\"co2\":500}")};
    enum err err = telemetry_ingest(kit->telemetry, &input, count_done, NULL, &refusal, why);
    *accepted += err == ERR_OK;
    if (err != ERR_OK)
        return err;
    for (int i = 0; i < 40; i++) {
        struct telemetry_reading reading = {.type = "temperature", .value = i, .at_ms = T0 - i};
        err = telemetry_ingest_readings(kit->telemetry, STR("b"), &reading, 1, NULL, count_done,
                                        NULL);
        *accepted += err == ERR_OK;
        if (err != ERR_OK)
            return err;
    }
    input.payload = STR("rubbish");
    for (int i = 0; i < 12; i++)
        if (telemetry_ingest(kit->telemetry, &input, count_done, NULL, &refusal, why) != ERR_INPUT)
            return ERR_CONFLICT;
    struct telemetry_policy policy = {7, 90, 730, 3650};
    err = telemetry_policy_set(kit->telemetry, &policy, STR("x"), NULL, NULL, NULL);
    if (err != ERR_OK)
        return err;
    telemetry_flush(kit->telemetry);
    struct telemetry_range range = {
        .machine_id = STR("b"), .type = STR("temperature"), .to_ms = T0 + 1};
    err = telemetry_range_read(kit->telemetry, &range, kit_range_done, kit);
    telemetry_tick(kit->telemetry, 10000);
    return err;
}

TEST(every_allocation_fails_once)
{
    const struct store_migration *migrations = kit_tables();
    for (uint32_t nth = 1;; nth++) {
        struct kit kit = {.now_ms = T0, .mono_ms = 5000, .migrations = migrations};
        int accepted = 0;
        NOTE("allocation %u", nth);
        said = 0;
        CHECK_OK(loop_create(&kit.loop));
        mem_fail_at(nth);
        enum err err =
            kit_try_open(&kit, &(struct store_options){.path = NULL}, NULL, &telemetry_sink_null);
        if (err == ERR_OK)
            err = use(&kit, &accepted);
        if (kit.telemetry != NULL)
            kit_run(&kit);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        CHECK_EQ(said, accepted); /* everybody hears once, and only who was let in */
        if (kit.telemetry != NULL) {
            CHECK_EQ(kit.telemetry->pending, 0);
            CHECK_OK(kit_send(&kit, "z", "temperature", "20"));
            kit_run(&kit);
            CHECK(kit_latest(&kit, "z", "temperature").value == 20);
            CHECK_EQ(kit_look(&kit, LOOK_WRONG_DAYS), 0);
        }
        if (kit.store != NULL)
            store_close(kit.store);
        telemetry_destroy(kit.telemetry);
        loop_destroy(kit.loop);
        if (!fired) {
            CHECK_OK(err);
            CHECK_EQ(kit.points, 40);
            break;
        }
    }
}
