/* Inside web: the event hub. */
#ifndef AUTOMAT_WEB_HUB_INT_H
#define AUTOMAT_WEB_HUB_INT_H

#include "web/web_int.h"

#define HUB_DIRTY_MAX  64
#define HUB_ALERTS_MAX 100 /* newest alerts watched for changes */
#define HUB_AUDIT_MAX  100 /* entries told at once; a page asks for more itself */

struct hub_client {
    struct hub_client *prev, *next;
    struct web_hub *hub;
    struct ws *ws;
    uint64_t seq;
    enum access_role role;
    enum access_via via;
    int64_t credential_id;
    char actor[WEB_ACTOR_BYTES];
};

/* An alert as it was last told. */
struct hub_alert {
    uint64_t alert_id;
    int64_t last_at_ms, acknowledged_at_ms, resolved_at_ms;
    uint32_t count;
};

struct web_hub {
    struct web *web;
    struct hub_client *clients;
    uint32_t client_count;
    struct loop_timer *machines_due, *records_due;
    char dirty[HUB_DIRTY_MAX][FLEET_ID_BYTES]; /* machines to show again */
    size_t dirty_count;
    bool records_set;

    /* alerts and audit, read from the database */
    bool scan_known;  /* what follows is filled: differences are news */
    int64_t since_ms; /* until then, what is younger than the first client is news (server time) */
    bool scan_again;
    struct hub_scan *scan; /* in flight */
    uint64_t audit_id;     /* newest told */
    struct hub_alert alert[HUB_ALERTS_MAX];
    size_t alert_count;
};

void hub_broadcast(struct web_hub *hub, enum access_permission everybody, struct str owner,
                   const struct json_out *event);
void hub_scan(struct web_hub *hub);
void hub_scan_finish(struct web_hub *hub);

#endif
