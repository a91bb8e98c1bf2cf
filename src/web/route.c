/* The table of routes: everything this server answers under /api, and the right each asks for. */
#include "web/routes_int.h"

#include <string.h>

#define READ  ACCESS_RATE_READ
#define WRITE ACCESS_RATE_WRITE
#define LOGIN ACCESS_RATE_LOGIN

/* The idle poll is the first: it is most of the traffic.  Rows with a fixed word stand before rows
 * that take anything in its place. */
/* clang-format off */
const struct web_route web_routes[] = {
    {"wait", HTTP_GET, "/api/commands/check/{machine}", ACCESS_DEVICE_SPEAK, READ, WEB_BODY_NONE, web_check, NULL},
    {"", HTTP_POST, "/api/commands/update/{number}", ACCESS_DEVICE_SPEAK, WRITE, WEB_BODY_REQUIRED, NULL, web_command_update},
    {"", HTTP_POST, "/api/commands/progress/{number}", ACCESS_DEVICE_SPEAK, WRITE, WEB_BODY_REQUIRED, NULL, web_command_progress},
    {"", HTTP_POST, "/api/commands/create", ACCESS_COMMAND_CREATE, WRITE, WEB_BODY_REQUIRED, NULL, web_command_create},
    {"machine_id state from to limit cursor", HTTP_GET, "/api/commands", ACCESS_COMMAND_READ_OWN, READ, WEB_BODY_NONE, NULL, web_command_list},
    {"", HTTP_GET, "/api/commands/{number}", ACCESS_COMMAND_READ_OWN, READ, WEB_BODY_NONE, NULL, web_command_show},
    {"", HTTP_GET, "/api/commands/{number}/history", ACCESS_COMMAND_READ_OWN, READ, WEB_BODY_NONE, NULL, web_command_history},
    {"", HTTP_GET, "/api/commands/{number}/curve", ACCESS_COMMAND_READ_OWN, READ, WEB_BODY_NONE, NULL, web_command_curve},
    {"", HTTP_POST, "/api/commands/{number}/cancel", ACCESS_COMMAND_CANCEL_OWN, WRITE, WEB_BODY_OPTIONAL, NULL, web_command_cancel},
    {"", HTTP_POST, "/api/commands/{number}/approve", ACCESS_COMMAND_APPROVE, WRITE, WEB_BODY_OPTIONAL, NULL, web_command_approve},
    {"", HTTP_POST, "/api/commands/{number}/settle", ACCESS_COMMAND_SETTLE, WRITE, WEB_BODY_REQUIRED, NULL, web_command_settle},

    {"limit cursor", HTTP_GET, "/api/machines", ACCESS_MACHINE_READ, READ, WEB_BODY_NONE, NULL, web_machine_list},
    {"", HTTP_POST, "/api/machines", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_machine_add},
    {"", HTTP_GET, "/api/machines/{machine}", ACCESS_MACHINE_READ, READ, WEB_BODY_NONE, NULL, web_machine_show},
    {"", HTTP_POST, "/api/machines/{machine}/hello", ACCESS_DEVICE_SPEAK, WRITE, WEB_BODY_REQUIRED, NULL, web_hello},
    {"", HTTP_POST, "/api/machines/{machine}/progress", ACCESS_DEVICE_SPEAK, WRITE, WEB_BODY_REQUIRED, NULL, web_machine_progress},
    {"", HTTP_POST, "/api/machines/{machine}/hold", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_machine_hold},
    {"", HTTP_POST, "/api/machines/{machine}/release", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_OPTIONAL, NULL, web_machine_release},
    {"", HTTP_POST, "/api/machines/{machine}/admit", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_OPTIONAL, NULL, web_machine_admit},
    {"", HTTP_POST, "/api/machines/{machine}/block", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_OPTIONAL, NULL, web_machine_block},
    {"", HTTP_PUT, "/api/machines/{machine}/config", ACCESS_MACHINE_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_machine_configure},
    {"", HTTP_GET, "/api/machines/{machine}/tokens", ACCESS_MACHINE_TOKEN, READ, WEB_BODY_NONE, NULL, web_machine_token_list},
    {"", HTTP_POST, "/api/machines/{machine}/tokens", ACCESS_MACHINE_TOKEN, WRITE, WEB_BODY_OPTIONAL, NULL, web_machine_token_add},
    {"", HTTP_DELETE, "/api/machines/{machine}/tokens/{number}", ACCESS_MACHINE_TOKEN, WRITE, WEB_BODY_NONE, NULL, web_machine_token_revoke},

    {"", HTTP_GET, "/api/kinds", ACCESS_KINDS_READ, READ, WEB_BODY_NONE, NULL, web_kind_list},
    {"state limit cursor", HTTP_GET, "/api/alerts", ACCESS_ALERT_READ, READ, WEB_BODY_NONE, NULL, web_alert_list},
    {"", HTTP_POST, "/api/alerts/{number}/acknowledge", ACCESS_ALERT_ACKNOWLEDGE, WRITE, WEB_BODY_OPTIONAL, NULL, web_alert_acknowledge},
    {"limit cursor", HTTP_GET, "/api/audit", ACCESS_AUDIT_READ, READ, WEB_BODY_NONE, NULL, web_audit_list},
    {"", HTTP_GET, "/api/audit/verify", ACCESS_AUDIT_READ, WRITE, WEB_BODY_NONE, NULL, web_audit_verify},

    {"", HTTP_GET, "/api/session", ACCESS_SESSION_USE, READ, WEB_BODY_NONE, NULL, web_session_show},
    {"", HTTP_POST, "/api/session", ACCESS_SESSION_USE, LOGIN, WEB_BODY_REQUIRED, NULL, web_session_open},
    {"", HTTP_DELETE, "/api/session", ACCESS_SESSION_USE, WRITE, WEB_BODY_NONE, NULL, web_session_close},
    {"", HTTP_POST, "/api/session/link", ACCESS_SESSION_USE, LOGIN, WEB_BODY_REQUIRED, NULL, web_session_link},
    {"", HTTP_GET, "/api/accounts", ACCESS_ACCOUNT_MANAGE, READ, WEB_BODY_NONE, NULL, web_account_list},
    {"", HTTP_POST, "/api/accounts", ACCESS_ACCOUNT_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_account_add},
    {"", HTTP_PATCH, "/api/accounts/{number}", ACCESS_ACCOUNT_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_account_change},
    {"", HTTP_POST, "/api/accounts/{number}/password", ACCESS_PASSWORD_OWN, LOGIN, WEB_BODY_REQUIRED, NULL, web_account_password},
    {"", HTTP_GET, "/api/tokens", ACCESS_TOKEN_MANAGE, READ, WEB_BODY_NONE, NULL, web_token_list},
    {"", HTTP_POST, "/api/tokens", ACCESS_TOKEN_MANAGE, WRITE, WEB_BODY_REQUIRED, NULL, web_token_add},
    {"", HTTP_DELETE, "/api/tokens/{number}", ACCESS_TOKEN_MANAGE, WRITE, WEB_BODY_NONE, NULL, web_token_revoke},

    {"", HTTP_GET, "/ws", ACCESS_EVENTS_WATCH, READ, WEB_BODY_NONE, web_ws, NULL},
    {"", HTTP_GET, "/api/openapi.yaml", ACCESS_KINDS_READ, READ, WEB_BODY_NONE, web_openapi, NULL},
    {"", HTTP_GET, "/healthz", ACCESS_KINDS_READ, READ, WEB_BODY_NONE, web_healthz, NULL},
    {"", HTTP_GET, "/readyz", ACCESS_KINDS_READ, READ, WEB_BODY_NONE, web_readyz, NULL},
    {"", HTTP_GET, "/metrics", ACCESS_METRICS_READ, READ, WEB_BODY_NONE, NULL, web_metrics_show},
    {"", HTTP_GET, NULL, ACCESS_KINDS_READ, READ, WEB_BODY_NONE, NULL, NULL},
};
/* clang-format on */

enum fit { FIT_NO, FIT_YES, FIT_BAD_ARGUMENT };

/* One segment of the path against "{machine}" or "{number}". */
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
