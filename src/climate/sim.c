/* The room on a fast clock, and who steers it. */
#include "climate/teach_int.h"

#include <math.h>
#include <string.h>

#define EPOCH_MS ((int64_t)1750000000000) /* any moment: triggers want a time that is not zero */

void climate_sim_begin(struct sim *sim, uint64_t seed, uint32_t hours)
{
    struct window_weather weather;
    *sim = (struct sim){.position_pct = 0};
    rng_init(&sim->sense, seed ^ 0x5eed);
    /* A whole day has an hour before the first guest and one after the last. */
    uint32_t from = hours >= 12 ? 6 : 8 + (uint32_t)(seed % 10);
    uint32_t span = hours >= 12 ? 14 : hours;
    window_weather_init(&weather, seed);
    window_room_init(&sim->room, &weather, seed, from, NULL);
    sim->end_ms = sim->room.now_ms + span * WINDOW_HOUR_MS;
}

int64_t climate_sim_now_ms(const struct sim *sim)
{
    return EPOCH_MS + (int64_t)sim->room.now_ms;
}

bool climate_sim_over(const struct sim *sim)
{
    return sim->room.now_ms >= sim->end_ms;
}

struct climate_features climate_sim_sense(struct sim *sim)
{
    struct window_sense sense = window_room_sense(&sim->room, &sim->sense);
    return (struct climate_features){sense.temperature_c, sense.humidity_pct, sense.sound_volume};
}

void climate_sim_step(struct sim *sim, double target_pct, struct window_comfort_total *total)
{
    sim->moves += target_pct != sim->target_pct;
    sim->target_pct = target_pct;
    double way = target_pct - sim->position_pct;
    double most = SPEED_PCT_S * CLIMATE_SENSE_S;
    double moved = fabs(way) > most ? copysign(most, way) : way;
    /* Its mean opening while it moves and rests. */
    double moving_s = fabs(moved) / SPEED_PCT_S;
    double mean = sim->position_pct + moved * (1 - moving_s / (2 * CLIMATE_SENSE_S));
    sim->position_pct += moved;
    sim->travel_pct += fabs(moved);
    window_room_step(&sim->room, mean / 100, SENSE_MS);
    if (total != NULL)
        window_comfort_add(total, &sim->room, SENSE_MS);
}

/* ---- judging ---- */

struct climate_score climate_run_judge(const struct climate_run *run,
                                       const struct climate_controller *controller)
{
    struct window_comfort_total total = {0};
    struct sim sim;
    climate_sim_begin(&sim, run->seed, run->hours);
    controller->begin(controller->self);
    while (!climate_sim_over(&sim)) {
        struct climate_features features = climate_sim_sense(&sim);
        double target = controller->position(controller->self, &features, climate_sim_now_ms(&sim),
                                             sim.target_pct);
        climate_sim_step(&sim, target, &total);
    }
    double counted = fmax(total.counted_s, 1);
    return (struct climate_score){.comfort = window_comfort_share(&total),
                                  .temperature = total.temperature_s / counted,
                                  .humidity = total.humidity_s / counted,
                                  .air = total.co2_s / counted,
                                  .sound = total.sound_s / counted,
                                  .cost = total.cost_s / counted,
                                  .moves = sim.moves,
                                  .travel = sim.travel_pct / 100,
                                  .heating_kwh = sim.room.heating_j / 3.6e6};
}

struct climate_score climate_runs_judge(uint64_t first, uint32_t count, uint32_t hours,
                                        const struct climate_controller *controller)
{
    struct climate_score mean = {0};
    double moves = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct climate_score score =
            climate_run_judge(&(struct climate_run){first + i, hours}, controller);
        mean.comfort += score.comfort / count;
        mean.temperature += score.temperature / count;
        mean.humidity += score.humidity / count;
        mean.air += score.air / count;
        mean.sound += score.sound / count;
        mean.cost += score.cost / count;
        mean.travel += score.travel / count;
        mean.heating_kwh += score.heating_kwh / count;
        moves += score.moves;
    }
    mean.moves = (uint32_t)(moves / fmax(count, 1) + 0.5);
    return mean;
}

