/* The table of routes: everything this server answers under /api, and the right each asks for. */
#include "web/routes_int.h"

#include <string.h>

/* Short names, so that a row stays a line. */
#define GET     HTTP_GET
#define POST    HTTP_POST
#define PUT     HTTP_PUT
#define PATCH   HTTP_PATCH
#define DELETE  HTTP_DELETE
#define READ    ACCESS_RATE_READ
#define WRITE   ACCESS_RATE_WRITE
#define LOGIN   ACCESS_RATE_LOGIN
#define ASK     ACCESS_RATE_ASK
#define NONE    WEB_BODY_NONE
#define MAYBE   WEB_BODY_OPTIONAL
#define BODY    WEB_BODY_REQUIRED
#define NOW(f)  f, NULL /* quick */
#define CALL(f) NULL, f

/* The idle poll is the first: it is most of the traffic.  Rows with a fixed word stand before rows
 * that take anything in its place. */
/* clang-format off */
const struct web_route web_routes[] = {
    {"wait", "/api/commands/check/{machine}", GET, ACCESS_DEVICE_SPEAK, READ, NONE, NOW(web_check)},
    {"", "/api/commands/update/{number}", POST, ACCESS_DEVICE_SPEAK, WRITE, BODY, CALL(web_command_update)},
    {"", "/api/commands/progress/{number}", POST, ACCESS_DEVICE_SPEAK, WRITE, BODY, CALL(web_command_progress)},
    {"", "/api/commands/create", POST, ACCESS_COMMAND_CREATE, WRITE, BODY, CALL(web_command_create)},
    {"machine_id state status from to limit cursor", "/api/commands", GET, ACCESS_COMMAND_READ_OWN, READ, NONE,
     CALL(web_command_list)},
    {"", "/api/commands/{number}", GET, ACCESS_COMMAND_READ_OWN, READ, NONE, CALL(web_command_show)},
    {"", "/api/commands/{number}/history", GET, ACCESS_COMMAND_READ_OWN, READ, NONE, CALL(web_command_history)},
    {"", "/api/commands/{number}/curve", GET, ACCESS_COMMAND_READ_OWN, READ, NONE, CALL(web_command_curve)},
    {"", "/api/commands/{number}/cancel", POST, ACCESS_COMMAND_CANCEL_OWN, WRITE, MAYBE, CALL(web_command_cancel)},
    {"", "/api/commands/{number}/approve", POST, ACCESS_COMMAND_APPROVE, WRITE, MAYBE, CALL(web_command_approve)},
    {"", "/api/commands/{number}/settle", POST, ACCESS_COMMAND_SETTLE, WRITE, BODY, CALL(web_command_settle)},

    {"limit cursor", "/api/machines", GET, ACCESS_MACHINE_READ, READ, NONE, CALL(web_machine_list)},
    {"", "/api/machines", POST, ACCESS_MACHINE_MANAGE, WRITE, BODY, CALL(web_machine_add)},
    {"", "/api/machines/{machine}", GET, ACCESS_MACHINE_READ, READ, NONE, CALL(web_machine_show)},
    {"", "/api/machines/{machine}", PATCH, ACCESS_MACHINE_MANAGE, WRITE, BODY, CALL(web_machine_describe)},
    {"", "/api/machines/{machine}/readings", POST, ACCESS_DEVICE_SPEAK, WRITE, BODY, CALL(web_readings_add)},
    {"", "/api/machines/{machine}/hello", POST, ACCESS_DEVICE_SPEAK, WRITE, BODY, CALL(web_hello)},
    {"", "/api/machines/{machine}/progress", POST, ACCESS_DEVICE_SPEAK, WRITE, BODY, CALL(web_machine_progress)},
    {"", "/api/machines/{machine}/hold", POST, ACCESS_MACHINE_MANAGE, WRITE, BODY, CALL(web_machine_hold)},
    {"", "/api/machines/{machine}/release", POST, ACCESS_MACHINE_MANAGE, WRITE, MAYBE, CALL(web_machine_release)},
    {"", "/api/machines/{machine}/admit", POST, ACCESS_MACHINE_MANAGE, WRITE, MAYBE, CALL(web_machine_admit)},
    {"", "/api/machines/{machine}/block", POST, ACCESS_MACHINE_MANAGE, WRITE, MAYBE, CALL(web_machine_block)},
    {"", "/api/machines/{machine}/config", PUT, ACCESS_MACHINE_MANAGE, WRITE, BODY, CALL(web_machine_configure)},
    {"", "/api/machines/{machine}/tokens", GET, ACCESS_MACHINE_TOKEN, READ, NONE, CALL(web_machine_token_list)},
    {"", "/api/machines/{machine}/tokens", POST, ACCESS_MACHINE_TOKEN, WRITE, MAYBE, CALL(web_machine_token_add)},
    {"", "/api/machines/{machine}/tokens/{number}", DELETE, ACCESS_MACHINE_TOKEN, WRITE, NONE,
     CALL(web_machine_token_revoke)},

    {"machine_id", "/api/telemetry/latest", GET, ACCESS_TELEMETRY_READ, READ, NONE, CALL(web_telemetry_latest)},
    {"machine_id type from to resolution points", "/api/telemetry/series", GET, ACCESS_TELEMETRY_READ, READ, NONE,
     CALL(web_telemetry_series)},
    {"machine_id type from to resolution", "/api/telemetry/export", GET, ACCESS_TELEMETRY_READ, READ, NONE,
     CALL(web_telemetry_export)},
    {"", "/api/telemetry/refusals", GET, ACCESS_TELEMETRY_MANAGE, READ, NONE, CALL(web_telemetry_refusals)},
    {"", "/api/telemetry/policy", GET, ACCESS_TELEMETRY_MANAGE, READ, NONE, CALL(web_telemetry_policy_show)},
    {"", "/api/telemetry/policy", PUT, ACCESS_TELEMETRY_MANAGE, WRITE, BODY, CALL(web_telemetry_policy_set)},
    {"", "/api/climate", GET, ACCESS_CLIMATE_READ, READ, NONE, CALL(web_climate_show)},
    {"", "/api/climate/model", GET, ACCESS_CLIMATE_READ, READ, NONE, CALL(web_climate_model)},
    {"from to", "/api/climate/model/errors", GET, ACCESS_CLIMATE_READ, READ, NONE, CALL(web_climate_model_errors)},
    {"", "/api/climate/model/rollback", POST, ACCESS_CLIMATE_MANAGE, WRITE, MAYBE, CALL(web_climate_rollback)},
    {"", "/api/climate/{machine}", PUT, ACCESS_CLIMATE_MANAGE, WRITE, BODY, CALL(web_climate_mode)},
    {"from to limit cursor", "/api/climate/{machine}/predictions", GET, ACCESS_CLIMATE_READ, READ, NONE,
     CALL(web_climate_predictions)},

    {"", "/api/generate", POST, ACCESS_ASSISTANT_ASK, ASK, BODY, CALL(web_lm_generate)},
    {"", "/api/chat", POST, ACCESS_ASSISTANT_ASK, ASK, BODY, CALL(web_lm_chat)},
    {"", "/api/summarize", POST, ACCESS_ASSISTANT_ASK, ASK, BODY, CALL(web_lm_summarize)},
    {"", "/api/classify", POST, ACCESS_ASSISTANT_ASK, ASK, BODY, CALL(web_lm_classify)},
    {"", "/v1/chat/completions", POST, ACCESS_ASSISTANT_ASK, ASK, BODY, CALL(web_v1_chat)},
    {"", "/v1/models", GET, ACCESS_ASSISTANT_ASK, READ, NONE, CALL(web_v1_models)},
    {"", "/v1/models/{model}", GET, ACCESS_ASSISTANT_ASK, READ, NONE, CALL(web_v1_model)},
    {"", "/api/models", GET, ACCESS_ASSISTANT_ASK, READ, NONE, CALL(web_lm_models)},
    {"", "/api/train", POST, ACCESS_MODEL_TRAIN, WRITE, BODY, CALL(web_lm_train)},
    {"limit cursor", "/api/train/jobs", GET, ACCESS_MODEL_TRAIN, READ, NONE, CALL(web_lm_jobs)},
    {"", "/api/train/{number}", GET, ACCESS_MODEL_TRAIN, READ, NONE, CALL(web_lm_job)},
    {"", "/api/train/{number}", DELETE, ACCESS_MODEL_TRAIN, WRITE, NONE, CALL(web_lm_job_cancel)},
    {"", "/api/save-model", POST, ACCESS_MODEL_TRAIN, WRITE, BODY, CALL(web_lm_save)},

    {"", "/api/kinds", GET, ACCESS_KINDS_READ, READ, NONE, CALL(web_kind_list)},
    {"state limit cursor", "/api/alerts", GET, ACCESS_ALERT_READ, READ, NONE, CALL(web_alert_list)},
    {"", "/api/alerts/{number}/acknowledge", POST, ACCESS_ALERT_ACKNOWLEDGE, WRITE, MAYBE,
     CALL(web_alert_acknowledge)},
    {"limit cursor", "/api/audit", GET, ACCESS_AUDIT_READ, READ, NONE, CALL(web_audit_list)},
    {"", "/api/audit/verify", GET, ACCESS_AUDIT_READ, WRITE, NONE, CALL(web_audit_verify)},

    {"", "/api/session", GET, ACCESS_SESSION_USE, READ, NONE, CALL(web_session_show)},
    {"", "/api/session", POST, ACCESS_SESSION_USE, LOGIN, BODY, CALL(web_session_open)},
    {"", "/api/session", DELETE, ACCESS_SESSION_USE, WRITE, NONE, CALL(web_session_close)},
    {"", "/api/session/link", POST, ACCESS_SESSION_USE, LOGIN, BODY, CALL(web_session_link)},
    {"", "/api/accounts", GET, ACCESS_ACCOUNT_MANAGE, READ, NONE, CALL(web_account_list)},
    {"", "/api/accounts", POST, ACCESS_ACCOUNT_MANAGE, WRITE, BODY, CALL(web_account_add)},
    {"", "/api/accounts/{number}", PATCH, ACCESS_ACCOUNT_MANAGE, WRITE, BODY, CALL(web_account_change)},
    {"", "/api/accounts/{number}/password", POST, ACCESS_PASSWORD_OWN, LOGIN, BODY, CALL(web_account_password)},
    {"", "/api/tokens", GET, ACCESS_TOKEN_MANAGE, READ, NONE, CALL(web_token_list)},
    {"", "/api/tokens", POST, ACCESS_TOKEN_MANAGE, WRITE, BODY, CALL(web_token_add)},
    {"", "/api/tokens/{number}", DELETE, ACCESS_TOKEN_MANAGE, WRITE, NONE, CALL(web_token_revoke)},

    {"", "/ws", GET, ACCESS_EVENTS_WATCH, READ, NONE, NOW(web_ws)},
    {"", "/mqtt", GET, ACCESS_KINDS_READ, READ, NONE, NOW(web_mqtt_ws)},
    {"", "/api/openapi.yaml", GET, ACCESS_KINDS_READ, READ, NONE, NOW(web_openapi)},
    {"", "/healthz", GET, ACCESS_KINDS_READ, READ, NONE, NOW(web_healthz)},
    {"", "/readyz", GET, ACCESS_KINDS_READ, READ, NONE, NOW(web_readyz)},
    {"", "/metrics", GET, ACCESS_METRICS_READ, READ, NONE, CALL(web_metrics_show)},
    {"", NULL, GET, ACCESS_KINDS_READ, READ, NONE, NULL, NULL},
};
/* clang-format on */

