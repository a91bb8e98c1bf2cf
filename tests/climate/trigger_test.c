/* When to ask: pure, every rule of the table. */
#include "climate/climate_trigger.h"
#include "kit/kit.h"

#include <math.h>

#define T0 ((int64_t)1800000000000)

static void all_three(struct climate_trigger *trigger, double t, double h, double s, int64_t now_ms)
{
    climate_trigger_reading(trigger, 0, t, now_ms, now_ms);
    climate_trigger_reading(trigger, 1, h, now_ms, now_ms);
    climate_trigger_reading(trigger, 2, s, now_ms, now_ms);
}

static enum climate_due due(struct climate_trigger *trigger, int64_t now_ms)
{
    int64_t next_ms = 0;
    enum climate_due verdict = climate_trigger_due(trigger, now_ms, &next_ms);
    CHECK(verdict == CLIMATE_ASK || next_ms > now_ms);
    return verdict;
}

static void asked_at(struct climate_trigger *trigger, int64_t now_ms)
{
    *trigger = (struct climate_trigger){0};
    all_three(trigger, 21, 40, 0.02, now_ms);
    CHECK_EQ(due(trigger, now_ms), CLIMATE_ASK);
    CHECK_EQ(trigger->because, CLIMATE_START);
    climate_trigger_asked(trigger, now_ms);
}

TEST(at_the_start_it_waits_for_all_three)
{
    struct climate_trigger trigger = {0};
    CHECK_EQ(due(&trigger, T0), CLIMATE_MISSING);
    climate_trigger_reading(&trigger, 0, 21, T0, T0);
    climate_trigger_reading(&trigger, 1, 40, T0, T0);
    CHECK_EQ(due(&trigger, T0 + 5), CLIMATE_MISSING);
    climate_trigger_reading(&trigger, 2, 0.02, T0 + 9, T0 + 9);
    CHECK_EQ(due(&trigger, T0 + 9), CLIMATE_ASK);
    CHECK_STR(climate_because_name(trigger.because), "start");
}

TEST(each_feature_has_its_threshold)
{
    const double base[] = {21, 40, 0.02}, below[] = {21.29, 41.9, 0.02 * 1.40};
    const double beyond[] = {21.31, 42.1, 0.02 * 1.42};
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        for (int over = 0; over < 2; over++) {
            struct climate_trigger trigger;
            double value[] = {base[0], base[1], base[2]};
            value[i] = over ? beyond[i] : below[i];
            NOTE("feature %d, over %d", i, over);
            asked_at(&trigger, T0);
            all_three(&trigger, value[0], value[1], value[2], T0 + 60000);
            CHECK_EQ(due(&trigger, T0 + 60000), over ? CLIMATE_ASK : CLIMATE_NOT_YET);
            CHECK(!over || trigger.because == CLIMATE_CHANGE);
        }
    }
}

TEST(a_trembling_value_asks_once)
{
    struct climate_trigger trigger;
    int questions = 0;
    asked_at(&trigger, T0);
    /* Up by one threshold, then to and fro by just as much for four minutes. */
    for (int i = 1; i <= 24; i++) {
        int64_t now_ms = T0 + (int64_t)i * 11000;
        all_three(&trigger, i % 2 == 1 ? 21.3 : 21.0, 40, 0.02, now_ms);
        if (due(&trigger, now_ms) != CLIMATE_ASK)
            continue;
        climate_trigger_asked(&trigger, now_ms);
        questions++;
    }
    CHECK_EQ(questions, 1);
    /* Further back it does count. */
    all_three(&trigger, 20.8, 40, 0.02, T0 + 290000);
    CHECK_EQ(due(&trigger, T0 + 290000), CLIMATE_ASK);
}

TEST(never_more_often_than_the_interval)
{
    struct climate_trigger trigger;
    int64_t next_ms;
    asked_at(&trigger, T0);
    all_three(&trigger, 25, 40, 0.02, T0 + 1);
    CHECK_EQ(climate_trigger_due(&trigger, T0 + 1, &next_ms), CLIMATE_NOT_YET);
    CHECK_EQ(next_ms, T0 + climate_rules.interval_min_ms);
    CHECK_EQ(due(&trigger, T0 + climate_rules.interval_min_ms - 1), CLIMATE_NOT_YET);
    CHECK_EQ(due(&trigger, T0 + climate_rules.interval_min_ms), CLIMATE_ASK);
}

TEST(a_change_that_goes_back_before_it_was_asked_about_is_none)
{
    struct climate_trigger trigger;
    asked_at(&trigger, T0);
    all_three(&trigger, 25, 40, 0.02, T0 + 1000);
    CHECK_EQ(due(&trigger, T0 + 1000), CLIMATE_NOT_YET);
    all_three(&trigger, 21, 40, 0.02, T0 + 5000);
    CHECK_EQ(due(&trigger, T0 + 15000), CLIMATE_NOT_YET);
    CHECK(!trigger.wanted);
}

TEST(without_a_change_the_age_asks)
{
    struct climate_trigger trigger;
    int64_t next_ms;
    asked_at(&trigger, T0);
    all_three(&trigger, 21, 40, 0.02, T0 + climate_rules.age_max_ms - 1);
    CHECK_EQ(climate_trigger_due(&trigger, T0 + climate_rules.age_max_ms - 1, &next_ms),
             CLIMATE_NOT_YET);
    CHECK_EQ(next_ms, T0 + climate_rules.age_max_ms);
    CHECK_EQ(due(&trigger, T0 + climate_rules.age_max_ms), CLIMATE_ASK);
    CHECK_STR(climate_because_name(trigger.because), "age");
}

