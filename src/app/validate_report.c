#include "app/validate.h"

#include <math.h>
#include <string.h>

bool validate_command_due(const struct validate *validate)
{
    return validate->has_prediction && validate->command_id != 0;
}

static void say_times(const char *what, const struct tool_latency *latency)
{
    char p50[TOOL_TIME_BYTES], most[TOOL_TIME_BYTES];
    if (latency->count > 0)
        (void)printf("  %s: p50 %s, most %s\n", what, tool_time(tool_latency_at(latency, 0.5), p50),
                     tool_time(latency->max_us, most));
}

/* ---- readings ---- */

static uint32_t say_readings(const struct validate *validate)
{
    uint32_t acked = 0, refused = 0, stored = 0, missing = 0;
    struct tool_latency ack = {0};
    for (uint32_t i = 0; i < validate->reading_count; i++) {
        const struct validate_reading *reading = &validate->reading[i];
        acked += reading->acked_us != 0 && !reading->refused;
        refused += reading->refused;
        stored += reading->seen_us != 0;
        if (reading->acked_us != 0)
            tool_latency_add(&ack, reading->acked_us - reading->sent_us);
        const char *lost = !reading->published      ? "was not published"
                           : reading->acked_us == 0 ? "was not acknowledged"
                           : reading->refused       ? "was refused"
                           : reading->seen_us == 0  ? "is not in the store"
                                                    : NULL;
        if (lost == NULL)
            continue;
        missing++;
        (void)printf("MISSING  reading %u, %s %.7f, %s\n", i + 1, reading->type, reading->value,
                     lost);
    }
    (void)printf("readings    %u published, %u acknowledged, %u refused, %u in the store\n",
                 validate->next, acked, refused, stored);
    say_times("publish to acknowledgement", &ack);
    return missing;
}

/* ---- what came of them ---- */

/* As "70.0", or "none": what nobody said is no number. */
static const char *say_number(double value, int digits, char text[32])
{
    if (isnan(value))
        return "none";
    (void)snprintf(text, 32, "%.*f", digits, value);
    return text;
}

/* Why the way ends at a decision that is none of the model's, or NULL. */
static const char *decision_fault(const char *decision)
{
    return strcmp(decision, "no_answer") == 0 ? "an answer: nobody gave one in time"
           : strcmp(decision, "refused") == 0 ? "the command: the queue refused it"
           : decision[0] == '\0'              ? "a decision about the prediction"
                                              : NULL;
}

static uint32_t say_prediction(const struct validate *validate)
{
    char position[32], confidence[32], latency[32];
    (void)printf("requests    %u for a prediction, as published\n", validate->requests);
    if (!validate->has_prediction) {
        (void)printf("MISSING  a prediction made of these readings\n");
        return 1;
    }
    (void)printf("prediction  %llu: position %s, confidence %s, model %s, %s ms: %s\n",
                 (unsigned long long)validate->prediction_id,
                 say_number(validate->position, 1, position),
                 say_number(validate->confidence, 2, confidence),
                 validate->model[0] != '\0' ? validate->model : "none",
                 say_number(validate->latency_ms, 3, latency), validate->decision);
    const char *fault = decision_fault(validate->decision);
    if (fault == NULL)
        return 0;
    (void)printf("MISSING  %s\n", fault);
    return 1;
}

static uint32_t say_command(const struct validate *validate)
{
    if (!validate->has_prediction)
        return 0;
    if (!validate_command_due(validate)) {
        (void)printf("command     none was due (%s)\n", validate->decision);
        return 0;
    }
    (void)printf("command     %llu is %s\n", (unsigned long long)validate->command_id,
                 validate->command_state[0] != '\0' ? validate->command_state : "not to be found");
    if (strcmp(validate->command_state, "complete") == 0)
        return 0;
    (void)printf("MISSING  the end of command %llu\n", (unsigned long long)validate->command_id);
    return 1;
}

static uint32_t say_control(const struct validate *validate)
{
    uint32_t times = 0;
    if (!validate_command_due(validate))
        return 0;
    for (uint32_t i = 0; i < validate->control_count; i++)
        times += validate->control[i].command_id == validate->command_id;
    (void)printf("control     heard %u time%s\n", times, times == 1 ? "" : "s");
    if (times == 1)
        return 0;
    (void)printf("%s\n", times == 0 ? "MISSING  the control message of the command"
                                    : "TWICE    the control message of the command");
    return 1;
}

uint32_t validate_report(const struct validate *validate)
{
    uint32_t missing = 0;
    (void)printf("machine     %s\n", validate->id);
    if (validate->stage > VALIDATE_CONNECT) {
        missing += say_readings(validate);
        missing += say_prediction(validate);
        missing += say_command(validate);
        missing += say_control(validate);
    }
    if (validate->why[0] != '\0') {
        (void)printf("STOPPED  %s\n", validate->why);
        missing++;
    }
    (void)printf("%s\n", missing == 0 ? "nothing is missing" : "something is missing");
    return missing;
}
