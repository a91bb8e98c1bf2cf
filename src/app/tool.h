/* tool: what load, monitor and validate share: asking a server, latencies, a line that is redrawn.
 */
#ifndef AUTOMAT_APP_TOOL_H
#define AUTOMAT_APP_TOOL_H

#include "app/options.h"
#include "net/mqtt/mqtt.h"

#include <jansson.h>

/* ---- asking over HTTP, one call at a time; the connection is kept ---- */

struct tool_http {
    const struct options *options;
    const char *token; /* --token or AUTOMAT_ADMIN_TOKEN; NULL: the server must be --open */
    void *curl;
    struct buf answer;
    char why[256]; /* after a call that failed */
};
MUST_USE bool tool_http_open(struct tool_http *http, const struct options *options);
void tool_http_close(struct tool_http *http);
/* Status, or 0: no answer.  `body` NULL: GET, else POST of JSON.  The answer is in http->answer
 * until the next call.  `token` NULL: http->token. */
long tool_http_call(struct tool_http *http, const char *path, const char *token, const char *body);
/* GET; a new reference, or NULL and `why`. */
json_t *tool_http_get(struct tool_http *http, const char *path);
/* A sample of /metrics, all its labels added up.  False: it is not there. */
MUST_USE bool tool_http_metric(struct tool_http *http, const char *name, double *ret_value);

/* With an admin token: makes a machine of kind window, or another token for one that is there.
 * False: it said why on stderr. */
#define TOOL_TOKEN_BYTES 200
MUST_USE bool tool_register(struct tool_http *http, const char *machine_id,
                            char token[TOOL_TOKEN_BYTES]);

/* Which secret an MQTT connection shows, and whether there is one. */
const char *tool_token(const struct options *options);

/* ---- the server's MQTT: --mqtts, which is verified against --cacert, or --mqtt ---- */

struct tls_client;
struct tool_mqtt {
    char host[256];
    uint16_t port;
    struct tls_client *tls; /* NULL: plain */
};
const char *tool_mqtt_address(const struct options *options); /* as given; NULL: neither is */
const char *tool_mqtt_flag(const struct options *options);    /* "mqtt" or "mqtts": the one of it */
/* False: it said why on stderr.  `mqtt` is zero before. */
MUST_USE bool tool_mqtt_open(struct tool_mqtt *mqtt, const struct options *options);
/* Where a client connects to, and how; `mqtt` outlives it. */
void tool_mqtt_use(const struct tool_mqtt *mqtt, struct mqtt_client_options *client);
const char *tool_mqtt_why(const struct tool_mqtt *mqtt); /* TLS failed because; "": it did not */
void tool_mqtt_close(struct tool_mqtt *mqtt);            /* after the clients */

/* ---- latencies: buckets that grow by an eighth ---- */

#define TOOL_BUCKETS 256
struct tool_latency {
    uint64_t count, bucket[TOOL_BUCKETS];
    int64_t max_us;
};
void tool_latency_add(struct tool_latency *latency, int64_t us);
/* At most an eighth too high; 0 when there is none. */
int64_t tool_latency_at(const struct tool_latency *latency, double part);
/* "1.25 ms"; `dst` is returned. */
#define TOOL_TIME_BYTES 24
const char *tool_time(int64_t us, char dst[TOOL_TIME_BYTES]);

/* ---- the terminal ---- */

unsigned tool_width(void); /* of stdout; 80 when it is none */
/* "[#####.....] 50% 12,000 of 24,000, 5 s left"; on a terminal it is drawn over itself, elsewhere
 * it is one line every five seconds.  On stderr. */
struct tool_bar {
    bool is_terminal, drawn;
    int64_t last_ms;
};
void tool_bar_init(struct tool_bar *bar);
void tool_bar_show(struct tool_bar *bar, int64_t done_ms, int64_t total_ms, const char *what);
void tool_bar_end(struct tool_bar *bar);

#endif