TEST(a_stale_value_is_a_missing_one)
{
    struct climate_trigger trigger;
    int64_t late = T0 + climate_rules.age_max_ms;
    asked_at(&trigger, T0);
    climate_trigger_reading(&trigger, 0, 21, late, late);
    climate_trigger_reading(&trigger, 1, 40, late, late);
    CHECK_EQ(due(&trigger, late), CLIMATE_MISSING); /* sound is 5 min old */
    climate_trigger_reading(&trigger, 2, 0.02, late - climate_rules.feature[2].fresh_ms - 1, late);
    CHECK_EQ(due(&trigger, late), CLIMATE_MISSING);
    climate_trigger_reading(&trigger, 2, 0.02, late - climate_rules.feature[2].fresh_ms, late);
    CHECK_EQ(due(&trigger, late), CLIMATE_ASK);
}

TEST(three_messages_of_one_moment_make_one_question)
{
    struct climate_trigger trigger;
    asked_at(&trigger, T0);
    int64_t now_ms = T0 + 30000;
    climate_trigger_reading(&trigger, 0, 22, now_ms, now_ms);
    CHECK_EQ(due(&trigger, now_ms), CLIMATE_NOT_YET);
    climate_trigger_reading(&trigger, 1, 45, now_ms + 3, now_ms + 3);
    CHECK_EQ(due(&trigger, now_ms + 3), CLIMATE_NOT_YET);
    climate_trigger_reading(&trigger, 2, 0.04, now_ms + 5, now_ms + 5);
    CHECK_EQ(due(&trigger, now_ms + 5), CLIMATE_ASK); /* nothing more to wait for */
    climate_trigger_asked(&trigger, now_ms + 5);
    CHECK_EQ(due(&trigger, now_ms + 20000), CLIMATE_NOT_YET);
}

TEST(one_sensor_alone_waits_a_quarter_of_a_second)
{
    struct climate_trigger trigger;
    int64_t next_ms, now_ms = T0 + 30000;
    asked_at(&trigger, T0);
    climate_trigger_reading(&trigger, 0, 22, now_ms, now_ms);
    CHECK_EQ(climate_trigger_due(&trigger, now_ms, &next_ms), CLIMATE_NOT_YET);
    CHECK_EQ(next_ms, now_ms + climate_rules.gather_ms);
    CHECK_EQ(due(&trigger, next_ms), CLIMATE_ASK);
}

TEST(values_at_their_own_pace_are_not_waited_for)
{
    struct climate_trigger trigger;
    asked_at(&trigger, T0);
    /* The microphone speaks on its own, five seconds after the other two. */
    for (int64_t at = T0 + 15000; at <= T0 + 45000; at += 10000) {
        climate_trigger_reading(&trigger, 0, 21, at, at);
        climate_trigger_reading(&trigger, 1, 40, at, at);
        climate_trigger_reading(&trigger, 2, 0.02, at + 5000, at + 5000);
    }
    int64_t now_ms = T0 + 55000;
    climate_trigger_reading(&trigger, 0, 22, now_ms, now_ms);
    CHECK_EQ(due(&trigger, now_ms), CLIMATE_NOT_YET); /* humidity comes with it */
    climate_trigger_reading(&trigger, 1, 40, now_ms + 2, now_ms + 2);
    CHECK_EQ(due(&trigger, now_ms + 2), CLIMATE_ASK);
    climate_trigger_asked(&trigger, now_ms + 2);
    climate_trigger_reading(&trigger, 2, 0.08, now_ms + 15000, now_ms + 15000);
    CHECK_EQ(due(&trigger, now_ms + 15000), CLIMATE_ASK);
}

TEST(a_clock_that_jumps_stops_nothing)
{
    struct climate_trigger trigger;
    asked_at(&trigger, T0);
    /* Back by a day: what lies ahead counts as long ago. */
    int64_t back = T0 - 86400000;
    CHECK_EQ(due(&trigger, back), CLIMATE_MISSING);
    climate_trigger_reading(&trigger, 0, 21, back, back); /* older than what is there: not taken */
    trigger = (struct climate_trigger){.ever_asked = true, .asked_at_ms = T0};
    all_three(&trigger, 21, 40, 0.02, back);
    CHECK_EQ(due(&trigger, back), CLIMATE_ASK);
    /* Ahead by a day: stale, until something arrives. */
    asked_at(&trigger, T0);
    CHECK_EQ(due(&trigger, T0 + 86400000), CLIMATE_MISSING);
    all_three(&trigger, 21, 40, 0.02, T0 + 86400000);
    CHECK_EQ(due(&trigger, T0 + 86400000), CLIMATE_ASK);
}

TEST(what_is_no_number_or_older_is_not_taken)
{
    struct climate_trigger trigger = {0};
    climate_trigger_reading(&trigger, 0, NAN, T0, T0);
    CHECK_EQ(trigger.at_ms[0], 0);
    climate_trigger_reading(&trigger, 0, 21, T0, T0);
    climate_trigger_reading(&trigger, 0, 30, T0 - 1, T0 + 5);
    CHECK_NEAR(trigger.value[0], 21, 0);
    climate_trigger_reading(&trigger, 0, 22, T0 + 99999, T0 + 10); /* its clock runs ahead */
    CHECK_EQ(trigger.at_ms[0], T0 + 10);
    CHECK_EQ(climate_feature_find(STR("co2")), -1);
    CHECK_EQ(climate_feature_find(STR("humidity")), 1);
}