enum fit { FIT_NO, FIT_YES, FIT_BAD_ARGUMENT };

/* One segment of the path against "{machine}" (or "{model}") or "{number}". */
static bool argument_fits(const char *pattern, struct str segment, struct web_match *match)
{
    if (pattern[1] == 'm') {
        match->machine_id = segment;
        return id_valid(segment);
    }
    /* Above 2^53 a number is not the same one any more for readers that have only doubles. */
    return str_to_u64(segment, &match->number) == ERR_OK && match->number > 0 &&
           match->number < (UINT64_C(1) << 53);
}

static enum fit pattern_fits(const char *pattern, struct str path, struct web_match *match)
{
    size_t at = 0;
    bool good = true;
    while (*pattern != 0) {
        if (*pattern != '{') {
            if (at >= path.len || path.at[at] != *pattern)
                return FIT_NO;
            at++;
            pattern++;
            continue;
        }
        size_t begin = at;
        while (at < path.len && path.at[at] != '/')
            at++;
        if (at == begin)
            return FIT_NO;
        good = argument_fits(pattern, str_slice(path, begin, at), match) && good;
        while (*pattern != '}')
            pattern++;
        pattern++;
    }
    if (at != path.len)
        return FIT_NO;
    return good ? FIT_YES : FIT_BAD_ARGUMENT;
}

