/* Inside web: what its files share. */
#ifndef AUTOMAT_WEB_INT_H
#define AUTOMAT_WEB_INT_H

#include "kinds/kinds.h"
#include "net/http/http.h"
#include "net/http/http_static.h"
#include "record/record.h"
#include "telemetry/metrics.h"
#include "web/json_out.h"
#include "web/web.h"
#include "wire/wire.h"

#include <jansson.h>

#define WEB_BODY_BYTES_MAX     (64 * KIB)
#define WEB_READINGS_BYTES_MAX (192 * KIB)
#define WEB_REQUEST_ID_BYTES   65
#define WEB_ACTOR_BYTES        ACCESS_ACTOR_BYTES
#define WEB_PARAMETER_BYTES    32
#define WEB_WAIT_S_MAX         60
/* As stored.  Together less than the queue keeps of one command, so that nothing of a guest's is
 * pushed out. */
#define WEB_META_BYTES_MAX        (4 * KIB)
#define WEB_REPORT_META_BYTES_MAX (16 * KIB)
#define WEB_ANSWER_BYTES_MAX      (16 * MIB)
#define WEB_RETRY_AFTER_S         2 /* of a 503: a full disk or queue is looked at again after that */

/* ---- routes ---- */

enum web_body {
    WEB_BODY_NONE,     /* not looked at */
    WEB_BODY_OPTIONAL, /* nothing, or an object */
    WEB_BODY_REQUIRED, /* an object */
};

struct web_call;
struct web_front;

struct web_route {
    const char *parameters; /* of the query, separated by spaces */
    const char *pattern;    /* "/api/machines/{machine}/tokens/{number}" */
    enum http_method method;
    enum access_permission permission;
    enum access_rate_class rate;
    enum web_body body;
    /* One of the two.  `quick` answers before it returns and allocates nothing it need not;
     * `handle` answers the call exactly once, now or later. */
    void (*quick)(struct web *web, struct http_request *req, struct web_front *front);
    void (*handle)(struct web_call *call);
};

extern const struct web_route web_routes[]; /* ends with pattern NULL */

struct web_match {
    const struct web_route *route; /* NULL: no row for this path and method */
    bool path_known;               /* there are rows for the path with other methods */
    bool argument_bad;             /* a row would fit but for what stands for {machine}, {number} */
    uint64_t number;               /* {number}, or 0 */
    struct str machine_id;         /* {machine}, or none */
};
void web_route_match(enum http_method method, struct str path, struct web_match *ret_match);
/* False: a parameter that the route does not know, or that comes twice; `ret_name` may be cut. */
MUST_USE bool web_route_query(const struct web_route *route, struct str query,
                              char ret_name[WEB_PARAMETER_BYTES]);
/* "GET, HEAD, OPTIONS" of a path's rows. */
void web_route_allow(struct str path, char *dst, size_t dst_bytes);

/* ---- callers ---- */

enum web_caller_kind { WEB_NOBODY, WEB_PERSON, WEB_DEVICE };

struct web_caller {
    enum web_caller_kind kind;
    bool open; /* --open and no credentials: admin, and every device */
    enum access_role role;
    struct access_caller person;         /* WEB_PERSON */
    const struct fleet_machine *machine; /* WEB_DEVICE; until the loop's next turn */
    char machine_id[FLEET_ID_BYTES];     /* likewise, for later */
    int64_t device_token_id;
    enum err device_err; /* ERR_OK, or ERR_AGAIN (waits) and ERR_REFUSED (blocked) */
    struct str token;    /* as presented, when nobody knows it; with the request's life */
};

/* What is known of a request before its route runs. */
struct web_front {
    struct web_match match;
    struct web_caller caller;
    char request_id[WEB_REQUEST_ID_BYTES];
    int64_t begun_us;
};

/* Who is it?  False: `*ret_problem` says why not. */
struct web_problem {
    uint16_t status;
    const char *code;
    const char *detail;
    const char *field;      /* NULL: none */
    uint32_t retry_after_s; /* 0: none */
    struct str checks;      /* of /readyz, JSON; or none */
};
MUST_USE bool web_identify(struct web *web, const struct http_request *req,
                           const struct web_route *route, struct web_caller *ret_caller,
                           struct web_problem *ret_problem);
/* May it?  And has it not asked too often? */
MUST_USE bool web_authorise(struct web *web, const struct http_request *req,
                            const struct web_front *front, struct web_problem *ret_problem);
