/* The judgement as a page for people and as JSON for programs. */
#include "app/lm_eval.h"

#include <jansson.h>
#include <stdio.h>

#define PAGE_BYTES_MAX MIB

struct row {
    const char *name, *key;
    uint32_t part, whole, plain_part, plain_whole;
    bool low; /* lower is better */
};

static size_t rows_of(const struct barista_score *model, const struct barista_score *plain,
                      struct row *rows)
{
    const struct row all[] = {
        {"slots found", "slot_exact", model->slots_found, model->slots, plain->slots_found,
         plain->slots, false},
        {"answers with every slot", "all_exact", model->slotted_all, model->slotted,
         plain->slotted_all, plain->slotted, false},
        {"answers with an unsupported name or number", "unsupported", model->answers_unsupported,
         model->answers, plain->answers_unsupported, plain->answers, true},
        {"refused where it must", "refusal_right", model->must_refuse_did, model->must_refuse,
         plain->must_refuse_did, plain->must_refuse, false},
        {"refused where it must not", "refusal_wrong", model->must_not_refuse_did,
         model->must_not_refuse, plain->must_not_refuse_did, plain->must_not_refuse, true},
        {"recipes that the machine accepts, without a mask", "recipe_valid", model->recipes_valid,
         model->recipes, plain->recipes_valid, plain->recipes, false},
        {"facets classified right", "class_right", model->classes_found, model->classes, 0, 0,
         false},
    };
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (all[i].whole > 0)
            rows[count++] = all[i];
    }
    return count;
}

static enum err add_share(struct buf *page, uint32_t part, uint32_t whole)
{
    double low, high;
    if (whole == 0)
        return buf_add_str(page, STR("| - "));
    barista_interval(part, whole, &low, &high);
    return buf_printf(page, "| %.1f %% (%.1f to %.1f, n = %u) ", 100.0 * part / whole, 100 * low,
                      100 * high, whole);
}

static enum err add_table(struct buf *page, const struct barista_score *model,
                          const struct barista_score *plain)
{
    struct row rows[8];
    size_t count = rows_of(model, plain, rows);
    enum err err = buf_add_str(page, STR("| | model | retrieval and template | better |\n"
                                         "| --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        const struct row *row = &rows[i];
        double a = (double)row->part / row->whole;
        double b = row->plain_whole == 0 ? -1 : (double)row->plain_part / row->plain_whole;
        const char *better = row->plain_whole == 0 ? "-"
                             : a > b               ? (row->low ? "baseline" : "model")
                             : a < b               ? (row->low ? "model" : "baseline")
                                                   : "equal";
        err = buf_printf(page, "| %s ", row->name);
        if (err == ERR_OK)
            err = add_share(page, row->part, row->whole);
        if (err == ERR_OK)
            err = add_share(page, row->plain_part, row->plain_whole);
        if (err == ERR_OK)
            err = buf_printf(page, "| %s |\n", better);
    }
    return err;
}

static enum err add_drift(struct buf *page, const struct lm_eval_report *report)
{
    enum err err = ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(report->drift) && err == ERR_OK; i++) {
        const struct lm_eval_drift *drift = &report->drift[i];
        if (drift->measured)
            err = buf_printf(page,
                             "- %s: perplexity %.4f, %+.2f %% against %s (%.4f) on %u "
                             "dialogues\n",
                             lm_dtype_name(drift->dtype), drift->perplexity,
                             100 * (drift->perplexity / report->drift_base - 1),
                             lm_dtype_name(report->dtype), report->drift_base,
                             report->drift_dialogues);
    }
    return err;
}

