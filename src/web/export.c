/* A series as CSV, as long as it is: read page by page, so that neither we nor the client need room
 * for all of it. */
#include "web/telemetry_int.h"

#include <stdio.h>
#include <string.h>

#define PAGE_POINTS 5000

struct exporting {
    struct web *web;
    struct http_request *req; /* NULL: the client left */
    struct telemetry_range range;
    enum telemetry_resolution resolution;
    const char *unit;
    struct buf page; /* written as far as the client takes it */
    bool reading, last, begun;
    struct web_call *call; /* until the first page is there: a refusal is a problem document */
    char machine_id[FLEET_ID_BYTES], type[TELEMETRY_TYPE_BYTES];
};

static void export_free(struct exporting *exporting)
{
    buf_finish(&exporting->page);
    mem_free(exporting);
}

static void page_read(struct exporting *exporting);

static void room(void *cookie)
{
    struct exporting *exporting = cookie;
    if (exporting->page.len > 0) {
        enum err err = http_stream_write(exporting->req, buf_str(&exporting->page));
        if (err != ERR_OK)
            return; /* ERR_FULL: called again.  ERR_CLOSED: gone is on its way */
        buf_consume(&exporting->page, exporting->page.len);
    }
    if (exporting->reading)
        return;
    if (!exporting->last) {
        page_read(exporting);
        return;
    }
    http_stream_end(exporting->req);
    export_free(exporting);
}

static void gone(void *cookie)
{
    struct exporting *exporting = cookie;
    exporting->req = NULL;
    if (!exporting->reading)
        export_free(exporting);
}

static const struct http_stream_user stream_user = {room, gone};

/* The call ends here: the rest of the answer is the stream's. */
static void begin(struct exporting *exporting)
{
    struct web_call *call = exporting->call;
    struct http_field fields[WEB_FIELDS_MAX + 1];
    char name[200];
    size_t count = web_fields_common(exporting->web, call->request_id, call->origin, false, fields);
    (void)snprintf(name, sizeof(name), "attachment; filename=\"%s-%s.csv\"", exporting->machine_id,
                   exporting->type);
    fields[count++] = (struct http_field){STR("Content-Disposition"), str_from(name)};
    exporting->req = call->req;
    exporting->call = NULL;
    exporting->begun = true;
    if (exporting->req != NULL)
        http_stream_begin(exporting->req,
                          &(struct http_answer){.status = 200,
                                                .content_type = STR("text/csv; charset=utf-8"),
                                                .fields = fields,
                                                .field_count = count},
                          &stream_user, exporting);
    web_call_streams(call);
}

static enum err line_add(struct exporting *exporting, const struct telemetry_point *point)
{
    char at[TIME_TEXT_BYTES];
    time_text(point->at_ms, at);
    return buf_printf(&exporting->page, "%s,%s,%s,%s,%.9g,%.9g,%.9g,%u\r\n", at,
                      exporting->machine_id, exporting->type, exporting->unit, point->avg,
                      point->min, point->max, point->count);
}

static void page_done(void *cookie, enum err err, enum telemetry_resolution resolution,
                      const struct telemetry_point *points, size_t count, bool more)
{
    struct exporting *exporting = cookie;
    exporting->reading = false;
    if (!exporting->begun && err != ERR_OK) {
        if (err == ERR_NOT_FOUND)
            web_reply_code(exporting->call, 404, "unknown_series",
                           "Nothing of this type was ever stored.");
        else
            web_reply_err(exporting->call, err);
        export_free(exporting);
        return;
    }
    if (!exporting->begun) {
        err = buf_add_str(&exporting->page, STR("at,machine_id,type,unit,avg,min,max,count\r\n"));
        begin(exporting);
    }
    exporting->range.resolution = resolution; /* as the first page chose it */
    for (size_t i = 0; err == ERR_OK && i < count; i++)
        err = line_add(exporting, &points[i]);
    exporting->last = !more || count == 0;
    if (count > 0)
        exporting->range.from_ms = points[count - 1].at_ms + 1;
    if (exporting->req == NULL) {
        export_free(exporting);
    } else if (err != ERR_OK) {
        http_stream_abort(exporting->req); /* the client sees that something is missing */
        export_free(exporting);
    } else {
        room(exporting);
    }
}

static void page_read(struct exporting *exporting)
{
    exporting->reading = true;
    enum err err =
        telemetry_range_read(exporting->web->telemetry, &exporting->range, page_done, exporting);
    if (err != ERR_OK)
        page_done(exporting, err, exporting->range.resolution, NULL, 0, false);
}

void web_telemetry_export(struct web_call *call)
{
    struct exporting *exporting = mem_zalloc(sizeof(*exporting));
    if (exporting == NULL) {
        web_reply_err(call, ERR_NOMEM);
        return;
    }
    buf_init(&exporting->page, MIB);
    exporting->web = call->web;
    exporting->call = call;
    if (!web_range_read(call, &exporting->range)) {
        export_free(exporting);
        return;
    }
    /* As fine as it was stored, unless something coarser is asked for. */
    if (exporting->range.resolution == TELEMETRY_AUTO)
        exporting->range.resolution = TELEMETRY_RAW;
    exporting->range.points_max = PAGE_POINTS;
    const struct telemetry_type *known = telemetry_type_find(exporting->range.type);
    exporting->unit = known != NULL ? known->unit : "";
    enum err err =
        str_copy(exporting->machine_id, sizeof(exporting->machine_id), exporting->range.machine_id);
    if (err == ERR_OK)
        err = str_copy(exporting->type, sizeof(exporting->type), exporting->range.type);
    if (err != ERR_OK) {
        export_free(exporting);
        web_reply_err(call, err);
        return;
    }
    exporting->range.machine_id = str_from(exporting->machine_id);
    exporting->range.type = str_from(exporting->type);
    page_read(exporting);
}
