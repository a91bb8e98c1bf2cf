/* Who calls, and what that caller may do. */
#include "web/web_int.h"

#include <string.h>

static struct str header(const struct http_request *req, const char *name)
{
    return http_header(req, str_from(name));
}

/* The token after "Bearer ", or none. */
static struct str bearer(const struct http_request *req)
{
    struct str field = header(req, "Authorization");
    if (field.len < 8 || !str_equal_nocase(str_slice(field, 0, 7), STR("Bearer ")))
        return STR_NONE;
    struct str token = str_slice(field, 7, field.len);
    while (token.len > 0 && token.at[0] == ' ')
        token = str_slice(token, 1, token.len);
    return token;
}

static bool is_announcement(const struct web_route *route)
{
    return route->permission == ACCESS_DEVICE_SPEAK && route->method == HTTP_POST &&
           str_starts(str_from(route->pattern), STR("/api/machines/{machine}/hello"));
}

/* Somebody tries tokens: each address gets few tries, so that guessing is hopeless and costs us
 * little. */
static bool unknown_token(struct web *web, const struct http_request *req,
                          struct web_problem *ret_problem)
{
    char peer[HTTP_PEER_BYTES], key[ACCESS_ADDRESS_BYTES + 1] = "!";
    http_peer(req, peer);
    access_address_key(str_from(peer), key + 1);
    int64_t retry_ms = 0;
    web->metrics.problems_auth++;
    if (!access_rate_take(access_rate_table(web->access, ACCESS_RATE_READ), str_from(key),
                          web_mono_ms(web), &retry_ms)) {
        *ret_problem = (struct web_problem){
            .status = 429,
            .code = "rate_limited",
            .detail = "Too many calls with tokens that nobody knows.",
            .retry_after_s = (uint32_t)((retry_ms + 999) / 1000),
        };
        return false;
    }
    *ret_problem = (struct web_problem){.status = 401,
                                        .code = "unauthenticated",
                                        .detail = "This token is not known, or no longer."};
    return false;
}

static bool identify_device(struct web *web, struct str token, struct web_caller *caller)
{
    enum err err = fleet_authenticate(web->fleet, token, web_now_ms(web), &caller->machine,
                                      &caller->device_token_id);
    if (err != ERR_OK && err != ERR_AGAIN && err != ERR_REFUSED)
        return false;
    caller->kind = WEB_DEVICE;
    caller->role = ACCESS_GUEST;
    caller->device_err = err;
    memcpy(caller->machine_id, caller->machine->machine_id, sizeof(caller->machine_id));
    return true;
}

static bool identify_person(struct web *web, struct str token, struct web_caller *caller)
{
    if (access_token_find(web->access, token, web_now_ms(web), &caller->person) != ERR_OK)
        return false;
    caller->kind = WEB_PERSON;
    caller->role = caller->person.role;
    return true;
}

/* A cookie comes along by itself, also on another site's errand: a changing call must show that it
 * is meant (csrf), and where there is no session yet, that it comes from our own page. */
static bool identify_session(struct web *web, const struct http_request *req,
                             const struct web_route *route, struct web_caller *caller,
                             struct web_problem *ret_problem)
{
    struct str token = access_cookie_find(header(req, "Cookie"));
    if (token.len == 0 ||
        access_session_find(web->access, token, web_now_ms(web), &caller->person) != ERR_OK)
        return true; /* nobody; a session that ended is no reason to refuse what everybody may */
    caller->kind = WEB_PERSON;
    caller->role = caller->person.role;
    bool changes = route->method != HTTP_GET && route->method != HTTP_HEAD;
    bool signing_in = route->permission == ACCESS_SESSION_USE && route->method == HTTP_POST;
    if (!changes || signing_in || access_csrf_ok(&caller->person, header(req, "X-CSRF-Token")))
        return true;
    *ret_problem =
        (struct web_problem){.status = 403,
                             .code = "csrf",
                             .detail = "X-CSRF-Token is missing or is not this session's."};
    return false;
}

bool web_origin_allowed(const struct web *web, struct str origin)
{
    for (const char *const *at = web->options.cors_origins; at != NULL && *at != NULL; at++) {
        if (str_equal(str_from(*at), origin))
            return true;
    }
    return false;
}

static bool host_is_here(struct str host)
{
    size_t end = host.len;
    while (end > 0 && host.at[end - 1] >= '0' && host.at[end - 1] <= '9')
        end--;
    struct str name = end > 0 && host.at[end - 1] == ':' ? str_slice(host, 0, end - 1) : host;
    if (str_equal_nocase(name, STR("localhost")) || str_equal(name, STR("[::1]")))
        return true;
    if (!str_starts(name, STR("127.")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] != '.' && (name.at[i] < '0' || name.at[i] > '9'))
            return false;
    }
    return true;
}

/* --open trusts this computer, not the pages that its browser happens to show. */
static bool identify_open(struct web *web, const struct http_request *req,
                          struct web_caller *caller, struct web_problem *ret_problem)
{
    const struct http_head *head = http_request_head(req);
    struct str origin = header(req, "Origin");
    bool mine = access_origin_ok(origin, head->host) || web_origin_allowed(web, origin);
    /* An <img> of another page sends no Origin, but its browser says where it comes from. */
    struct str site = header(req, "Sec-Fetch-Site");
    bool elsewhere = site.len > 0 && !str_equal(site, STR("same-origin")) &&
                     !str_equal(site, STR("none")) && !web_origin_allowed(web, origin);
    if (!mine || elsewhere || !host_is_here(head->host)) {
        *ret_problem = (struct web_problem){
            .status = 403, .code = "bad_origin", .detail = "This page is not one of ours."};
        return false;
    }
    caller->open = true;
    caller->role = ACCESS_ADMIN;
    return true;
}

