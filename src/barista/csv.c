/* Strict comma-separated tables: a table that is read wrongly would be told to guests as a fact. */
#include "barista/barista_int.h"

#include <stdio.h>
#include <string.h>

struct reader {
    const char *file;
    struct str text;
    size_t at, line, column; /* line from 1, column in bytes from 1 */
    struct lm_fault *fault;
};

enum err barista_fault(struct lm_fault *fault, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(fault->why, sizeof(fault->why), format, values);
    va_end(values);
    return ERR_INPUT;
}

static enum err fail(struct reader *reader, const char *why)
{
    reader->fault->at_byte = reader->at;
    return barista_fault(reader->fault, "%.100s:%zu:%zu: %s", reader->file, reader->line,
                         reader->column, why);
}

static bool at_end(const struct reader *reader)
{
    return reader->at == reader->text.len;
}

static char here(const struct reader *reader)
{
    return reader->text.at[reader->at];
}

static void step(struct reader *reader)
{
    if (here(reader) == '\n') {
        reader->line++;
        reader->column = 0;
    }
    reader->column++;
    reader->at++;
}

/* At the end of a record: LF, or CR LF; which is then eaten. */
static bool line_end(struct reader *reader)
{
    size_t left = reader->text.len - reader->at;
    if (left >= 2 && reader->text.at[reader->at] == '\r' && reader->text.at[reader->at + 1] == '\n')
        step(reader);
    else if (left < 1 || here(reader) != '\n')
        return false;
    step(reader);
    return true;
}

static enum err cell_quoted(struct reader *reader, struct arena *arena, struct str *ret_cell)
{
    char *dst = arena_alloc(arena, reader->text.len - reader->at + 1);
    size_t len = 0;
    if (dst == NULL)
        return ERR_NOMEM;
    step(reader);
    while (!at_end(reader)) {
        if (here(reader) == '"') {
            step(reader);
            if (at_end(reader) || here(reader) != '"') {
                *ret_cell = (struct str){dst, len};
                return ERR_OK;
            }
        } else if (here(reader) == '\n' || here(reader) == '\r') {
            break;
        }
        dst[len++] = here(reader);
        step(reader);
    }
    return fail(reader, "a quoted cell does not end on its line");
}

static enum err cell_bare(struct reader *reader, struct str *ret_cell)
{
    size_t from = reader->at;
    while (!at_end(reader) && here(reader) != ',' && here(reader) != '\n' && here(reader) != '\r') {
        if (here(reader) == '"')
            return fail(reader, "a quote inside a cell that does not begin with one");
        step(reader);
    }
    *ret_cell = str_slice(reader->text, from, reader->at);
    return ERR_OK;
}

static enum err record(struct reader *reader, struct arena *arena, struct str *cells,
                       size_t *ret_count)
{
    size_t count = 0;
    for (;;) {
        enum err err;
        if (count == BARISTA_CSV_COLUMNS_MAX)
            return fail(reader, "more than 32 cells in a line");
        if (!at_end(reader) && here(reader) == '"')
            err = cell_quoted(reader, arena, &cells[count]);
        else
            err = cell_bare(reader, &cells[count]);
        if (err != ERR_OK)
            return err;
        count++;
        if (!at_end(reader) && here(reader) == ',') {
            step(reader);
            continue;
        }
        *ret_count = count;
        return line_end(reader) ? ERR_OK : fail(reader, "expected a comma or the end of the line");
    }
}

static enum err names_check(struct reader *reader, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].len == 0)
            return fail(reader, "a column has no name");
        for (size_t k = 0; k < i; k++) {
            if (str_equal(names[i], names[k]))
                return fail(reader, "two columns have one name");
        }
    }
    return ERR_OK;
}

static size_t lines_in(struct str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n';
    return count;
}

enum err barista_csv_parse(const char *file, struct str text, struct arena *arena,
                           struct lm_fault *fault, struct barista_csv *ret_csv)
{
    struct reader reader = {file, text, 0, 1, 1, fault};
    struct str names[BARISTA_CSV_COLUMNS_MAX] = {{NULL, 0}}, cells[BARISTA_CSV_COLUMNS_MAX];
    struct barista_csv csv = {0};
    size_t lines = lines_in(text), count;
    if (!utf8_valid(text) || (text.len > 0 && memchr(text.at, '\0', text.len) != NULL))
        return fail(&reader, "the file is not text in UTF-8");
    if (lines > BARISTA_CSV_ROWS_MAX + 1)
        return fail(&reader, "more than 4096 rows");
    enum err err = record(&reader, arena, names, &csv.columns);
    if (err == ERR_OK)
        err = names_check(&reader, names, csv.columns);
    if (err != ERR_OK)
        return err;
    struct str *keep = arena_alloc(arena, sizeof(*keep) * csv.columns);
    struct str *cell = arena_alloc(arena, sizeof(*cell) * csv.columns * (lines + 1));
    if (keep == NULL || cell == NULL)
        return ERR_NOMEM;
    memcpy(keep, names, sizeof(*keep) * csv.columns);
    while (!at_end(&reader)) {
        err = record(&reader, arena, cells, &count);
        if (err != ERR_OK)
            return err;
        if (count != csv.columns)
            return fail(&reader, "the line before has not as many cells as the first");
        memcpy(cell + csv.rows++ * csv.columns, cells, sizeof(*cell) * csv.columns);
    }
    csv.name = keep;
    csv.cell = cell;
    *ret_csv = csv;
    return ERR_OK;
}

size_t barista_csv_column(const struct barista_csv *csv, struct str name)
{
    size_t i = 0;
    while (i < csv->columns && !str_equal(csv->name[i], name))
        i++;
    return i;
}

struct str barista_csv_at(const struct barista_csv *csv, size_t row, size_t column)
{
    return column < csv->columns && row < csv->rows ? csv->cell[row * csv->columns + column]
                                                    : STR_NONE;
}

enum err barista_file_read(const char *dir, const char *name, struct arena *arena,
                           struct lm_fault *fault, struct str *ret_text)
{
    struct buf buf;
    char *path = arena_printf(arena, "%s/%s", dir, name);
    if (path == NULL)
        return ERR_NOMEM;
    enum err err = file_read(path, BARISTA_FILE_BYTES_MAX, &buf);
    if (err != ERR_OK) {
        (void)snprintf(fault->why, sizeof(fault->why), "%.200s: %s", path, err_name(err));
        return err;
    }
    char *copy = arena_strdup(arena, buf_str(&buf));
    *ret_text = (struct str){copy, buf.len};
    buf_finish(&buf);
    return copy != NULL ? ERR_OK : ERR_NOMEM;
}

enum err barista_csv_read(const char *dir, const char *name, struct arena *arena,
                          struct lm_fault *fault, struct barista_csv *ret_csv)
{
    struct str text;
    enum err err = barista_file_read(dir, name, arena, fault, &text);
    return err != ERR_OK ? err : barista_csv_parse(name, text, arena, fault, ret_csv);
}
