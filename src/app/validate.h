/* validate: marked readings, and what was seen of each.  Inside app. */
#ifndef AUTOMAT_APP_VALIDATE_H
#define AUTOMAT_APP_VALIDATE_H

#include "app/tool.h"
#include "loop/loop.h"
#include "net/mqtt/mqtt.h"
#include "wire/wire.h"

#define VALIDATE_READINGS_MAX 1000
#define VALIDATE_CONTROLS_MAX 16

struct validate_reading {
    const char *type;
    double value; /* the mark: nobody else says exactly this */
    uint64_t handle;
    int64_t sent_us, acked_us, seen_us; /* 0: not yet; seen: in the store */
    bool published, refused;
};

struct validate_control {
    uint64_t command_id;
    int64_t position_milli;
};

enum validate_stage {
    VALIDATE_CONNECT,
    VALIDATE_PUBLISH,
    VALIDATE_ACKS,
    VALIDATE_STORE,
    VALIDATE_PREDICTION,
    VALIDATE_COMMAND,
    VALIDATE_OVER,
};

struct validate {
    const struct options *options;
    struct tool_http http;
    struct loop *loop;
    struct loop_timer *timer;
    struct mqtt_client *client;
    enum validate_stage stage;
    int64_t stage_until_ms, begin_wall_ms;
    uint32_t subscribed, next;
    struct tool_mqtt mqtt;
    char id[ID_BYTES_MAX + 1], token[TOOL_TOKEN_BYTES], client_id[48];
    struct validate_reading reading[VALIDATE_READINGS_MAX];
    uint32_t reading_count;

    /* what came of them */
    uint32_t requests; /* for a prediction, as published */
    int64_t request_us;
    bool has_prediction;
    uint64_t prediction_id, command_id;
    char decision[32], command_state[24], model[24];
    double position, confidence, latency_ms; /* NAN: none */
    struct validate_control control[VALIDATE_CONTROLS_MAX];
    uint32_t control_count;
    char why[256]; /* what stopped it; "": nothing */
};

/* ---- validate_look.c: over HTTP ---- */
void validate_look_store(struct validate *validate);
void validate_look_prediction(struct validate *validate);
void validate_look_command(struct validate *validate);

/* ---- validate_report.c ---- */
/* Prints it; how many things are missing. */
uint32_t validate_report(const struct validate *validate);
bool validate_command_due(const struct validate *validate);

#endif