void web_route_match(enum http_method method, struct str path, struct web_match *ret_match)
{
    struct web_match match = {.machine_id = STR_NONE};
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    for (const struct web_route *route = web_routes; route->pattern != NULL; route++) {
        match.number = 0;
        match.machine_id = STR_NONE;
        enum fit fit = pattern_fits(route->pattern, path, &match);
        match.argument_bad = match.argument_bad || fit == FIT_BAD_ARGUMENT;
        match.path_known = match.path_known || fit == FIT_YES;
        if (fit == FIT_YES && route->method == method) {
            match.route = route;
            break;
        }
    }
    *ret_match = match;
}

/* Position of `name` in a list separated by spaces; -1: not in it. */
static int word_index(const char *words, struct str name)
{
    struct str rest = str_from(words);
    for (int index = 0; rest.len > 0; index++) {
        size_t space = str_find(rest, ' ');
        if (str_equal(str_slice(rest, 0, space), name))
            return index;
        rest = str_slice(rest, space + 1, rest.len);
    }
    return -1;
}

bool web_route_query(const struct web_route *route, struct str query,
                     char ret_name[WEB_PARAMETER_BYTES])
{
    struct str name, value;
    unsigned seen = 0;
    while (http_query_next(&query, &name, &value)) {
        int index = word_index(route->parameters, name);
        if (index >= 0 && (seen & (1u << index)) == 0) {
            seen |= 1u << index;
            continue;
        }
        struct str shown = str_slice(name, 0, WEB_PARAMETER_BYTES - 1);
        if (!utf8_valid(shown) || str_copy(ret_name, WEB_PARAMETER_BYTES, shown) != ERR_OK)
            ret_name[0] = 0;
        return false;
    }
    return true;
}

void web_route_allow(struct str path, char *dst, size_t dst_bytes)
{
    struct text text;
    text_init(&text, dst, dst_bytes);
    struct web_match scratch;
    for (const struct web_route *route = web_routes; route->pattern != NULL; route++) {
        if (pattern_fits(route->pattern, path, &scratch) != FIT_YES)
            continue;
        text_add(&text, str_from(http_method_name(route->method)));
        text_add(&text, route->method == HTTP_GET ? STR(", HEAD, ") : STR(", "));
    }
    text_add(&text, STR("OPTIONS"));
}

bool web_route_row(size_t index, struct web_route_row *ret_row)
{
    if (index >= ARRAY_COUNT(web_routes) - 1)
        return false;
    const struct web_route *route = &web_routes[index];
    *ret_row = (struct web_route_row){http_method_name(route->method), route->pattern,
                                      route->permission, route->permission == ACCESS_DEVICE_SPEAK};
    return true;
}