void web_actor(const struct web_caller *caller, char dst[WEB_ACTOR_BYTES]);
MUST_USE bool web_origin_allowed(const struct web *web, struct str origin);

/* ---- a call: a request that is answered now or later ---- */

struct web_call {
    struct web *web;
    struct http_request *req; /* NULL: the client left; the answer is still made, and dropped */
    const struct web_route *route;
    struct web_caller caller;
    char request_id[WEB_REQUEST_ID_BYTES];
    char actor[WEB_ACTOR_BYTES];
    char machine_id[FLEET_ID_BYTES]; /* {machine} */
    uint64_t number;                 /* {number} */
    int64_t begun_us;
    struct str query;           /* a copy */
    struct str origin;          /* a copy, none when not allowed */
    struct str idempotency_key; /* a copy */
    struct str cookie_token;    /* a copy of the session's token */
    struct str announced_token; /* a copy of a device token nobody knows */
    struct id128 journal_id;    /* X-Journal-Id or zero */
    json_t *body;               /* an object, or NULL where it is optional */
    uint8_t body_hash[32];      /* of the canonical body, with an idempotency key */
    char peer[HTTP_PEER_BYTES];
    bool tls;
    bool quiet; /* a poll: logged at debug only */
    /* It did not come over HTTP: who is told the answer (a JSON document, or a problem).  The call
     * is over when it returns. */
    void (*answered)(struct web_call *call, uint16_t status, struct str body);
    void *answered_cookie;
    struct web_call *prev, *next;
    struct arena scratch;
    struct buf answer;
    struct json_out out; /* writes to answer */
    void *more;          /* the handler's */
    /* The client left (req is NULL already).  NULL: the answer is made all the same, and dropped.
     */
    void (*gone)(struct web_call *call);
};

/* ---- answers: each ends the call ---- */

void web_reply_json(struct web_call *call, uint16_t status); /* what is in call->out */
void web_reply_empty(struct web_call *call, uint16_t status);
struct web_reply {
    uint16_t status;
    struct str content_type, body;
    struct str set_cookie; /* or none */
};
void web_reply(struct web_call *call, const struct web_reply *reply);
void web_reply_problem(struct web_call *call, const struct web_problem *problem);
void web_reply_refusal(struct web_call *call, const struct kinds_refusal *refusal);
void web_reply_code(struct web_call *call, uint16_t status, const char *code, const char *detail);
/* ERR_IO, ERR_FULL, ERR_NOMEM, ERR_CLOSED: 503; ERR_OK is a mistake of ours: 500. */
void web_reply_err(struct web_call *call, enum err err);
void web_reply_verdict(struct web_call *call, enum queue_verdict verdict);
/* The handler took call->req for an answer in pieces: the call ends, the request goes on. */
void web_call_streams(struct web_call *call);
/* The client left and nobody goes on with the call: it ends without an answer. */
void web_call_left(struct web_call *call);
/* A call begins: what the request carried is copied, its body read.  NULL: it was answered. */
struct web_call *web_call_begin(struct web *web, struct http_request *req,
                                const struct web_front *front);
void web_stop_check(struct web *web); /* a call ended: was it the last of a stopping server? */
void web_calls_drop(struct web *web); /* at the end: their rooms are gone */
/* A message of a device's, as the call it would be over HTTP: the handlers are the same, and so are
 * their checks and verdicts (queue rule 11).  `body` becomes the call's.  NULL: out of memory, and
 * `answered` was not called; otherwise route->handle is still due. */
struct web_message {
    const struct web_route *route;
    struct web_caller caller;
    struct str actor, machine_id;
    uint64_t number;
    const char *request_id;
    json_t *body;
    void (*answered)(struct web_call *call, uint16_t status, struct str body);
    void *cookie;
};
struct web_call *web_call_message(struct web *web, const struct web_message *message);
/* Paths under /v1 get their problems in the layout that their clients read. */
bool web_path_v1(struct str path);
void web_problem_v1(struct json_out *out, const struct web_problem *problem);
/* Without a call. */
void web_problem_now(struct web *web, struct http_request *req, const struct web_front *front,
                     const struct web_problem *problem);
void web_log_request(struct web *web, const char *request_id, const char *route, uint16_t status,
                     int64_t begun_us, bool poll, const char *actor);
#define WEB_FIELDS_MAX 12
const char *web_status_title(uint16_t status);

/* The body's reader for a call without one reads an empty object. */
void web_read_body(struct web_call *call, struct kinds_reader *reader,
                   struct kinds_refusal *refusal);
