/* A question and its answer: by the model in this process at once, or by a service on MQTT. */
#include "climate/climate_int.h"
#include "wire/wire.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int64_t micro(double value)
{
    return (int64_t)llround(value * 1e6);
}

static void publish(struct climate *climate, const struct ask_op *ask)
{
    char topic[ID_BYTES_MAX + 32], payload[512];
    const struct climate_features *features = &ask->features;
    struct wire_inference inference = {.temperature_micro = micro(features->temperature_c),
                                       .humidity_micro = micro(features->humidity_pct),
                                       .sound_micro = micro(features->sound_volume),
                                       .at_ms = ask->op.now_ms};
    struct text text;
    if (climate->options.bus == NULL || !climate_features_valid(features))
        return; /* what no sensor can say is not passed on */
    text_init(&text, payload, sizeof(payload));
    enum err err =
        str_copy(inference.device_id, sizeof(inference.device_id), str_from(ask->op.machine_id));
    if (err == ERR_OK)
        err = str_copy(inference.request_id, sizeof(inference.request_id),
                       str_from(ask->op.request_id));
    if (err == ERR_OK)
        err = wire_inference_encode(&inference, &text);
    ASSERT(err == ERR_OK); /* ids of bounded length and three numbers fit */
    (void)snprintf(topic, sizeof(topic), "ml/inference/request/%s", ask->op.machine_id);
    (void)bus_publish(climate->options.bus,
                      &(struct bus_out){.topic = str_from(topic),
                                        .payload = {text.at, text.len},
                                        .qos = 1,
                                        /* an answer after it would be to another room's air */
                                        .expiry_s = 10});
}

/* Of the three together: measured only when all are.  NULL: not all are known. */
static const char *provenance_of(const struct climate *climate, struct str machine_id)
{
    enum telemetry_provenance together = TELEMETRY_MEASURED;
    struct telemetry_latest latest;
    for (int i = 0; i < CLIMATE_FEATURES; i++) {
        if (!telemetry_latest_get(climate->options.telemetry, machine_id,
                                  str_from(climate_rules.feature[i].type), &latest))
            return NULL;
        if (together == TELEMETRY_MEASURED || latest.provenance == TELEMETRY_SIMULATED)
            together = latest.provenance;
    }
    return telemetry_provenance_name(together);
}

/* The window does not know of it yet. */
static struct ask_op *ask_make(struct climate *climate, const struct watched *window,
                               enum climate_because because, const char *request_id)
{
    char made[ID128_TEXT_BYTES];
    /* The reading's own, so that it can be followed; unless it would not fit into the message. */
    bool given = id_valid(str_from(request_id)) && str_from(request_id).len < WIRE_NAME_BYTES;
    if (!given) {
        struct id128 id;
        climate->options.random_id(climate->options.random, &id);
        id128_text(id, made);
    }
    struct ask_op *ask = climate_op_create(climate, sizeof(*ask), str_from(window->machine_id),
                                           STR("server"), given ? request_id : made);
    if (ask == NULL)
        return NULL;
    ask->because = climate_because_name(because);
    ask->asked_us = climate_now_us(climate);
    ask->trigger_us = window->trigger_us != 0 ? window->trigger_us : ask->asked_us;
    ask->answer.position_pct = NAN;
    ask->answer.confidence = NAN;
    ask->answer.spread_pct = NAN;
    ask->has_features = climate_trigger_features(&window->trigger, ask->op.now_ms, &ask->features);
    if (ask->has_features)
        ask->provenance = provenance_of(climate, str_from(window->machine_id));
    else
        ask->features = (struct climate_features){NAN, NAN, NAN};
    return ask;
}

static struct ask_op *ask_create(struct climate *climate, struct watched *window,
                                 enum climate_because because, const char *request_id)
{
    struct ask_op *ask = ask_make(climate, window, because, request_id);
    if (ask == NULL)
        return NULL;
    ask->ask_number = ++window->ask_count;
    window->asked_because = ask->because;
    window->trigger_us = 0;
    return ask;
}

static void ask_own(struct ask_op *ask)
{
    struct climate *climate = ask->op.climate;
    uint64_t version = climate_model_version(climate->model);
    char actor[VERSION_TEXT_BYTES + 8], name[VERSION_TEXT_BYTES];
    climate_version_text(version, name);
    (void)snprintf(actor, sizeof(actor), "climate:%s", name);
    climate_answered(ask, &(struct answered){
                              .answer = climate_model_ask(climate->model, &ask->features),
                              .version = version,
                              .source = "own",
                              .actor = actor,
                          });
}