bool web_identify(struct web *web, const struct http_request *req, const struct web_route *route,
                  struct web_caller *ret_caller, struct web_problem *ret_problem)
{
    struct web_caller *caller = ret_caller;
    caller->kind = WEB_NOBODY;
    caller->open = false;
    caller->role = ACCESS_GUEST;
    caller->machine = NULL;
    caller->machine_id[0] = 0;
    caller->device_err = ERR_OK;
    caller->token = STR_NONE;

    struct str token = header(req, "X-Device-Token");
    if (token.len > 0) {
        if (identify_device(web, token, caller))
            return true;
        caller->token = token;
        return is_announcement(route) || unknown_token(web, req, ret_problem);
    }
    token = bearer(req);
    if (token.len > 0) {
        /* A device's token says so; anything else may be a person's, or what a board made up. */
        bool device_first = str_starts(token, STR("ad_"));
        if ((device_first && identify_device(web, token, caller)) ||
            identify_person(web, token, caller) ||
            (!device_first && identify_device(web, token, caller)))
            return true;
        caller->token = token;
        return is_announcement(route) || unknown_token(web, req, ret_problem);
    }
    if (!identify_session(web, req, route, caller, ret_problem))
        return false;
    if (caller->kind == WEB_NOBODY && web->options.open)
        return identify_open(web, req, caller, ret_problem);
    return true;
}

static bool may(const struct web_caller *caller, const struct web_route *route,
                struct web_problem *ret_problem)
{
    if (caller->kind == WEB_DEVICE && caller->device_err == ERR_REFUSED) {
        *ret_problem = (struct web_problem){
            .status = 403, .code = "machine_blocked", .detail = "This machine is blocked."};
        return false;
    }
    bool waits = caller->kind == WEB_DEVICE && caller->device_err == ERR_AGAIN;
    if (waits && !is_announcement(route)) {
        *ret_problem = (struct web_problem){.status = 403,
                                            .code = "machine_waiting",
                                            .detail = "This machine has not been admitted yet."};
        return false;
    }
    bool allowed = route->permission == ACCESS_DEVICE_SPEAK
                       ? caller->kind == WEB_DEVICE || caller->open || caller->token.len > 0
                       : access_allows(caller->role, route->permission);
    if (allowed)
        return true;
    if (caller->kind == WEB_NOBODY)
        *ret_problem = (struct web_problem){
            .status = 401, .code = "unauthenticated", .detail = "Sign in, or send a token."};
    else
        *ret_problem = (struct web_problem){
            .status = 403, .code = "forbidden", .detail = "Not with these rights."};
    return false;
}

/* There is no session yet whose csrf could be asked for. */
static bool signs_in_from_here(const struct web *web, const struct http_request *req,
                               const struct web_route *route)
{
    if (route->permission != ACCESS_SESSION_USE || route->method != HTTP_POST)
        return true;
    struct str origin = header(req, "Origin");
    return access_origin_ok(origin, http_request_head(req)->host) ||
           web_origin_allowed(web, origin);
}

bool web_authorise(struct web *web, const struct http_request *req, const struct web_front *front,
                   struct web_problem *ret_problem)
{
    const struct web_caller *caller = &front->caller;
    const struct web_route *route = front->match.route;
    if (!may(caller, route, ret_problem))
        return false;
    if (!signs_in_from_here(web, req, route)) {
        *ret_problem = (struct web_problem){
            .status = 403, .code = "bad_origin", .detail = "This page is not one of ours."};
        return false;
    }
    char address[ACCESS_ADDRESS_BYTES];
    struct str key;
    bool known = caller->kind != WEB_NOBODY && route->rate != ACCESS_RATE_LOGIN;
    if (known) {
        key = caller->kind == WEB_DEVICE ? str_from(caller->machine_id)
                                         : str_from(caller->person.actor);
    } else {
        char peer[HTTP_PEER_BYTES];
        http_peer(req, peer);
        access_address_key(str_from(peer), address);
        key = str_from(address);
    }
    enum access_rate_class class =
        caller->kind == WEB_NOBODY && caller->token.len > 0 ? ACCESS_RATE_HELLO : route->rate;
    int64_t retry_ms = 0;
    if (access_rate_take(access_rate_table(web->access, class), key, web_mono_ms(web), &retry_ms))
        return true;
    web->metrics.problems_rate++;
    *ret_problem = (struct web_problem){
        .status = 429,
        .code = "rate_limited",
        .detail = "Too many calls; come again later.",
        .retry_after_s = (uint32_t)((retry_ms + 999) / 1000),
    };
    return false;
}

void web_actor(const struct web_caller *caller, char dst[WEB_ACTOR_BYTES])
{
    struct text text;
    text_init(&text, dst, WEB_ACTOR_BYTES);
    if (caller->kind == WEB_DEVICE) {
        text_add(&text, STR("machine:"));
        text_add(&text, str_from(caller->machine_id));
    } else if (caller->kind == WEB_PERSON) {
        text_add(&text, str_from(caller->person.actor));
    } else {
        text_add(&text, caller->open ? STR("open") : STR("guest"));
    }
}