/* False: the call was answered. */
MUST_USE bool web_read_end(struct web_call *call, struct kinds_reader *reader);
/* ?limit= and ?cursor=; false: answered with 400. */
MUST_USE bool web_read_page(struct web_call *call, uint32_t *ret_limit, struct str *ret_cursor);
/* A query parameter, decoded into scratch; STR_NONE when absent.  False: answered. */
MUST_USE bool web_read_query(struct web_call *call, const char *name, struct str *ret_value);

/* Compact text in scratch; none for NULL or when out of memory. */
struct str web_json_text(struct web_call *call, const json_t *value);

struct access_by web_access_by(const struct web_call *call);
struct fleet_by web_fleet_by(const struct web_call *call);
int64_t web_now_ms(const struct web *web);  /* server time */
int64_t web_mono_ms(const struct web *web); /* loop time */

/* The machine of the call exists; with --open it is made, then.  Calls `next`, maybe later, or
 * answers 404. */
void web_machine_needed(struct web_call *call, struct str kind,
                        void (*next)(struct web_call *call, const struct fleet_machine *machine));
/* The caller speaks for call->machine_id, or the call is answered with 403. */
MUST_USE bool web_speaks_for(struct web_call *call, struct str machine_id);

/* ---- objects as JSON ---- */

void show_command(struct json_out *out, const char *key, const struct queue_command *command);
void show_offer(struct json_out *out, const struct queue_command *command, bool own);
/* The same where every board of the machine hears it: with the journal whose claim it is. */
void show_offer_wide(struct json_out *out, const struct queue_command *command, bool own);
/* What a board is told after its hello; `running` (or NULL) with its claim, if `journal_id` made
 * it.
 */
void show_welcome(struct json_out *out, const struct web *web, const struct fleet_machine *machine,
                  const struct queue_command *running, struct id128 journal_id);
/* `whole`: for staff.  Others see that it is there and what it does, not whose order it is nor how
 * it is set up. */
void show_machine(struct json_out *out, const char *key, struct web *web,
                  const struct fleet_machine *machine, bool whole);
void show_alert(struct json_out *out, const char *key, const struct record_alert *alert);
void show_audit(struct json_out *out, const char *key, const struct record_row *row);
void show_account(struct json_out *out, const char *key, const struct access_account *account);

/* A device reports with this word: a claim, or an outcome. */
bool web_status_claims(struct str word);

/* ---- parked polls ---- */

struct web_parked;
struct web_parking {
    struct web_parked *bucket[WEB_WAIT_S_MAX + 1]; /* by length of wait: each in order of time */
    struct web_parked *bucket_last[WEB_WAIT_S_MAX + 1];
    struct web_parked *woken;
    struct loop_timer *deadline, *soon;
    uint32_t count;
};
MUST_USE enum err web_parking_init(struct web *web);
void web_parking_answer_all(struct web *web);
/* A token of it is gone: whoever waits with it has to show another. */
void web_parking_answer_machine(struct web *web, struct str machine_id);
void web_parking_finish(struct web *web);

/* ---- events ---- */

struct web_hub;
MUST_USE enum err web_hub_create(struct web *web, struct web_hub **ret_hub);
void web_hub_destroy(struct web_hub *hub);
void web_hub_stop(struct web_hub *hub);
uint32_t web_hub_count(const struct web_hub *hub);
void web_hub_command(struct web_hub *hub, const struct queue_command *command);
void web_hub_machine(struct web_hub *hub, struct str machine_id);
void web_hub_progress(struct web_hub *hub, uint64_t command_id, struct str machine_id,
                      struct str created_by, const struct kinds_kind *kind,
                      const struct kinds_samples *samples);
void web_hub_records(struct web_hub *hub); /* alerts or audit may have changed */
void web_hub_session_gone(struct web_hub *hub, enum access_via via, int64_t credential_id);
void web_ws(struct web *web, struct http_request *req, struct web_front *front);

/* ---- events of rooms: readings at most twice a second a machine, windows ---- */

struct web_air;
MUST_USE enum err web_air_create(struct web *web, struct web_air **ret_air);
void web_air_destroy(struct web_air *air); /* NULL does nothing */
void web_air_reading(struct web_air *air, struct str machine_id);
void web_air_climate(struct web_air *air, struct str machine_id);

/* ---- questions to a language model ---- */

struct lm_ask;
void web_asks_stop(struct web *web); /* each is told that the server stops */
void web_asks_drop(struct web *web); /* nobody is there any more */

/* ---- the page ---- */

