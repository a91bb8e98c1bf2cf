#include "kinds/kinds.h"
#include "kinds/kinds_int.h"

#include <string.h>

/* The table of kinds: a fifth kind is one more line in each of these two. */
static const struct kinds_kind *const kinds_table[] = {
    &kinds_espresso,
    &kinds_window,
    NULL,
};
static const struct queue_kind *const queue_table[] = {
    &kinds_espresso.queue,
    &kinds_window.queue,
    NULL,
};

const struct kinds_kind *const *kinds_all(void)
{
    return kinds_table;
}

const struct queue_kind *const *kinds_queue_table(void)
{
    return queue_table;
}

const struct kinds_kind *kinds_find(struct str name)
{
    for (const struct kinds_kind *const *at = kinds_table; *at != NULL; at++) {
        if (str_equal(str_from((*at)->name), name))
            return *at;
    }
    return NULL;
}

const struct kinds_command *kinds_command_find(const struct kinds_kind *kind, struct str name)
{
    for (size_t i = 0; i < kind->command_count; i++) {
        if (str_equal_nocase(str_from(kind->commands[i].name), name))
            return &kind->commands[i];
    }
    return NULL;
}

const char *kinds_status_word(struct str kind, struct str command, enum queue_state state)
{
    if (state != QUEUE_RUNNING)
        return queue_state_name(state);
    const struct kinds_kind *found = kinds_find(kind);
    const struct kinds_command *known = found != NULL ? kinds_command_find(found, command) : NULL;
    return known != NULL ? known->word : queue_state_name(state);
}

bool kinds_word_running(const struct kinds_kind *kind, struct str word)
{
    for (size_t i = 0; i < kind->command_count; i++) {
        if (str_equal_nocase(str_from(kind->commands[i].word), word))
            return true;
    }
    return false;
}

static size_t column_count(const struct kinds_kind *kind)
{
    size_t count = 0;
    while (kind->columns[count] != NULL)
        count++;
    return count;
}

static bool columns_match(const struct kinds_kind *kind, const json_t *columns)
{
    if (json_array_size(columns) != column_count(kind))
        return false;
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const char *name = json_string_value(json_array_get(columns, i));
        if (name == NULL || strcmp(name, kind->columns[i]) != 0)
            return false;
    }
    return true;
}

static bool row_fits(const json_t *row, size_t columns)
{
    if (!json_is_array(row) || json_array_size(row) != columns)
        return false;
    const json_t *time = json_array_get(row, 0);
    if (!json_is_integer(time) || json_integer_value(time) < 0)
        return false;
    for (size_t i = 1; i < columns; i++) {
        const json_t *value = json_array_get(row, i);
        if (!json_is_number(value) && !json_is_null(value))
            return false;
    }
    return true;
}

bool kinds_samples_read(const struct kinds_kind *kind, struct kinds_reader *reader,
                        struct kinds_samples *ret_samples)
{
    struct kinds_samples samples = {.step = STR_NONE};
    kinds_read_text(reader, "step", false, 32, &samples.step);
    const json_t *columns = kinds_read_array(reader, "columns", false);
    if (columns != NULL && !columns_match(kind, columns))
        kinds_read_fault(reader, "out_of_limits", "columns", "These are not the columns of %s.",
                         kind->name);
    samples.rows = kinds_read_array(reader, "samples", false);
    samples.row_count = json_array_size(samples.rows);
    if (samples.row_count > KINDS_SAMPLES_BATCH_MAX)
        kinds_read_fault(reader, "out_of_limits", "samples", "At most %d samples at once.",
                         KINDS_SAMPLES_BATCH_MAX);
    int64_t last_ms = -1;
    for (size_t i = 0; kinds_read_ok(reader) && i < samples.row_count; i++) {
        const json_t *row = json_array_get(samples.rows, i);
        if (!row_fits(row, column_count(kind))) {
            kinds_read_fault(reader, "wrong_type", "samples",
                             "Sample %zu is not a list of %zu numbers that begins with t_ms.", i,
                             column_count(kind));
        } else if (json_integer_value(json_array_get(row, 0)) <= last_ms) {
            kinds_read_fault(reader, "out_of_limits", "samples", "t_ms must rise from row to row.");
        } else {
            last_ms = json_integer_value(json_array_get(row, 0));
        }
    }
    if (!kinds_read_ok(reader))
        return false;
    *ret_samples = samples;
    return true;
}

json_t *kinds_describe_names(const char *const *list)
{
    json_t *array = json_array();
    for (; array != NULL && *list != NULL; list++) {
        if (json_array_append_new(array, json_string(*list)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *kinds_describe(const struct kinds_kind *kind)
{
    json_t *about = kind->describe();
    if (about == NULL)
        return NULL;
    /* *_new gives up its reference also when it fails, and refuses NULL. */
    if (json_object_set_new(about, "kind", json_string(kind->name)) != 0 ||
        json_object_set_new(about, "steps", kinds_describe_names(kind->steps)) != 0 ||
        json_object_set_new(about, "not_after_s", json_integer(kind->queue.not_after_s)) != 0 ||
        json_object_set_new(about, "max_duration_s", json_integer(kind->queue.max_duration_s)) !=
            0) {
        json_decref(about);
        return NULL;
    }
    return about;
}

json_t *kinds_describe_limit(const struct limit *limit)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:b}", "field", limit->field, "unit", limit->unit,
                     "min", (int)limit->min, "max", (int)limit->max, "preset", (int)limit->preset,
                     "integer", (int)limit->integer);
}
