/* The loop closed: the simulated room, its sensors, the real climate room with telemetry, queue and
 * database, a board that does what it is told, and the window in the room again. */
#ifndef AUTOMAT_TESTS_LOOP_KIT_H
#define AUTOMAT_TESTS_LOOP_KIT_H

#include "climate/teach_int.h"
#include "climate_kit.h"

/* The thermostats that were best on the training seeds: all of a grid of thresholds and openings
 * was tried (climate_thermostat_tune; loop_slow tries it again). */
#define LOOP_HOUR_TUNED                                                                            \
    {                                                                                              \
        .open_above_c = 20.8, .shut_below_c = 20.6, .open_pct = 75                                 \
    }
#define LOOP_DAY_TUNED                                                                             \
    {                                                                                              \
        .open_above_c = 21.3, .shut_below_c = 21.1, .open_pct = 100                                \
    }

#define LOOP_PRESET AUTOMAT_SOURCE_DIR "/models/window/preset.bin"

/* What model and thermostat differ by, in points of the time in comfort. */
struct difference {
    double sum, squares;
    uint32_t count;
};
static inline void difference_add(struct difference *difference, double ours, double theirs)
{
    double points = 100 * (ours - theirs);
    difference->sum += points;
    difference->squares += points * points;
    difference->count++;
}
static inline double difference_mean(const struct difference *difference)
{
    return difference->sum / difference->count;
}
/* Of the mean. */
static inline double difference_error(const struct difference *difference)
{
    double n = difference->count, mean = difference_mean(difference);
    return sqrt((difference->squares - n * mean * mean) / (n - 1) / n);
}
static inline void difference_note(const char *what, const struct difference *difference)
{
    NOTE("%s: %+.2f points, standard error %.2f, n %u", what, difference_mean(difference),
         difference_error(difference), difference->count);
}

/* Share in comfort of one run, steered by the whole room. */
static inline double whole_room(uint64_t seed, uint32_t hours, struct climate_stats *ret_stats)
{
    struct window_comfort_total total = {0};
    struct sim sim;
    struct kit kit;
    double target = 0;
    climate_sim_begin(&sim, seed, hours);
    kit_open(&kit, &(struct climate_options){.model_preset = LOOP_PRESET});
    CHECK_STR(kit.why, "");
    CHECK_OK(climate_window_add(kit.climate, W1));
    /* It begins shut, and the room knows. */
    kit_set_by_hand(&kit, 0);
    CHECK_OK(climate_mode_set(kit.climate, W1, CLIMATE_AUTO, STR("account:alice"), NULL, kit_done,
                              &kit));
    kit_settle(&kit);
    while (!climate_sim_over(&sim)) {
        struct climate_features features = climate_sim_sense(&sim);
        kit_readings(&kit, features.temperature_c, features.humidity_pct, features.sound_volume);
        while (kit_board(&kit, QUEUE_COMPLETE))
            target = kit_window(&kit).position_pct;
        climate_sim_step(&sim, target, &total);
        kit_pass(&kit, SENSE_MS);
    }
    *ret_stats = *kit_stats(&kit);
    CHECK_EQ(ret_stats->unrecorded, 0);
    CHECK_EQ(ret_stats->refused, 0);
    kit_close(&kit);
    return window_comfort_share(&total);
}

static inline struct climate_model *loop_preset(void)
{
    char why[CLIMATE_MODEL_WHY_BYTES] = "";
    struct climate_model *model = NULL;
    enum err err = climate_model_load(LOOP_PRESET, why, sizeof(why), &model);
    NOTE("%s", why);
    CHECK_OK(err);
    return model;
}

#endif
