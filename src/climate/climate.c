/* The room: windows, time, readings in, and looking. */
#include "climate/climate_int.h"

#include <math.h>
#include <string.h>

#define CONFIDENCE_MIN 0.6

static const double confidence_bounds[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};

int64_t climate_now_ms(const struct climate *climate)
{
    return climate->options.wall_ms(climate->options.clock);
}

int64_t climate_now_us(const struct climate *climate)
{
    return climate->options.mono_us != NULL ? climate->options.mono_us(climate->options.clock)
                                            : climate_now_ms(climate) * 1000;
}

/* ---- windows ---- */

/* Where it is, or would be. */
static uint32_t window_place(const struct climate *climate, struct str machine_id)
{
    uint32_t low = 0, high = climate->window_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct str there = str_from(climate->window[middle]->machine_id);
        size_t len = there.len < machine_id.len ? there.len : machine_id.len;
        int order = memcmp(there.at, machine_id.at, len);
        if (order < 0 || (order == 0 && there.len < machine_id.len))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct watched *climate_window_find(const struct climate *climate, struct str machine_id)
{
    if (machine_id.len == 0)
        return NULL;
    uint32_t place = window_place(climate, machine_id);
    if (place == climate->window_count ||
        !str_equal(str_from(climate->window[place]->machine_id), machine_id))
        return NULL;
    return climate->window[place];
}

static bool window_room(struct climate *climate)
{
    if (climate->window_count < climate->window_cap)
        return true;
    uint32_t cap = climate->window_cap != 0 ? climate->window_cap * 2 : 8;
    if (cap > WINDOWS_MAX)
        return false;
    struct watched **grown = mem_realloc(climate->window, cap * sizeof(struct watched *));
    if (grown == NULL)
        return false;
    climate->window = grown;
    climate->window_cap = cap;
    return true;
}

struct watched *climate_window_ensure(struct climate *climate, struct str machine_id)
{
    struct watched *window = climate_window_find(climate, machine_id);
    if (window != NULL || !id_valid(machine_id) || !window_room(climate))
        return window;
    window = mem_zalloc(sizeof(*window));
    if (window == NULL)
        return NULL;
    enum err err = str_copy(window->machine_id, sizeof(window->machine_id), machine_id);
    ASSERT(err == ERR_OK); /* a valid id fits */
    window->position_pct = NAN;
    uint32_t place = window_place(climate, machine_id);
    memmove(&climate->window[place + 1], &climate->window[place],
            (climate->window_count - place) * sizeof(struct watched *));
    climate->window[place] = window;
    climate->window_count++;
    return window;
}

static bool take_latest(void *cookie, const struct telemetry_latest *latest)
{
    struct watched *window = cookie;
    int feature = climate_feature_find(str_from(latest->type));
    if (feature >= 0)
        climate_trigger_reading(&window->trigger, feature, latest->value, latest->at_ms,
                                latest->received_at_ms);
    return true;
}

enum err climate_window_add(struct climate *climate, struct str machine_id)
{
    if (!id_valid(machine_id))
        return ERR_INPUT;
    struct watched *window = climate_window_ensure(climate, machine_id);
    if (window == NULL)
        return climate->window_count >= WINDOWS_MAX ? ERR_FULL : ERR_NOMEM;
    if (window->present)
        return ERR_OK;
    window->present = true;
    telemetry_latest_each(climate->options.telemetry, machine_id, take_latest, window);
    climate_window_consider(climate, window);
    return ERR_OK;
}

void climate_window_remove(struct climate *climate, struct str machine_id)
{
    struct watched *window = climate_window_find(climate, machine_id);
    if (window == NULL)
        return;
    climate_ask_drop(window);
    window->present = false;
    window->trigger = (struct climate_trigger){0};
}

/* ---- time ---- */

void climate_plan(struct climate *climate, int64_t due_ms)
{
    if (due_ms >= climate->due_ms)
        return;
    climate->due_ms = due_ms;
    if (climate->timer == NULL)
        return;
    int64_t wait_ms = due_ms - climate_now_ms(climate);
    loop_timer_set(climate->timer,
                   loop_now_ms(climate->options.loop) + (wait_ms > 0 ? wait_ms : 0));
}

/* From when the latency of a command counts: the receipt of what made the question due, but not the
 * time that the minimum interval put it off. */
static void note_trigger(struct climate *climate, struct watched *window, int64_t now_ms,
                         int64_t asked_before_ms)
{
    int64_t allowed_ms = now_ms - asked_before_ms - climate_rules.interval_min_ms;
    int64_t allowed_us = climate_now_us(climate) - allowed_ms * 1000;
    if (asked_before_ms != 0 && allowed_ms >= 0 && window->trigger_us < allowed_us)
        window->trigger_us = allowed_us;
}

void climate_window_consider(struct climate *climate, struct watched *window)
{
    int64_t now_ms = climate_now_ms(climate), next_ms = INT64_MAX;
    bool wanted = window->trigger.wanted && !window->trigger.missing_counted;
    if (climate->options.source == CLIMATE_OFF)
        return;
    enum climate_due due = climate_trigger_due(&window->trigger, now_ms, &next_ms);
    if (!wanted && window->trigger.wanted) {
        window->trigger_us = window->reading_us;
        size_t len = str_from(window->reading_request).len;
        bool fits = len < sizeof(window->trigger_request);
        if (len > 0 && fits)
            memcpy(window->trigger_request, window->reading_request, len);
        window->trigger_request[fits ? len : 0] = '\0';
    }
    if (due == CLIMATE_MISSING && !window->trigger.missing_counted) {
        window->trigger.missing_counted = true;
        climate->stats.missing_values++;
    }
    if (due == CLIMATE_ASK) {
        if (window->trigger_us != 0)
            note_trigger(climate, window, now_ms, window->trigger.asked_at_ms);
        climate_ask(climate, window, window->trigger.because);
        next_ms = now_ms + climate_rules.age_max_ms;
    }
    climate_plan(climate, next_ms);
}

int64_t climate_tick(struct climate *climate, int64_t mono_ms)
{
    int64_t now_ms = climate_now_ms(climate);
    if (climate->due_ms > now_ms && climate->due_ms - now_ms <= climate_rules.age_max_ms)
        return mono_ms + (climate->due_ms - now_ms);
    climate->due_ms = INT64_MAX;
    for (uint32_t i = 0; i < climate->window_count; i++) {
        struct watched *window = climate->window[i];
        if (!window->present)
            continue;
        if (window->question != NULL && now_ms >= window->question->answer_until_ms)
            climate_ask_expire(climate, window);
        if (window->question != NULL)
            climate_plan(climate, window->question->answer_until_ms);
        climate_window_consider(climate, window);
    }
    if (climate->due_ms == INT64_MAX)
        return mono_ms + climate_rules.age_max_ms;
    return mono_ms + (climate->due_ms > now_ms ? climate->due_ms - now_ms : 0);
}

static void timer_fired(void *cookie)
{
    struct climate *climate = cookie;
    (void)climate_tick(climate, loop_now_ms(climate->options.loop));
}

/* ---- readings ---- */

static void readings_stored(void *cookie, struct str machine_id,
                            const struct telemetry_reading *readings, uint32_t count,
                            const char *request_id)
{
    struct climate *climate = cookie;
    struct watched *window = climate_window_find(climate, machine_id);
    struct telemetry_latest latest;
    bool concerned = false;
    if (window == NULL || !window->present)
        return;
    int64_t now_ms = climate_now_ms(climate);
    window->reading_us = climate_now_us(climate);
    for (uint32_t i = 0; i < count; i++) {
        int feature = climate_feature_find(str_from(readings[i].type));
        if (feature < 0)
            continue;
        climate_trigger_reading(&window->trigger, feature, readings[i].value, readings[i].at_ms,
                                now_ms);
        if (!concerned &&
            telemetry_latest_get(climate->options.telemetry, machine_id, str_from(readings[i].type),
                                 &latest) &&
            latest.received_at_ms < now_ms) /* it waited for the disk */
            window->reading_us -= (now_ms - latest.received_at_ms) * 1000;
        concerned = true;
    }
    window->reading_request = request_id;
    if (concerned)
        climate_window_consider(climate, window);
    window->reading_us = 0;
    window->reading_request = NULL;
}

/* ---- looking ---- */

void climate_window_changed(struct climate *climate, const struct watched *window)
{
    if (climate->changed != NULL)
        climate->changed(climate->changed_cookie, str_from(window->machine_id));
}

static void show(const struct watched *window, struct climate_window *ret_window)
{
    const struct climate_trigger *trigger = &window->trigger;
    *ret_window = (struct climate_window){
        .machine_id = window->machine_id,
        .mode = window->mode,
        .has_features = trigger->at_ms[0] != 0 && trigger->at_ms[1] != 0 && trigger->at_ms[2] != 0,
        .features = {trigger->value[0], trigger->value[1], trigger->value[2]},
        .has_answer = window->has_answer,
        .answer = window->answer,
        .answer_version = window->answer_version,
        .asked_at_ms = window->asked_at_ms,
        .answered_at_ms = window->answered_at_ms,
        .decision = window->decision,
        .command_id = window->command_id,
        .position_pct = window->position_pct,
        .asked_because = window->asked_because,
    };
    memcpy(ret_window->features_at_ms, trigger->at_ms, sizeof(ret_window->features_at_ms));
}

bool climate_window_get(const struct climate *climate, struct str machine_id,
                        struct climate_window *ret_window)
{
    const struct watched *window = climate_window_find(climate, machine_id);
    if (window == NULL || !window->present)
        return false;
    show(window, ret_window);
    return true;
}

void climate_window_each(const struct climate *climate,
                         bool (*each)(void *cookie, const struct climate_window *window),
                         void *cookie)
{
    for (uint32_t i = 0; i < climate->window_count; i++) {
        struct climate_window window;
        if (!climate->window[i]->present)
            continue;
        show(climate->window[i], &window);
        if (!each(cookie, &window))
            return;
    }
}

void climate_watch(struct climate *climate, void (*changed)(void *cookie, struct str machine_id),
                   void *cookie)
{
    climate->changed = changed;
    climate->changed_cookie = cookie;
}

const struct climate_stats *climate_stats_get(const struct climate *climate)
{
    return &climate->stats;
}

/* ---- birth and end ---- */

static enum err open_all(struct climate *climate, char *why, size_t why_bytes)
{
    const struct climate_options *options = &climate->options;
    enum err err = climate_model_create(1, &climate->model);
    if (err != ERR_OK)
        return err;
    climate->sample = mem_alloc(SAMPLES_MEMORY_MAX * sizeof(*climate->sample));
    if (climate->sample == NULL)
        return ERR_NOMEM;
    if (options->model_folder != NULL)
        err = dir_make(options->model_folder, 0700);
    if (err == ERR_OK)
        err = climate_load(climate);
    if (err == ERR_OK)
        err = climate_choose_model(climate, why, why_bytes);
    if (err == ERR_OK && options->loop != NULL)
        err = loop_timer_create(options->loop, timer_fired, climate, &climate->timer);
    if (err == ERR_OK)
        err = telemetry_watch(options->telemetry, readings_stored, climate);
    return err;
}

enum err climate_create(const struct climate_options *options, char *why, size_t why_bytes,
                        struct climate **ret_climate)
{
    struct climate *climate = mem_zalloc(sizeof(*climate));
    if (climate == NULL)
        return ERR_NOMEM;
    climate->options = *options;
    climate->confidence_min =
        options->confidence_min > 0 ? options->confidence_min : CONFIDENCE_MIN;
    climate->due_ms = INT64_MAX;
    climate->origin = "untrained";
    metrics_histogram_init(&climate->stats.latency_s, metrics_latency_s, metrics_latency_s_count);
    metrics_histogram_init(&climate->stats.sensor_to_command_s, metrics_latency_s,
                           metrics_latency_s_count);
    metrics_histogram_init(&climate->stats.confidence, confidence_bounds,
                           ARRAY_COUNT(confidence_bounds));
    enum err err = open_all(climate, why, why_bytes);
    if (err != ERR_OK) {
        climate_destroy(climate);
        return err;
    }
    *ret_climate = climate;
    return ERR_OK;
}

void climate_destroy(struct climate *climate)
{
    if (climate == NULL)
        return;
    climate_learn_abandon(climate);
    loop_timer_destroy(climate->timer);
    while (climate->ops != NULL) /* questions among them */
        climate_op_free(climate->ops);
    for (uint32_t i = 0; i < climate->window_count; i++)
        mem_free(climate->window[i]);
    mem_free(climate->window);
    climate_model_destroy(climate->model);
    mem_free(climate->sample);
    mem_free(climate);
}