void climate_ask(struct climate *climate, struct watched *window, enum climate_because because)
{
    int64_t now_ms = climate_now_ms(climate);
    climate_trigger_asked(&window->trigger, now_ms);
    if (climate->options.source == CLIMATE_OFF)
        return;
    if (window->question != NULL) /* asked anew before the old answer came */
        climate_ask_expire(climate, window);
    struct ask_op *ask = ask_create(climate, window, because, window->trigger_request);
    window->trigger_request[0] = '\0';
    if (ask == NULL)
        return; /* out of memory: the next change or the age asks again */
    window->asked_at_ms = now_ms;
    window->asked_features = ask->features;
    memcpy(window->asked_request, ask->op.request_id, sizeof(window->asked_request));
    climate->stats.requests++;
    publish(climate, ask);
    if (climate->options.source == CLIMATE_OWN) {
        ask_own(ask);
        return;
    }
    ask->answer_until_ms = now_ms + climate_rules.answer_ms;
    ask->source = "external";
    window->question = ask;
    climate_plan(climate, ask->answer_until_ms);
}

void climate_answered(struct ask_op *ask, const struct answered *answered)
{
    struct climate *climate = ask->op.climate;
    struct watched *window = climate_window_find(climate, str_from(ask->op.machine_id));
    ask->has_answer = true;
    ask->answer = answered->answer;
    ask->version = answered->version;
    ask->source = answered->source;
    if (answered->version != 0 || strcmp(answered->source, "own") == 0)
        climate_version_text(answered->version, ask->version_text);
    else
        (void)snprintf(ask->version_text, sizeof(ask->version_text), "%s", answered->source);
    (void)snprintf(ask->op.actor, sizeof(ask->op.actor), "%s", answered->actor);
    ask->latency_ms = (double)(climate_now_us(climate) - ask->asked_us) / 1000;
    climate->stats.answers++;
    if (strcmp(answered->source, "external") == 0)
        climate->stats.answers_external++;
    metrics_observe(&climate->stats.latency_s, ask->latency_ms / 1000);
    metrics_observe(&climate->stats.confidence, ask->answer.confidence);
    ASSERT(window != NULL);
    window->has_answer = true;
    window->answer = ask->answer;
    window->answer_version = ask->version;
    window->answered_at_ms = climate_now_ms(climate);
    climate_decide(ask);
}

void climate_ask_expire(struct climate *climate, struct watched *window)
{
    struct ask_op *ask = window->question;
    window->question = NULL;
    ask->latency_ms = (double)(climate_now_us(climate) - ask->asked_us) / 1000;
    (void)snprintf(ask->version_text, sizeof(ask->version_text), "external");
    climate->stats.no_answer++;
    climate_decided(ask, "no_answer");
}

void climate_ask_drop(struct watched *window)
{
    if (window->question != NULL)
        climate_op_free(&window->question->op);
    window->question = NULL;
}

static bool may_propose(const struct climate *climate, const struct bus_from *from)
{
    return climate->options.source == CLIMATE_EXTERNAL &&
           (from->role == BUS_STAFF || from->role == BUS_ADMIN || from->role == BUS_OPEN ||
            from->role == BUS_SERVER);
}

/* It answers a question that a newer one has replaced: what it says was about other air. */
static enum err take_late(struct climate *climate, const struct watched *window,
                          const struct answered *answered, const char *request_id)
{
    struct ask_op *ask = ask_make(climate, window, CLIMATE_UNASKED, request_id);
    if (ask == NULL)
        return ERR_NOMEM;
    ask->has_answer = true; /* ask_number 0: the window goes on with its newest question */
    ask->answer = answered->answer;
    ask->source = answered->source;
    (void)snprintf(ask->version_text, sizeof(ask->version_text), "%s", answered->source);
    (void)snprintf(ask->op.actor, sizeof(ask->op.actor), "%s", answered->actor);
    climate->stats.refused++;
    climate_decided(ask, "refused");
    return ERR_CONFLICT;
}

enum err climate_propose(struct climate *climate, struct str machine_id, double position_pct,
                         double confidence, const struct bus_from *from, const char *answers,
                         const char *request_id)
{
    struct watched *window = climate_window_find(climate, machine_id);
    if (!may_propose(climate, from)) {
        climate->stats.refused++;
        return ERR_REFUSED;
    }
    if (window == NULL || !window->present)
        return ERR_NOT_FOUND;
    if (!(position_pct >= 0 && position_pct <= 100) || !(confidence >= 0 && confidence <= 1)) {
        climate->stats.refused++;
        return ERR_INPUT;
    }
    const struct answered answered = {
        .answer = {.position_pct = position_pct, .spread_pct = NAN, .confidence = confidence},
        .source = "external",
        .actor = "climate:external",
    };
    if (answers[0] != '\0' && strcmp(answers, window->asked_request) != 0)
        return take_late(climate, window, &answered, request_id);
    struct ask_op *ask = window->question;
    window->question = NULL;
    if (ask == NULL) /* it speaks without being asked, or too late: still a proposal */
        ask = ask_create(climate, window, CLIMATE_UNASKED, request_id);
    if (ask == NULL)
        return ERR_NOMEM;
    climate_answered(ask, &answered);
    return ERR_OK;
}
