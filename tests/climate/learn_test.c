/* Learning in the room: samples, versions, files, and the way back. */
#include "climate_kit.h"

#include <dirent.h>
#include <unistd.h>

static void open_on_disk(struct kit *kit, struct climate_options *options)
{
    *options = (struct climate_options){.model_preset = kit_preset()};
    kit_open(kit, options);
    kit_close(kit);
    kit->path = kit_path(kit_tempdir(), "automat.db");
    CHECK_OK(kit_try_open(kit));
    CHECK_OK(climate_window_add(kit->climate, W1));
}

static void reopen(struct kit *kit)
{
    kit_close(kit);
    CHECK_OK(kit_try_open(kit));
    CHECK_OK(climate_window_add(kit->climate, W1));
    kit_settle(kit);
}

/* People always want 20 where the model says about 95. */
static void teach_by_hand(struct kit *kit, int times)
{
    for (int i = 0; i < times; i++) {
        kit_pass(kit, 2 * MINUTE);
        kit_readings(kit, 24.5 + 0.05 * (i % 10), 50, 0.02);
        kit_set_by_hand(kit, 20);
    }
}

static double says(const struct kit *kit)
{
    struct climate_model *model;
    char why[CLIMATE_MODEL_WHY_BYTES], name[64];
    uint64_t version = climate_model_info_get(kit->climate).version;
    (void)snprintf(name, sizeof(name), "model-%04llu.bin", (unsigned long long)version);
    const char *path = version == 1 ? kit->options.model_preset : kit_path(kit->folder, name);
    CHECK_OK(climate_model_load(path, why, sizeof(why), &model));
    double position =
        climate_model_ask(model, &(struct climate_features){24.6, 50, 0.02}).position_pct;
    climate_model_destroy(model);
    return position;
}

static void corrupt(const struct kit *kit, uint64_t version)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "model-%04llu.bin", (unsigned long long)version);
    size_t len;
    const char *path = kit_path(kit->folder, name);
    char *bytes = kit_read_file(path, &len);
    bytes[len / 2] = (char)(bytes[len / 2] ^ 0x40);
    CHECK_OK(file_write_atomic(path, bytes, len, 0600));
}

TEST(a_setting_by_hand_becomes_a_version)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    double before = says(&kit);
    teach_by_hand(&kit, 6);
    struct climate_model_info info = climate_model_info_get(kit.climate);
    NOTE("version %llu, said %g", (unsigned long long)info.version, before);
    CHECK(info.version > 1);
    CHECK(info.previous_version >= 1 && info.previous_version < info.version);
    CHECK_EQ(info.samples_people, 6);
    CHECK_STR(info.origin, "learned");
    CHECK(info.trained_at_ms > T0);
    CHECK(info.error_pct > 5 && info.error_pct < 90);
    CHECK(says(&kit) < before - 20);
    CHECK_EQ(kit_stats(&kit)->samples_people, 6);
    CHECK(kit_stats(&kit)->models_adopted >= 3);
    CHECK_EQ(kit_audit_count(&kit, "climate.model.adopt") +
                 kit_audit_count(&kit, "climate.model.discard"),
             (int)(kit_stats(&kit)->models_adopted + kit_stats(&kit)->models_discarded));
    /* The same after a restart. */
    reopen(&kit);
    CHECK_STR(kit.why, "");
    CHECK_EQ(climate_model_info_get(kit.climate).version, info.version);
    CHECK_EQ(climate_model_info_get(kit.climate).previous_version, info.previous_version);
    CHECK_NEAR(climate_model_info_get(kit.climate).error_pct, info.error_pct, 1e-9);
    CHECK_STR(climate_model_info_get(kit.climate).origin, "learned");
    kit_close(&kit);
}

static void take_points(void *cookie, enum err err, const struct climate_error_point *points,
                        size_t count)
{
    struct kit *kit = cookie;
    CHECK_OK(err);
    kit->points = count;
    memcpy(kit->point, points, count * sizeof(*points));
}

TEST(errors_over_time_fall)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    teach_by_hand(&kit, 12);
    CHECK_OK(climate_errors_read(kit.climate, 0, 0, 30, take_points, &kit));
    kit_settle(&kit);
    CHECK_EQ(kit.points, 12);
    CHECK_EQ(kit.point[0].version, 1);
    CHECK(kit.point[0].error_pct > 50);
    CHECK(kit.point[11].error_pct < 25);
    CHECK(kit.point[11].at_ms > kit.point[0].at_ms);
    CHECK_OK(climate_errors_read(kit.climate, 0, 0, 3, take_points, &kit));
    kit_settle(&kit);
    CHECK_EQ(kit.points, 3); /* the newest three */
    CHECK(kit.point[0].error_pct < 50);
    kit_close(&kit);
}

TEST(our_own_commands_and_failures_teach_nothing)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    kit_readings(&kit, 24, 45, 0.02);
    CHECK(kit_board(&kit, QUEUE_COMPLETE));
    CHECK_OK(queue_submit(kit.queue,
                          &(struct queue_new){.kind = &kit_kind,
                                              .machine_id = W1,
                                              .command = STR("set_position"),
                                              .payload = STR("{\"position\":10}"),
                                              .execute_allowed = true,
                                              .actor = STR("account:alice")},
                          kit_ordered, &kit));
    kit_settle(&kit);
    CHECK(kit_board(&kit, QUEUE_FAILED));
    /* And a person's while the sensors are silent. */
    kit_pass(&kit, HOUR);
    kit_set_by_hand(&kit, 10);
    CHECK_EQ(kit_stats(&kit)->samples_people, 0);
    CHECK_EQ(climate_model_info_get(kit.climate).version, 1);
    kit_close(&kit);
}

