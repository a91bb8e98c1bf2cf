/* update: a claim, or how it ended. */
#include "wire/wire_int.h"

static const char *const status_names[] = {
    [WIRE_CLAIM] = "brewing",     [WIRE_COMPLETE] = "complete",   [WIRE_FAILED] = "failed",
    [WIRE_REJECTED] = "rejected", [WIRE_CANCELLED] = "cancelled",
};

const char *wire_status_name(enum wire_status status)
{
    ASSERT((size_t)status < ARRAY_COUNT(status_names));
    return status_names[status];
}

enum err wire_status_from(struct str text, enum wire_status *ret_status)
{
    for (size_t i = 0; i < ARRAY_COUNT(status_names); i++) {
        if (str_equal(text, str_from(status_names[i]))) {
            *ret_status = (enum wire_status)i;
            return ERR_OK;
        }
    }
    return ERR_INPUT;
}

static void put_meta(struct wire_writer *w, const struct wire_report *report)
{
    wire_key(w, "meta");
    wire_object(w);
    if (report->reason[0] != '\0') {
        wire_key(w, "error");
        wire_put_text(w, report->reason);
    }
    if (report->warning[0] != '\0') {
        wire_key(w, "warning");
        wire_put_text(w, report->warning);
    }
    if (report->duration_ms >= 0) {
        wire_key(w, "duration_ms");
        wire_put_i64(w, report->duration_ms);
    }
    for (uint32_t i = 0; i < report->number_count; i++) {
        wire_key(w, report->number[i].name);
        wire_put_milli(w, report->number[i].milli);
    }
    if (report->sensors.at != NULL) {
        wire_key(w, "sensors");
        wire_put_raw(w, report->sensors);
    }
    wire_object_end(w);
}

enum err wire_report_encode(const struct wire_report *report, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    if (report->command_id != 0) {
        wire_key(&w, "command_id");
        wire_put_u64(&w, report->command_id);
    }
    wire_key(&w, "status");
    wire_put_text(&w, wire_status_name(report->status));
    if (report->has_claim) {
        wire_key(&w, "claim_id");
        wire_put_id(&w, report->claim_id);
    }
    if (!id128_is_zero(report->journal_id)) {
        wire_key(&w, "journal_id");
        wire_put_id(&w, report->journal_id);
    }
    if (!id128_is_zero(report->uid)) {
        wire_key(&w, "uid");
        wire_put_id(&w, report->uid);
    }
    put_meta(&w, report);
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

static bool is_own(struct wire_value key)
{
    return wire_is(key, STR("error")) || wire_is(key, STR("warning")) ||
           wire_is(key, STR("duration_ms")) || wire_is(key, STR("sensors"));
}

/* Every number in meta that has no meaning of its own is a measured figure. */
static void read_numbers(struct wire_fields *meta, struct wire_report *report)
{
    struct wire_walk walk = wire_walk(meta->object);
    struct wire_value key;
    struct wire_value value;
    while (!meta->bad && wire_walk_next(&walk, &key, &value)) {
        struct wire_number *number = &report->number[report->number_count];
        if (value.type != WIRE_NUMBER || is_own(key))
            continue;
        if (report->number_count == WIRE_NUMBERS_MAX)
            wire_fields_fail(meta, "meta", "too many numbers");
        else if (wire_get_text(key, number->name, sizeof(number->name)) != ERR_OK ||
                 wire_get_milli(value, &number->milli) != ERR_OK)
            wire_fields_fail(meta, "meta", "range");
        else
            report->number_count++;
    }
}

static void read_meta(struct wire_fields *fields, struct wire_report *report)
{
    struct wire_value value;
    if (!wire_field(fields, "meta", false, WIRE_OBJECT, &value))
        return;
    report->meta = value.raw;
    struct wire_fields meta = wire_fields_of(fields, value);
    (void)wire_field_text(&meta, "error", false, report->reason, sizeof(report->reason));
    (void)wire_field_text(&meta, "warning", false, report->warning, sizeof(report->warning));
    (void)wire_field_i64(&meta, "duration_ms", false, 0, INT64_MAX, &report->duration_ms);
    if (wire_field(&meta, "sensors", false, WIRE_OBJECT, &value))
        report->sensors = value.raw;
    read_numbers(&meta, report);
    if (meta.bad) {
        fields->bad = true;
        fields->fault = meta.fault;
    }
}

enum err wire_report_decode(struct str body, struct wire_report *ret_report,
                            struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_report report = {.duration_ms = -1};
    char status[WIRE_NAME_BYTES];
    wire_fields_open(&fields, body);
    if (wire_field_text(&fields, "status", true, status, sizeof(status)) &&
        wire_status_from(str_from(status), &report.status) != ERR_OK)
        wire_fields_fail(&fields, "status", "unknown word");
    report.has_claim = wire_field_id(&fields, "claim_id", false, &report.claim_id);
    (void)wire_field_id(&fields, "journal_id", false, &report.journal_id);
    (void)wire_field_id(&fields, "uid", false, &report.uid);
    (void)wire_field_u64(&fields, "command_id", false, INT64_MAX, &report.command_id);
    read_meta(&fields, &report);
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_report = report;
    return err;
}