static enum err add_blocks(struct buf *page, const struct lm_eval_report *report)
{
    enum err err = buf_add_str(page, STR("\n## By block of phrasings: right in every respect\n\n"
                                         "| block | dialogues | model | baseline |\n"
                                         "| --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < report->block_count && err == ERR_OK; i++) {
        const struct lm_eval_block *block = &report->block[i];
        err = buf_printf(page, "| %s | %u | %u | %u |\n", block->name, block->dialogues,
                         block->model_right, block->plain_right);
    }
    return err;
}

static enum err write_page(const char *path, const struct lm_eval_report *report)
{
    struct buf page;
    buf_init(&page, PAGE_BYTES_MAX);
    enum err err = buf_printf(
        &page,
        "# %s: judged on what was held out\n\nMeasured, greedy, %s weights, seed %llu, %.0f s. "
        "Every question is a phrasing that training never saw; names and pairs of name and "
        "question are held out too. In brackets: 95 %% intervals (Wilson).\n\n"
        "- perplexity %.4f a scored token (%llu tokens of %u dialogues)\n",
        report->name, lm_dtype_name(report->dtype), (unsigned long long)report->seed,
        (double)report->took_ms / 1000, report->perplexity, (unsigned long long)report->scored_ids,
        report->dialogues);
    if (err == ERR_OK && report->too_long > 0)
        err = buf_printf(&page,
                         "- %u dialogues, questions or texts did not fit in the context and are "
                         "not judged\n",
                         report->too_long);
    if (err == ERR_OK)
        err = add_drift(&page, report);
    if (err == ERR_OK)
        err = buf_printf(&page,
                         "- calibration error of the classes %.3f at temperature %.3f (%.3f at "
                         "1)\n\n## Generated dialogues\n\n",
                         report->model.class_calibration, report->temperature,
                         report->calibration_before);
    if (err == ERR_OK)
        err = add_table(&page, &report->model, &report->plain);
    if (err == ERR_OK)
        err = buf_printf(&page,
                         "\n## %u questions written by hand, without looking at the phrasings\n\n",
                         report->paraphrases);
    if (err == ERR_OK)
        err = add_table(&page, &report->person, &report->person_plain);
    if (err == ERR_OK)
        err = add_blocks(&page, report);
    if (err == ERR_OK)
        err = file_write_atomic(path, page.at, page.len, 0644);
    if (err == ERR_OK)
        (void)fwrite(page.at, 1, page.len, stdout);
    buf_finish(&page);
    return err;
}

static json_t *json_table(const struct barista_score *model, const struct barista_score *plain)
{
    struct row rows[8];
    size_t count = rows_of(model, plain, rows);
    json_t *table = json_object();
    for (size_t i = 0; i < count; i++) {
        double low, high, value = (double)rows[i].part / rows[i].whole;
        barista_interval(rows[i].part, rows[i].whole, &low, &high);
        json_t *entry = json_pack("{s:f, s:f, s:f, s:i}", "model", value, "low", low, "high", high,
                                  "n", (int)rows[i].whole);
        if (rows[i].plain_whole > 0)
            (void)json_object_set_new(entry, "baseline",
                                      json_real((double)rows[i].plain_part / rows[i].plain_whole));
        (void)json_object_set_new(table, rows[i].key, entry);
    }
    return table;
}

static enum err write_json(const char *path, const struct lm_eval_report *report)
{
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:i, s:f, s:I, s:f, s:f, s:f, s:o, s:o}", "model", report->name, "dtype",
        lm_dtype_name(report->dtype), "seed", (json_int_t)report->seed, "dialogues",
        (int)report->dialogues, "perplexity", report->perplexity, "scored_tokens",
        (json_int_t)report->scored_ids, "class_temperature", report->temperature,
        "class_calibration", report->model.class_calibration, "class_calibration_before",
        report->calibration_before, "generated", json_table(&report->model, &report->plain),
        "by_hand", json_table(&report->person, &report->person_plain));
    (void)json_object_set_new(root, "too_long", json_integer(report->too_long));
    for (size_t i = 0; i < ARRAY_COUNT(report->drift); i++) {
        char key[32];
        if (!report->drift[i].measured)
            continue;
        (void)snprintf(key, sizeof(key), "drift_%s", lm_dtype_name(report->drift[i].dtype));
        (void)json_object_set_new(root, key,
                                  json_real(report->drift[i].perplexity / report->drift_base - 1));
    }
    char *text = json_dumps(root, JSON_INDENT(2));
    enum err err =
        text == NULL ? ERR_NOMEM : file_write_atomic(path, text, str_from(text).len, 0644);
    free(text);
    json_decref(root);
    return err;
}

enum err lm_eval_write(const char *out_dir, const struct lm_eval_report *report)
{
    char path[APP_LM_PATH_BYTES];
    enum err err = dir_make(out_dir, 0755);
    if (err == ERR_OK)
        err = write_page(app_lm_path(path, out_dir, "eval.md"), report);
    return err != ERR_OK ? err : write_json(app_lm_path(path, out_dir, "eval.json"), report);
}
