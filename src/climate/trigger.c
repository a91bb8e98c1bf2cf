/* When to ask.
 *
 *     idle --change, age or start--> wanted --interval over, values fresh, gathered--> asked = idle
 *
 * Changes are measured against what the last question said, so a value that trembles around a
 * threshold asks once; and one that turns back has to go further than one that goes on. */
#include "climate/climate_trigger.h"

#include <math.h>

const struct climate_rules climate_rules = {
    .feature = {{"temperature", 0.3, false, 180000},
                {"humidity", 2.0, false, 180000},
                {"sound_volume", 3.0, true, 180000}},
    .turn = 1.5,
    .interval_min_ms = 10000,
    .age_max_ms = 300000,
    .gather_ms = 250,
    .answer_ms = 2000,
    .deadband_pct = 5,
    .person_ms = (int64_t)30 * 60 * 1000,
};

const char *climate_because_name(enum climate_because because)
{
    static const char *const names[] = {"start", "change", "age", "unasked"};
    return names[because];
}

double climate_decibel(double amplitude)
{
    return 20 * log10(fmax(amplitude, CLIMATE_SILENCE));
}

int climate_feature_find(struct str type)
{
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        if (str_equal(type, str_from(climate_rules.feature[i].type)))
            return i;
    }
    return -1;
}

void climate_trigger_reading(struct climate_trigger *trigger, int feature, double value,
                             int64_t at_ms, int64_t now_ms)
{
    int64_t at = at_ms < now_ms ? at_ms : now_ms; /* a device's clock may run ahead */
    if (!isfinite(value) || at < trigger->at_ms[feature])
        return;
    /* Those that came with it last time are expected to come with it again. */
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        int64_t apart_ms = trigger->received_ms[i] - trigger->received_ms[feature];
        trigger->expected[i] = trigger->received_ms[feature] != 0 &&
                               apart_ms < climate_rules.gather_ms &&
                               apart_ms > -climate_rules.gather_ms;
    }
    trigger->value[feature] = value;
    trigger->at_ms[feature] = at;
    trigger->received_ms[feature] = now_ms;
}

/* Server time does not go back; should it ever, what lies ahead counts as long ago. */
static bool passed(int64_t since_ms, int64_t span_ms, int64_t now_ms)
{
    return now_ms < since_ms || now_ms - since_ms >= span_ms;
}

static bool fresh(const struct climate_trigger *trigger, int i, int64_t now_ms)
{
    return trigger->at_ms[i] != 0 &&
           !passed(trigger->at_ms[i], climate_rules.feature[i].fresh_ms + 1, now_ms);
}

bool climate_trigger_features(const struct climate_trigger *trigger, int64_t now_ms,
                              struct climate_features *ret_features)
{
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        if (!fresh(trigger, i, now_ms))
            return false;
    }
    *ret_features =
        (struct climate_features){trigger->value[0], trigger->value[1], trigger->value[2]};
    return true;
}

static double change_of(const struct climate_trigger *trigger, int i)
{
    if (!climate_rules.feature[i].decibel)
        return trigger->value[i] - trigger->asked[i];
    return climate_decibel(trigger->value[i]) - climate_decibel(trigger->asked[i]);
}

static bool moved(const struct climate_trigger *trigger, int i)
{
    double change = change_of(trigger, i);
    int direction = change > 0 ? 1 : -1;
    bool turned = trigger->direction[i] != 0 && trigger->direction[i] != direction;
    double least = climate_rules.feature[i].change * (turned ? climate_rules.turn : 1);
    return fabs(change) >= least - 1e-9; /* 21.3 - 21.0 is a change of 0.3 */
}

static bool changed(const struct climate_trigger *trigger, int64_t now_ms)
{
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        if (fresh(trigger, i, now_ms) && moved(trigger, i))
            return true;
    }
    return false;
}

static bool wants(struct climate_trigger *trigger, int64_t now_ms)
{
    enum climate_because because;
    if (!trigger->ever_asked)
        because = CLIMATE_START;
    else if (changed(trigger, now_ms))
        because = CLIMATE_CHANGE;
    else if (passed(trigger->asked_at_ms, climate_rules.age_max_ms, now_ms))
        because = CLIMATE_AGE;
    else
        return false;
    if (!trigger->wanted)
        trigger->wanted_at_ms = now_ms;
    trigger->wanted = true;
    trigger->because = because;
    return true;
}

/* All that belong to this moment came: nothing more to gather. */
static bool gathered(const struct climate_trigger *trigger, int64_t now_ms)
{
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        if (trigger->expected[i] &&
            passed(trigger->received_ms[i], climate_rules.gather_ms, now_ms))
            return passed(trigger->wanted_at_ms, climate_rules.gather_ms, now_ms);
    }
    return true;
}

enum climate_due climate_trigger_due(struct climate_trigger *trigger, int64_t now_ms,
                                     int64_t *ret_next_ms)
{
    struct climate_features features;
    if (!wants(trigger, now_ms)) {
        trigger->wanted = false; /* it came back before it was asked about */
        *ret_next_ms = trigger->asked_at_ms + climate_rules.age_max_ms;
        return CLIMATE_NOT_YET;
    }
    *ret_next_ms = trigger->asked_at_ms + climate_rules.interval_min_ms;
    if (trigger->ever_asked && !passed(trigger->asked_at_ms, climate_rules.interval_min_ms, now_ms))
        return CLIMATE_NOT_YET;
    if (!climate_trigger_features(trigger, now_ms, &features)) {
        *ret_next_ms = INT64_MAX;
        return CLIMATE_MISSING;
    }
    *ret_next_ms = trigger->wanted_at_ms + climate_rules.gather_ms;
    if (trigger->because == CLIMATE_CHANGE && !gathered(trigger, now_ms))
        return CLIMATE_NOT_YET;
    return CLIMATE_ASK;
}

void climate_trigger_asked(struct climate_trigger *trigger, int64_t now_ms)
{
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        double change = change_of(trigger, i);
        if (trigger->ever_asked && moved(trigger, i))
            trigger->direction[i] = change > 0 ? 1 : -1;
        trigger->asked[i] = trigger->value[i];
    }
    trigger->ever_asked = true;
    trigger->asked_at_ms = now_ms;
    trigger->wanted = false;
    trigger->missing_counted = false;
}
