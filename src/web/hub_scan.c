/* Alerts and audit entries are written by the rooms below inside their own transactions, which tell
 * nobody.  So after anything changed the newest are read and what differs is told. */
#include "web/hub_int.h"

struct hub_scan {
    struct store_job job;
    struct web_hub *hub;
    struct arena scratch;
    struct record_alert *alerts;
    size_t alert_count;
    struct record_row *rows;
    size_t row_count;
};

static enum err scan_run(struct store_job *job, struct store_db *db)
{
    struct hub_scan *scan = (struct hub_scan *)(void *)job;
    enum err err = record_alert_list(db, false, 0, HUB_ALERTS_MAX, &scan->scratch, &scan->alerts,
                                     &scan->alert_count);
    if (err != ERR_OK)
        return err;
    return record_audit_list(db, 0, HUB_AUDIT_MAX, STR_NONE, STR_NONE, &scan->scratch, &scan->rows,
                             &scan->row_count);
}

static bool alert_same(const struct hub_alert *old, const struct record_alert *now)
{
    return old->last_at_ms == now->last_at_ms && old->count == now->count &&
           old->acknowledged_at_ms == now->acknowledged_at_ms &&
           old->resolved_at_ms == now->resolved_at_ms;
}

static bool alert_news(const struct web_hub *hub, const struct record_alert *now)
{
    if (!hub->scan_known)
        return now->last_at_ms >= hub->since_ms || now->acknowledged_at_ms >= hub->since_ms ||
               now->resolved_at_ms >= hub->since_ms;
    for (size_t i = 0; i < hub->alert_count; i++) {
        if (hub->alert[i].alert_id == now->alert_id)
            return !alert_same(&hub->alert[i], now);
    }
    return true;
}

static bool audit_news(const struct web_hub *hub, const struct record_row *row)
{
    return hub->scan_known ? row->audit_id > hub->audit_id : row->entry.at_ms >= hub->since_ms;
}

static void tell_alert(struct web_hub *hub, const struct record_alert *alert)
{
    struct buf buf;
    buf_init(&buf, 64 * KIB);
    struct json_out out = {&buf, ERR_OK};
    out_open(&out, NULL, '{');
    out_word(&out, "type", "alert");
    show_alert(&out, "alert", alert);
    out_close(&out, '}');
    hub_broadcast(hub, ACCESS_ALERT_READ, STR_NONE, &out);
    buf_finish(&buf);
}

static void tell_audit(struct web_hub *hub, const struct record_row *row)
{
    struct buf buf;
    buf_init(&buf, 256 * KIB);
    struct json_out out = {&buf, ERR_OK};
    out_open(&out, NULL, '{');
    out_word(&out, "type", "audit");
    show_audit(&out, "entry", row);
    out_close(&out, '}');
    hub_broadcast(hub, ACCESS_AUDIT_READ, STR_NONE, &out);
    buf_finish(&buf);
}

/* Lists are newest first; people read the other way round. */
static void tell(struct web_hub *hub, const struct hub_scan *scan)
{
    for (size_t i = scan->alert_count; i > 0; i--) {
        if (alert_news(hub, &scan->alerts[i - 1]))
            tell_alert(hub, &scan->alerts[i - 1]);
    }
    for (size_t i = scan->row_count; i > 0; i--) {
        if (audit_news(hub, &scan->rows[i - 1]))
            tell_audit(hub, &scan->rows[i - 1]);
    }
}

static void remember(struct web_hub *hub, const struct hub_scan *scan)
{
    hub->alert_count = scan->alert_count < HUB_ALERTS_MAX ? scan->alert_count : HUB_ALERTS_MAX;
    for (size_t i = 0; i < hub->alert_count; i++) {
        const struct record_alert *alert = &scan->alerts[i];
        hub->alert[i] =
            (struct hub_alert){alert->alert_id, alert->last_at_ms, alert->acknowledged_at_ms,
                               alert->resolved_at_ms, alert->count};
    }
    if (scan->row_count > 0)
        hub->audit_id = scan->rows[0].audit_id;
    hub->scan_known = true;
}

static void scan_free(struct hub_scan *scan)
{
    arena_finish(&scan->scratch);
    mem_free(scan);
}

static void scan_done(struct store_job *job, enum err err)
{
    struct hub_scan *scan = (struct hub_scan *)(void *)job;
    struct web_hub *hub = scan->hub;
    hub->scan = NULL;
    if (err == ERR_OK && hub->clients != NULL) {
        tell(hub, scan);
        remember(hub, scan);
    }
    scan_free(scan);
    if (hub->scan_again) {
        hub->scan_again = false;
        web_hub_records(hub);
    }
}

void hub_scan(struct web_hub *hub)
{
    if (hub->scan != NULL) {
        hub->scan_again = true; /* it may have read before the change */
        return;
    }
    struct hub_scan *scan = mem_zalloc(sizeof(*scan));
    if (scan == NULL)
        return;
    scan->job.run = scan_run;
    scan->job.done = scan_done;
    scan->hub = hub;
    arena_init(&scan->scratch, MIB);
    hub->scan = scan;
    if (store_read(hub->web->store, &scan->job) == ERR_OK)
        return;
    hub->scan = NULL;
    scan_free(scan);
}

/* The store is closed by now, so nothing is in flight unless it was cut off in a test. */
void hub_scan_finish(struct web_hub *hub)
{
    if (hub->scan != NULL)
        scan_free(hub->scan);
    hub->scan = NULL;
}
