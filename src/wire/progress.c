/* What a running command and an idle machine look like now. */
#include "wire/wire_int.h"

static void put_samples(struct wire_writer *w, const struct wire_progress *progress)
{
    wire_key(w, "columns");
    wire_array(w);
    wire_put_text(w, "t_ms");
    for (uint32_t i = 0; i < progress->column_count; i++)
        wire_put_text(w, progress->column[i]);
    wire_array_end(w);
    wire_key(w, "samples");
    wire_array(w);
    const int32_t *at = progress->samples;
    for (uint32_t row = 0; row < progress->sample_count; row++) {
        wire_array(w);
        wire_put_i64(w, *at++);
        for (uint32_t i = 0; i < progress->column_count; i++)
            wire_put_milli(w, *at++);
        wire_array_end(w);
    }
    wire_array_end(w);
}

enum err wire_progress_encode(const struct wire_progress *progress, struct text *text)
{
    struct wire_writer w;
    ASSERT(progress->column_count <= WIRE_COLUMNS_MAX);
    ASSERT(progress->sample_count <= WIRE_SAMPLES_MAX);
    wire_begin(&w, text);
    wire_object(&w);
    if (progress->command_id != 0) {
        wire_key(&w, "command_id");
        wire_put_u64(&w, progress->command_id);
    }
    wire_key(&w, "claim_id");
    wire_put_id(&w, progress->claim_id);
    wire_key(&w, "step");
    wire_put_text(&w, progress->step);
    put_samples(&w, progress);
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

static void read_columns(struct wire_fields *fields, struct wire_progress *progress)
{
    struct wire_value list;
    struct wire_value value;
    struct wire_value none;
    if (!wire_field(fields, "columns", false, WIRE_ARRAY, &list))
        return;
    struct wire_walk walk = wire_walk(list);
    if (!wire_walk_next(&walk, &none, &value) || !wire_is(value, STR("t_ms"))) {
        wire_fields_fail(fields, "columns", "t_ms must be the first");
        return;
    }
    while (wire_walk_next(&walk, &none, &value)) {
        uint32_t i = progress->column_count;
        if (i == WIRE_COLUMNS_MAX ||
            wire_get_text(value, progress->column[i], WIRE_NAME_BYTES) != ERR_OK) {
            wire_fields_fail(fields, "columns", "range");
            return;
        }
        progress->column_count++;
    }
}

static bool read_number(struct wire_value value, bool whole, int32_t *ret_number)
{
    int64_t wide;
    enum err err = whole ? wire_get_i64(value, &wide) : wire_get_milli(value, &wide);
    if (err != ERR_OK || wide < INT32_MIN || wide > INT32_MAX)
        return false;
    *ret_number = (int32_t)wide;
    return true;
}

static bool read_row(struct wire_value row, uint32_t column_count, int32_t *storage)
{
    struct wire_value value;
    struct wire_value none;
    if (row.type != WIRE_ARRAY)
        return false;
    struct wire_walk walk = wire_walk(row);
    for (uint32_t i = 0; i <= column_count; i++) {
        if (!wire_walk_next(&walk, &none, &value) || !read_number(value, i == 0, &storage[i]))
            return false;
    }
    return !wire_walk_next(&walk, &none, &value);
}

static enum err read_samples(struct wire_fields *fields, int32_t *storage, size_t storage_count,
                             struct wire_progress *progress)
{
    struct wire_value list;
    struct wire_value row;
    struct wire_value none;
    size_t width = 1 + (size_t)progress->column_count;
    if (!wire_field(fields, "samples", false, WIRE_ARRAY, &list))
        return ERR_OK;
    struct wire_walk walk = wire_walk(list);
    while (wire_walk_next(&walk, &none, &row)) {
        if (progress->sample_count == WIRE_SAMPLES_MAX) {
            wire_fields_fail(fields, "samples", "too many");
            return ERR_OK;
        }
        if ((progress->sample_count + 1) * width > storage_count)
            return ERR_FULL;
        if (!read_row(row, progress->column_count, &storage[progress->sample_count * width])) {
            wire_fields_fail(fields, "samples", "range");
            return ERR_OK;
        }
        progress->sample_count++;
    }
    return ERR_OK;
}

enum err wire_progress_decode(struct str body, int32_t *storage, size_t storage_count,
                              struct wire_progress *ret_progress, struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_progress progress = {.samples = storage};
    wire_fields_open(&fields, body);
    (void)wire_field_id(&fields, "claim_id", true, &progress.claim_id);
    (void)wire_field_u64(&fields, "command_id", false, INT64_MAX, &progress.command_id);
    (void)wire_field_text(&fields, "step", false, progress.step, sizeof(progress.step));
    read_columns(&fields, &progress);
    enum err err = read_samples(&fields, storage, storage_count, &progress);
    if (err == ERR_OK)
        err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_progress = progress;
    return err;
}

enum err wire_machine_encode(const struct wire_machine *machine, struct text *text)
{
    struct wire_writer w;
    wire_begin(&w, text);
    wire_object(&w);
    wire_key(&w, "step");
    wire_put_text(&w, machine->step);
    wire_key(&w, "sensors");
    wire_put_raw(&w, machine->sensors.at != NULL ? machine->sensors : STR("{}"));
    if (machine->faults.at != NULL) {
        wire_key(&w, "faults");
        wire_put_raw(&w, machine->faults);
    }
    wire_object_end(&w);
    return text->overflow ? ERR_FULL : ERR_OK;
}

enum err wire_machine_decode(struct str body, struct wire_machine *ret_machine,
                             struct wire_fault *ret_fault)
{
    struct wire_fields fields;
    struct wire_machine machine = {0};
    struct wire_value value;
    wire_fields_open(&fields, body);
    (void)wire_field_text(&fields, "step", true, machine.step, sizeof(machine.step));
    if (wire_field(&fields, "sensors", false, WIRE_OBJECT, &value))
        machine.sensors = value.raw;
    if (wire_field(&fields, "faults", false, WIRE_ARRAY, &value))
        machine.faults = value.raw;
    enum err err = wire_fields_end(&fields, ret_fault);
    if (err == ERR_OK)
        *ret_machine = machine;
    return err;
}
