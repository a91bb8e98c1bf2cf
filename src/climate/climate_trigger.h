/* climate_trigger: when to ask for a window position.  Pure: time is a parameter.
 *
 * All thresholds are in one table, climate_rules (README rule 2). */
#ifndef AUTOMAT_CLIMATE_TRIGGER_H
#define AUTOMAT_CLIMATE_TRIGGER_H

#include "climate/climate.h"

struct climate_feature_rule {
    const char *type; /* of the reading */
    double change;    /* since the last question, that is worth another */
    bool decibel;     /* an amplitude: its change is counted in dB, as it is heard */
    int64_t fresh_ms; /* older than this is a missing value */
};
struct climate_rules {
    struct climate_feature_rule feature[CLIMATE_FEATURES];
    double turn;             /* a change back needs so many times as much */
    int64_t interval_min_ms; /* between two questions */
    int64_t age_max_ms;      /* then ask without a change */
    int64_t gather_ms;       /* so long a change waits for the values that came with it last time */
    int64_t answer_ms;       /* so long a service outside may think */
    double deadband_pct;     /* a smaller move is none */
    int64_t person_ms;       /* so long what a person set stays, and counts as the better answer */
};
extern const struct climate_rules climate_rules;

enum climate_because { CLIMATE_START, CLIMATE_CHANGE, CLIMATE_AGE, CLIMATE_UNASKED };
const char *climate_because_name(enum climate_because because); /* "start", "change", "age", ... */

struct climate_trigger {
    double value[CLIMATE_FEATURES];
    int64_t at_ms[CLIMATE_FEATURES];       /* 0: never */
    int64_t received_ms[CLIMATE_FEATURES]; /* when the server had it */
    bool expected[CLIMATE_FEATURES];       /* to come together with the newest reading */
    double asked[CLIMATE_FEATURES];        /* what the last question said */
    int8_t direction[CLIMATE_FEATURES];    /* the change that led to it went up (1), down (-1) */
    bool ever_asked;
    int64_t asked_at_ms;
    bool wanted; /* a question is due, but for what it waits for */
    enum climate_because because;
    int64_t wanted_at_ms;
    bool missing_counted;
};

/* dB below full scale; quieter than CLIMATE_SILENCE is silence. */
#define CLIMATE_SILENCE 1e-4
double climate_decibel(double amplitude);

/* -1: not a type this room looks at. */
int climate_feature_find(struct str type);
/* Older than what is there: nothing. */
void climate_trigger_reading(struct climate_trigger *trigger, int feature, double value,
                             int64_t at_ms, int64_t now_ms);

enum climate_due { CLIMATE_NOT_YET, CLIMATE_MISSING, CLIMATE_ASK };
/* CLIMATE_NOT_YET and _MISSING: `ret_next_ms` is when to look again (INT64_MAX: at the next
 * reading). */
enum climate_due climate_trigger_due(struct climate_trigger *trigger, int64_t now_ms,
                                     int64_t *ret_next_ms);
/* The question was put. */
void climate_trigger_asked(struct climate_trigger *trigger, int64_t now_ms);
/* All three known and fresh. */
bool climate_trigger_features(const struct climate_trigger *trigger, int64_t now_ms,
                              struct climate_features *ret_features);

#endif