TEST(the_way_back)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    CHECK_ERR(climate_rollback(kit.climate, STR("account:alice"), "r1", kit_done, &kit),
              ERR_NOT_FOUND);
    double shipped = says(&kit);
    teach_by_hand(&kit, 5);
    uint64_t learned = climate_model_info_get(kit.climate).version;
    int back = 0;
    while (climate_model_info_get(kit.climate).version != 1) {
        uint64_t previous = climate_model_info_get(kit.climate).previous_version;
        kit.calls = 0;
        CHECK_OK(climate_rollback(kit.climate, STR("account:alice"), "r1", kit_done, &kit));
        CHECK_ERR(climate_rollback(kit.climate, STR("account:alice"), "r1", kit_done, &kit),
                  ERR_CONFLICT);
        kit_settle(&kit);
        CHECK_EQ(kit.calls, 1);
        CHECK_OK(kit.err);
        CHECK_EQ(climate_model_info_get(kit.climate).version, previous);
        CHECK_STR(climate_model_info_get(kit.climate).origin, "rolled back");
        back++;
    }
    CHECK_NEAR(says(&kit), shipped, 1e-9);
    CHECK_EQ(kit_audit_count(&kit, "climate.model.rollback"), back);
    /* It stays so. */
    reopen(&kit);
    CHECK_EQ(climate_model_info_get(kit.climate).version, 1);
    CHECK_STR(climate_model_info_get(kit.climate).origin, "rolled back");
    /* What it had learned is not learned again, and a new version has a new number. */
    kit_pass(&kit, HOUR);
    kit_readings(&kit, 20, 40, 0.02);
    kit_set_by_hand(&kit, 30);
    CHECK(climate_model_info_get(kit.climate).version > learned);
    CHECK_NEAR(says(&kit), shipped, 12);
    CHECK_STR(climate_model_info_get(kit.climate).origin, "learned");
    kit_close(&kit);
}

TEST(a_damaged_file_gives_way_to_the_previous)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    teach_by_hand(&kit, 5);
    struct climate_model_info info = climate_model_info_get(kit.climate);
    CHECK(info.previous_version > 1);
    corrupt(&kit, info.version);
    reopen(&kit);
    NOTE("%s", kit.why);
    CHECK_EQ(climate_model_info_get(kit.climate).version, info.previous_version);
    CHECK(strstr(kit.why, "damaged") != NULL);
    CHECK(climate_model_info_get(kit.climate).previous_version < info.previous_version);
    /* All of them: the shipped one. */
    for (uint64_t version = 2; version <= info.version; version++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "model-%04llu.bin", (unsigned long long)version);
        if (path_exists(kit_path(kit.folder, name)))
            CHECK_OK(file_write_atomic(kit_path(kit.folder, name), "no", 2, 0600));
    }
    reopen(&kit);
    CHECK_EQ(climate_model_info_get(kit.climate).version, 1);
    CHECK(strstr(kit.why, "too short") != NULL);
    /* And the next version is still a new one. */
    teach_by_hand(&kit, 2);
    CHECK(climate_model_info_get(kit.climate).version > info.version);
    kit_close(&kit);
}

TEST(a_damaged_preset_alone_leaves_no_model_but_a_sentence)
{
    struct kit kit;
    const char *path = kit_preset();
    CHECK_OK(file_write_atomic(path, "AMWINDOW and no more", 20, 0600));
    kit_open(&kit, &(struct climate_options){.model_preset = path});
    CHECK(strstr(kit.why, "shipped") != NULL);
    CHECK_EQ(climate_model_info_get(kit.climate).version, 0);
    kit_close(&kit);
    kit_open(&kit, &(struct climate_options){.model_preset = kit_path(kit.folder, "gone.bin")});
    CHECK(strstr(kit.why, "no such file") != NULL);
    kit_close(&kit);
}

TEST(a_new_database_finds_the_newest_file)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    teach_by_hand(&kit, 4);
    uint64_t version = climate_model_info_get(kit.climate).version;
    kit.path = kit_path(kit_tempdir(), "another.db");
    reopen(&kit);
    CHECK_EQ(climate_model_info_get(kit.climate).version, version);
    kit_close(&kit);
}

TEST(versions_are_bounded)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    teach_by_hand(&kit, 14);
    CHECK(kit_stats(&kit)->models_adopted > 8);
    DIR *folder = opendir(kit.folder);
    int files = 0;
    while (readdir(folder) != NULL)
        files++;
    (void)closedir(folder);
    CHECK(files <= 8 + 2);
    reopen(&kit);
    CHECK_STR(kit.why, "");
    kit_close(&kit);
}

TEST(a_folder_that_cannot_be_written_keeps_the_old_model)
{
    struct kit kit;
    struct climate_options options;
    open_on_disk(&kit, &options);
    /* Where the next file should go there is a folder. */
    for (int version = 2; version < 8; version++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "model-%04d.bin/x", version);
        CHECK_OK(dir_make(kit_path(kit.folder, name), 0700));
    }
    teach_by_hand(&kit, 2);
    CHECK_EQ(climate_model_info_get(kit.climate).version, 1);
    CHECK_EQ(kit_stats(&kit)->models_unsaved, 2);
    CHECK_EQ(climate_model_info_get(kit.climate).samples_people, 0);
    teach_by_hand(&kit, 6); /* beyond the folders it learns all of them */
    CHECK(climate_model_info_get(kit.climate).version >= 8);
    CHECK_EQ(climate_model_info_get(kit.climate).samples_people, 8);
    kit_close(&kit);
}
