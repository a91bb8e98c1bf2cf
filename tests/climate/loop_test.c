/* Is the room as comfortable over an hour as with a good thermostat, and more over a day, on
 * weather that nothing was trained on?  Over an hour no more is true: bench/results/climate.md. */
#include "loop_kit.h"

#define SEEDS 20

TEST(over_an_hour_the_room_is_no_worse_than_with_a_thermostat)
{
    struct climate_thermostat thermostat = LOOP_HOUR_TUNED;
    struct climate_controller other = climate_thermostat_controller(&thermostat);
    struct difference difference = {0};
    uint64_t commands = 0;
    for (uint64_t seed = CLIMATE_SEED_TEST; seed < CLIMATE_SEED_TEST + SEEDS; seed++) {
        struct climate_stats stats;
        double ours = whole_room(seed, 1, &stats);
        difference_add(&difference, ours,
                       climate_run_judge(&(struct climate_run){seed, 1}, &other).comfort);
        commands += stats.commands;
        CHECK(stats.requests > 10);
    }
    difference_note("hours", &difference);
    CHECK(commands > SEEDS);
    CHECK(difference_mean(&difference) > -2 * difference_error(&difference));
    CHECK(difference_error(&difference) < 1); /* or that would say nothing */
}

TEST(over_a_day_it_is_more_comfortable)
{
    struct climate_thermostat thermostat = LOOP_DAY_TUNED;
    struct climate_controller other = climate_thermostat_controller(&thermostat);
    struct climate_model *model = loop_preset();
    struct climate_pilot pilot = {.model = model};
    struct climate_controller steer = climate_pilot_controller(&pilot);
    struct climate_score ours = climate_runs_judge(CLIMATE_SEED_TEST, SEEDS, 24, &steer);
    struct climate_score theirs = climate_runs_judge(CLIMATE_SEED_TEST, SEEDS, 24, &other);
    NOTE("in comfort %.4f, with the thermostat %.4f", ours.comfort, theirs.comfort);
    CHECK(ours.comfort > theirs.comfort + 0.01);
    CHECK(ours.travel < theirs.travel / 3);
    climate_model_destroy(model);
}

/* What the fast clock judges is what the room does. */
TEST(the_fast_clock_and_the_whole_room_agree)
{
    struct climate_model *model = loop_preset();
    struct climate_pilot pilot = {.model = model};
    struct climate_controller steer = climate_pilot_controller(&pilot);
    for (uint64_t seed = CLIMATE_SEED_TEST; seed < CLIMATE_SEED_TEST + 4; seed++) {
        struct climate_stats stats;
        double whole = whole_room(seed, 3, &stats);
        double fast = climate_run_judge(&(struct climate_run){seed, 3}, &steer).comfort;
        NOTE("seed %llu: %.4f, %.4f", (unsigned long long)seed, whole, fast);
        CHECK_NEAR(whole, fast, 0.02);
    }
    climate_model_destroy(model);
}

TEST(the_same_seed_is_the_same_hour)
{
    struct climate_stats a, b;
    CHECK_NEAR(whole_room(5, 1, &a), whole_room(5, 1, &b), 0);
    CHECK_EQ(a.requests, b.requests);
    CHECK_EQ(a.commands, b.commands);
}
