/* What a run tells: metrics.csv, a row a step; progress.json for who looks on; loss.svg. */
#include "lm/train/train_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096
#define CSV_MAX    (256 * MIB)
#define TELL_MS    1000

static const char header[] =
    "step,tokens,loss,valid_loss,valid_perplexity,learning_rate,grad_norm,tokens_per_s\n";

/* "step,tokens,loss,valid_loss,..."; false: not a whole row. */
static bool row_read(struct str line, uint64_t *ret_step, double value[3])
{
    char text[256], *at = text;
    if (str_copy(text, sizeof(text), line) != ERR_OK)
        return false;
    *ret_step = strtoull(at, &at, 10);
    for (int i = 0; i < 3; i++) {
        if (*at != ',')
            return false;
        at++;
        value[i] = *at == ',' ? NAN : strtod(at, &at);
    }
    return *at == ',';
}

/* Rows of steps that the checkpoint knows; the others will be run again.  A row that a crash cut
 * short has no end of line. */
static enum err keep_rows(struct lm_report *report, const char *path, uint64_t step_max)
{
    struct buf old, kept;
    buf_init(&kept, CSV_MAX);
    enum err err = file_read(path, CSV_MAX, &old);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    else if (err != ERR_OK)
        return err;
    struct str rest = buf_str(&old);
    if (err == ERR_OK)
        err = buf_add_str(&kept, str_from(header));
    for (size_t end; err == ERR_OK && (end = str_find(rest, '\n')) < rest.len;) {
        struct str line = str_slice(rest, 0, end + 1);
        uint64_t step = 0;
        double value[3];
        rest = str_slice(rest, end + 1, rest.len);
        if (!row_read(line, &step, value) || step == 0 || step > step_max)
            continue;
        lm_points_add(&report->train, value[0], value[1]);
        if (isfinite(value[2]))
            lm_points_add(&report->valid, value[0], value[2]);
        err = buf_add_str(&kept, line);
    }
    if (err == ERR_OK)
        err = file_write_atomic(path, kept.at, kept.len, 0644);
    buf_finish(&old);
    buf_finish(&kept);
    return err;
}

enum err lm_report_open(struct lm_report *report, const char *out_dir, uint64_t resume_step)
{
    char path[PATH_BYTES];
    *report = (struct lm_report){.out_dir = out_dir};
    if (out_dir == NULL)
        return ERR_OK;
    (void)snprintf(path, sizeof(path), "%s/metrics.csv", out_dir);
    enum err err = resume_step > 0 ? keep_rows(report, path, resume_step)
                                   : file_write_atomic(path, header, sizeof(header) - 1, 0644);
    if (err != ERR_OK)
        return err;
    report->csv = fopen(path, "ae");
    return report->csv != NULL ? ERR_OK : ERR_IO;
}

void lm_report_close(struct lm_report *report)
{
    if (report->csv != NULL)
        (void)fclose(report->csv); /* each row was flushed when it was written */
    report->csv = NULL;
}

enum err lm_report_step(struct lm_report *report, const struct lm_train_progress *p)
{
    lm_points_add(&report->train, (double)p->tokens, p->loss);
    if (p->validated)
        lm_points_add(&report->valid, (double)p->tokens, p->valid_loss);
    if (report->csv == NULL)
        return ERR_OK;
    FILE *csv = report->csv;
    (void)fprintf(csv, "%" PRIu64 ",%" PRIu64 ",%.9g,", p->step, p->tokens, p->loss);
    if (p->validated)
        (void)fprintf(csv, "%.9g,%.6g", p->valid_loss, exp(p->valid_loss));
    else
        (void)fputc(',', csv);
    (void)fprintf(csv, ",%.9g,%.6g,%.1f\n", p->learning_rate, p->grad_norm, p->tokens_per_s);
    return fflush(csv) == 0 && ferror(csv) == 0 ? ERR_OK : ERR_IO;
}

/* JSON knows no infinity. */
static void add_number(struct text *text, const char *name, double value)
{
    char number[64];
    if (isfinite(value))
        (void)snprintf(number, sizeof(number), ", \"%s\": %.9g", name, value);
    else
        (void)snprintf(number, sizeof(number), ", \"%s\": null", name);
    text_add(text, str_from(number));
}

void lm_report_progress(struct lm_report *report, const struct lm_train_progress *p,
                        const char *state, bool now)
{
    char path[PATH_BYTES], storage[1024];
    struct text text;
    int64_t now_ms = sys_mono_ms();
    if (report->out_dir == NULL ||
        (!now && report->told_ms != 0 && now_ms - report->told_ms < TELL_MS))
        return;
    report->told_ms = now_ms;
    text_init(&text, storage, sizeof(storage));
    text_add(&text, STR("{\"state\": \""));
    text_add(&text, str_from(state));
    text_add(&text, STR("\", \"step\": "));
    text_add_u64(&text, p->step);
    text_add(&text, STR(", \"steps\": "));
    text_add_u64(&text, p->steps);
    text_add(&text, STR(", \"tokens\": "));
    text_add_u64(&text, p->tokens);
    add_number(&text, "loss", p->step > 0 ? p->loss : NAN);
    add_number(&text, "valid_loss", p->valid_loss > 0 ? p->valid_loss : NAN);
    add_number(&text, "best", p->best_valid_loss > 0 ? p->best_valid_loss : NAN);
    add_number(&text, "learning_rate", p->learning_rate);
    add_number(&text, "tokens_per_s", p->tokens_per_s);
    add_number(&text, "eta_s", p->eta_s);
    text_add(&text, STR("}\n"));
    (void)snprintf(path, sizeof(path), "%s/progress.json", report->out_dir);
    /* Nobody's training ends because nobody can be told of it. */
    enum err err = file_write_atomic(path, text.at, text.len, 0644);
    (void)err;
}

enum err lm_report_picture(const struct lm_report *report, const char *name)
{
    char path[PATH_BYTES];
    struct buf svg;
    if (report->out_dir == NULL)
        return ERR_OK;
    buf_init(&svg, MIB);
    enum err err = lm_picture_draw(&svg, name, &report->train, &report->valid);
    (void)snprintf(path, sizeof(path), "%s/loss.svg", report->out_dir);
    if (err == ERR_OK)
        err = file_write_atomic(path, svg.at, svg.len, 0644);
    buf_finish(&svg);
    return err;
}