/* ---- the model steers ---- */

static void pilot_begin(void *self)
{
    struct climate_pilot *pilot = self;
    pilot->trigger = (struct climate_trigger){0};
}

static double pilot_position(void *self, const struct climate_features *features, int64_t now_ms,
                             double target_pct)
{
    struct climate_pilot *pilot = self;
    const double value[CLIMATE_FEATURES] = {features->temperature_c, features->humidity_pct,
                                            features->sound_volume};
    double least = pilot->confidence_min > 0 ? pilot->confidence_min : 0.6;
    int64_t next_ms;
    for (int i = 0; i < CLIMATE_FEATURES; i++)
        climate_trigger_reading(&pilot->trigger, i, value[i], now_ms, now_ms);
    if (climate_trigger_due(&pilot->trigger, now_ms, &next_ms) != CLIMATE_ASK)
        return target_pct;
    climate_trigger_asked(&pilot->trigger, now_ms);
    struct climate_answer answer = climate_model_ask(pilot->model, features);
    pilot->questions++;
    if (!(answer.confidence >= least)) {
        pilot->held++;
        return target_pct;
    }
    double position = round(answer.position_pct);
    return fabs(position - target_pct) < climate_rules.deadband_pct ? target_pct : position;
}

struct climate_controller climate_pilot_controller(struct climate_pilot *pilot)
{
    return (struct climate_controller){pilot_position, pilot_begin, pilot};
}

/* ---- a thermostat steers ---- */

static void thermostat_begin(void *self)
{
    ((struct climate_thermostat *)self)->is_open = false;
}

static double thermostat_position(void *self, const struct climate_features *features,
                                  int64_t now_ms, double target_pct)
{
    struct climate_thermostat *thermostat = self;
    (void)now_ms;
    (void)target_pct;
    if (features->temperature_c > thermostat->open_above_c)
        thermostat->is_open = true;
    if (features->temperature_c < thermostat->shut_below_c)
        thermostat->is_open = false;
    return thermostat->is_open ? thermostat->open_pct : 0;
}

struct climate_controller climate_thermostat_controller(struct climate_thermostat *thermostat)
{
    return (struct climate_controller){thermostat_position, thermostat_begin, thermostat};
}

struct climate_thermostat climate_thermostat_tune(uint64_t first, uint32_t count, uint32_t hours,
                                                  bool (*progress)(void *cookie, const char *what,
                                                                   uint32_t done, uint32_t all),
                                                  void *cookie)
{
    static const double above[] = {20.8, 21.1, 21.3, 21.5, 21.7, 21.9, 22.2, 22.6, 23.0, 23.5};
    static const double band[] = {0.1, 0.2, 0.4, 0.7, 1.1, 1.6};
    static const double opening[] = {15, 25, 35, 50, 75, 100};
    const uint32_t all = ARRAY_COUNT(above) * ARRAY_COUNT(band) * ARRAY_COUNT(opening);
    struct climate_thermostat best = {0};
    double best_comfort = -1;
    for (uint32_t i = 0; i < all; i++) {
        struct climate_thermostat next = {.open_above_c = above[i % ARRAY_COUNT(above)]};
        uint32_t rest = i / ARRAY_COUNT(above);
        next.shut_below_c = next.open_above_c - band[rest % ARRAY_COUNT(band)];
        next.open_pct = opening[rest / ARRAY_COUNT(band)];
        struct climate_controller controller = climate_thermostat_controller(&next);
        double comfort = climate_runs_judge(first, count, hours, &controller).comfort;
        if (comfort > best_comfort) {
            best_comfort = comfort;
            best = next;
        }
        if (progress != NULL && !progress(cookie, "tuning the thermostat", i + 1, all))
            break;
    }
    best.is_open = false;
    return best;
}