/* Answers a GET or HEAD of anything outside /api; false: there is no such file. */
bool web_page(struct web *web, struct http_request *req, const struct web_front *front);

/* ---- devices over MQTT ---- */

struct web_road;
struct web_control;
struct web_roads {
    struct web_road **bucket;
    struct web_road *looking; /* whose queue is to be looked at at the end of this turn */
    struct loop_timer *soon;
    struct web_control *controls; /* told to plain devices, not yet settled */
    uint32_t count, control_count;
};
MUST_USE enum err web_roads_init(struct web *web);
void web_roads_finish(struct web *web);
/* A machine's queue or admission changed: look at the end of this turn. */
void web_road_look(struct web *web, struct str machine_id);
void web_road_changed(struct web *web, const struct fleet_machine *machine);
void web_road_command(struct web *web, const struct queue_change *change);
void web_roads_tick(struct web *web);
void web_controls_tick(struct web *web);
void web_controls_finish(struct web *web);
/* A window's command was claimed: say so on window/{id}/control, once. */
void web_control_publish(struct web *web, const struct queue_command *command);

/* Boards that showed a token nobody knows, until they said hello, and those that wait for staff. */
#define WEB_ANNOUNCED_MAX 128
struct web_announced {
    int64_t at_mono_ms; /* 0: this place is free */
    char machine_id[FLEET_ID_BYTES];
    char token[FLEET_TOKEN_LEN_MAX + 1]; /* "": the registry has it */
    bool nameless; /* it came in before its token had a number: it has to come in again */
};
void web_announced_tick(struct web *web);
/* Staff decided: the connection of a board that waited is closed, and comes back as what it is. */
void web_announced_decided(struct web *web, const struct fleet_machine *machine);
/* For broker_revoke: the numbers of two rooms, kept apart. */
int64_t web_credential_of_token(int64_t access_token_id);

struct web_pipe;
void web_mqtt_ws(struct web *web, struct http_request *req, struct web_front *front);
void web_mqtt_ws_finish(struct web *web);

/* ---- the registry's copy in the column store, and devices whose readings stopped ---- */

struct web_registry;
MUST_USE enum err web_registry_create(struct web *web, struct web_registry **ret_registry);
void web_registry_destroy(struct web_registry *registry); /* NULL does nothing */
void web_registry_changed(struct web_registry *registry, const struct fleet_machine *machine);
void web_registry_tick(struct web_registry *registry);

/* ---- the room ---- */

struct web_metrics {
    uint64_t by_class[6]; /* answers by hundreds of the status */
    uint64_t problems_rate, problems_auth;
    uint64_t polls_empty, polls_full;
    struct metrics_histogram request_s; /* HTTP, from the head to the answer */
    struct metrics_histogram lm_first_s,
        lm_answer_s; /* from a question to its first word, its end */
};

/* ---- health.c: what is remembered, so that a fault of long ago does not count for ever ---- */

struct web_health {
    uint64_t dropped_rows, answers, unanswered; /* as the rooms counted when last looked */
    uint64_t unanswered_in_row;
    int64_t dropped_mono_ms, unanswered_mono_ms; /* when that last grew; 0: never */
};
void web_health_tick(struct web *web);

struct web {
    struct web_options options;
    struct loop *loop;
    struct store *store;
    struct access *access;
    struct fleet *fleet;
    struct queue *queue;
    struct broker *broker;
    struct telemetry *telemetry;
    struct climate *climate;
    struct barista *barista; /* NULL: no assistant */
    struct lm_ask *asks;     /* questions under way */
    struct http_server *server;
    struct web_parking parking;
    struct web_hub *hub;
    struct web_air *air;
    struct web_registry *registry;
    struct web_roads roads;
    struct web_announced announced[WEB_ANNOUNCED_MAX];
    struct web_pipe *pipes;    /* MQTT over WebSocket */
    const char *mqtt_address;  /* NULL: not listened */
    struct http_static *files; /* NULL: the plain page */
    struct buf openapi;
    char openapi_etag[40];
    struct id128 server_id;
    uint64_t request_salt, request_count;
    int64_t started_mono_ms;
    struct web_call *calls; /* alive */
    uint32_t call_count;
    bool stopping, server_stopped;
    void (*stop_done)(void *cookie);
    void *stop_cookie;
    struct web_metrics metrics;
    struct web_health health;
    json_t *empty; /* {} */
};

/* Room for fields of an answer. */
size_t web_fields_common(struct web *web, const char *request_id, struct str origin, bool page,
                         struct http_field *fields);

#endif
