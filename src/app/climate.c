/* automat climate: teach the window model in the simulated room, look at a model's file, hold one
 * against a thermostat, and take a server back to the version before. */
#include "app/app.h"
#include "app/places.h"
#include "app/remote.h"
#include "app/tool.h"
#include "climate/climate_teach.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define EXAMINE_SEEDS  20
#define TUNE_SEEDS     24
#define PRESET_VERSION 1

/* ---- progress ---- */

struct progress {
    struct tool_bar bar;
    int64_t began_ms;
};

static bool show_progress(void *cookie, const char *what, uint32_t done, uint32_t all)
{
    struct progress *progress = cookie;
    char text[96];
    int64_t spent_ms = sys_mono_ms() - progress->began_ms;
    int64_t total_ms = done > 0 ? spent_ms * all / done : 0;
    (void)snprintf(text, sizeof(text), "%s, %u of %u", what, done, all);
    tool_bar_show(&progress->bar, spent_ms, total_ms, text);
    return true;
}

static void progress_begin(struct progress *progress)
{
    tool_bar_init(&progress->bar);
    progress->began_ms = sys_mono_ms();
}

/* ---- holding a model against a thermostat ---- */

static void score_row(FILE *out, const char *name, const struct climate_score *score)
{
    (void)fprintf(out, "| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %u | %.1f | %.1f |\n", name,
                  100 * score->comfort, 100 * score->temperature, 100 * score->humidity,
                  100 * score->air, 100 * score->sound, score->moves, score->travel,
                  score->heating_kwh);
}

struct examination {
    uint32_t seeds, hours;
    struct climate_controller model, thermostat;
};

static void each_seed(FILE *out, const struct examination *exam)
{
    uint32_t better = 0, equal = 0;
    (void)fprintf(out, "\n| seed | model %% | thermostat %% | difference |\n|---|---|---|---|\n");
    for (uint32_t i = 0; i < exam->seeds; i++) {
        struct climate_run run = {CLIMATE_SEED_TEST + i, exam->hours};
        double model = 100 * climate_run_judge(&run, &exam->model).comfort;
        double thermostat = 100 * climate_run_judge(&run, &exam->thermostat).comfort;
        better += model > thermostat + 1e-9;
        equal += fabs(model - thermostat) <= 1e-9;
        (void)fprintf(out, "| %" PRIu64 " | %.1f | %.1f | %+.1f |\n", run.seed, model, thermostat,
                      model - thermostat);
    }
    (void)fprintf(out, "\nThe model was better on %u, equal on %u, worse on %u of %u.\n", better,
                  equal, exam->seeds - better - equal, exam->seeds);
}

static void examine(FILE *out, const struct climate_model *model, uint32_t seeds, uint32_t hours)
{
    struct progress progress;
    progress_begin(&progress);
    struct climate_thermostat thermostat = climate_thermostat_tune(
        CLIMATE_SEED_TRAIN, TUNE_SEEDS * (hours < 12 ? 8 : 1), hours, show_progress, &progress);
    tool_bar_end(&progress.bar);
    struct climate_pilot pilot = {.model = model};
    struct examination exam = {seeds, hours, climate_pilot_controller(&pilot),
                               climate_thermostat_controller(&thermostat)};
    struct climate_score model_score =
        climate_runs_judge(CLIMATE_SEED_TEST, seeds, hours, &exam.model);
    struct climate_score thermostat_score =
        climate_runs_judge(CLIMATE_SEED_TEST, seeds, hours, &exam.thermostat);
    (void)fprintf(out,
                  "## %s\n\nSimulated. Weather and guests of %u seeds that nothing was trained or "
                  "tuned on (from %d). The best thermostat of the grid on the training seeds opens "
                  "to %.0f %% above %.1f C and shuts below %.1f C.\n\n",
                  hours < 12 ? "One hour" : "A day", seeds, CLIMATE_SEED_TEST, thermostat.open_pct,
                  thermostat.open_above_c, thermostat.shut_below_c);
    (void)fprintf(out,
                  "| steered by | in comfort %% | temperature | humidity | CO2 | sound | moves "
                  "| ways | heating kWh |\n|---|---|---|---|---|---|---|---|---|\n");
    score_row(out, "model", &model_score);
    score_row(out, "thermostat", &thermostat_score);
    (void)fprintf(out, "\n%u questions, %u of them held for low confidence.\n", pilot.questions,
                  pilot.held);
    each_seed(out, &exam);
    (void)fputc('\n', out);
}

/* Measured, not simulated. */
static void time_answers(FILE *out, const struct climate_model *model)
{
    enum { ROUNDS = 200000 };
    double sum = 0;
    int64_t began_us = sys_mono_us();
    for (int i = 0; i < ROUNDS; i++) {
        struct climate_features features = {18 + i % 100 * 0.1, 45, 0.02};
        sum += climate_model_ask(model, &features).position_pct;
    }
    double each_us = (double)(sys_mono_us() - began_us) / ROUNDS;
    (void)fprintf(out,
                  "One answer takes %.2f us on this computer (measured, mean of %d; mean answer "
                  "%.0f %%).\n",
                  each_us, ROUNDS, sum / ROUNDS);
}

static void examine_all(FILE *out, const struct climate_model *model, const struct options *options)
{
    uint32_t seeds = options->seeds != 0 ? options->seeds : EXAMINE_SEEDS;
    (void)fprintf(
        out,
        "# model-%" PRIu64 " and a thermostat in the simulated room\n\n"
        "Made by `automat climate eval`; what is what is said in docs/window-model.md.\n\n",
        climate_model_version(model));
    if (options->hours != 0) {
        examine(out, model, seeds, options->hours);
        return;
    }
    examine(out, model, seeds, 1);
    examine(out, model, seeds, 24);
    time_answers(out, model);
}

/* ---- subcommands ---- */

static int train(const struct options *options)
{
    struct progress progress;
    struct climate_model *model = NULL;
    const char *path = options->out != NULL ? options->out : "preset.bin";
    enum err err = climate_model_create(1, &model);
    progress_begin(&progress);
    if (err == ERR_OK)
        err = climate_teach(model, &(struct climate_lesson_plan){.seeds = options->seeds,
                                                                 .seed = 7,
                                                                 .progress = show_progress,
                                                                 .cookie = &progress});
    tool_bar_end(&progress.bar);
    if (err == ERR_OK) {
        struct climate_model_about about = climate_model_about_get(model);
        about.version = PRESET_VERSION;
        about.origin = CLIMATE_SHIPPED;
        about.trained_at_ms = sys_wall_ms();
        climate_model_about_set(model, &about);
        err = climate_model_save(model, path);
    }
    if (err == ERR_OK) {
        struct options figures = *options;
        figures.seeds = 0;
        (void)printf("wrote %s\n\n", path);
        examine_all(stdout, model, &figures);
    } else {
        app_complain("--out (AUTOMAT_OUT): \"%s\" could not be made (%s)", path, err_name(err));
    }
    climate_model_destroy(model);
    return err == ERR_OK ? 0 : 1;
}

/* The file named, or the one that ships with the program. */
static struct climate_model *load(const struct options *options, char *path, size_t path_bytes)
{
    char why[CLIMATE_MODEL_WHY_BYTES] = "there is no such file";
    struct climate_model *model = NULL;
    const char *given = options->word_count > 1 ? options->words[1] : NULL;
    const char *file = given;
    if (given == NULL)
        file = places_model(NULL, path, path_bytes);
    else
        (void)snprintf(path, path_bytes, "%s", given);
    if (file == NULL || climate_model_load(file, why, sizeof(why), &model) != ERR_OK) {
        app_complain("%s: %s", file != NULL ? file : "the model that ships with the program", why);
        return NULL;
    }
    return model;
}

static int show(const struct options *options)
{
    static const char *const origin[] = {"untrained", "shipped", "learned"};
    char path[512], at[TIME_TEXT_BYTES];
    struct climate_model *model = load(options, path, sizeof(path));
    if (model == NULL)
        return 1;
    struct climate_model_about about = climate_model_about_get(model);
    time_text(about.trained_at_ms, at);
    (void)printf("%s\n  model-%" PRIu64 ", %s, from model-%" PRIu64 "\n  trained %s on %" PRIu64
                 " samples, %" PRIu64 " of them set by hand\n  %u lessons\n\n",
                 path, about.version, origin[about.origin], about.parent, at, about.samples,
                 about.samples_people, about.lessons);
    (void)printf("at 45 %% humidity     quiet (0.005)        talk (0.03)         loud (0.1)\n");
    for (int t = 18; t <= 27; t++) {
        static const double sound[] = {0.005, 0.03, 0.1};
        (void)printf("%2d C   ", t);
        for (size_t i = 0; i < ARRAY_COUNT(sound); i++) {
            struct climate_answer answer =
                climate_model_ask(model, &(struct climate_features){t, 45, sound[i]});
            (void)printf("  %3.0f +- %2.0f (%.2f)  ", answer.position_pct, answer.spread_pct,
                         answer.confidence);
        }
        (void)fputc('\n', stdout);
    }
    climate_model_destroy(model);
    return 0;
}

static int eval(const struct options *options)
{
    char path[512];
    struct climate_model *model = load(options, path, sizeof(path));
    if (model == NULL)
        return 1;
    FILE *out = options->out != NULL ? fopen(options->out, "we") : stdout;
    if (out == NULL)
        app_complain("--out (AUTOMAT_OUT): \"%s\" cannot be written", options->out);
    else
        examine_all(out, model, options);
    bool good = out != NULL && ferror(out) == 0;
    if (out != NULL && out != stdout)
        good = fclose(out) == 0 && good;
    climate_model_destroy(model);
    return good ? 0 : 1;
}

static int rollback(const struct options *options)
{
    json_t *answer = NULL, *body = json_object();
    bool good = body != NULL && remote_call(options, "/api/climate/model/rollback", body, &answer);
    json_decref(body);
    if (!good)
        return 1;
    json_int_t version = json_integer_value(json_object_get(answer, "version"));
    (void)printf("model-%lld speaks now\n", (long long)version);
    json_decref(answer);
    return 0;
}

int app_climate(const struct options *options)
{
    static const struct {
        const char *name;
        size_t words_max;
        int (*run)(const struct options *options);
    } table[] = {
        {"train", 1, train}, {"show", 2, show}, {"eval", 2, eval}, {"rollback", 1, rollback}};
    for (size_t i = 0; options->word_count > 0 && i < ARRAY_COUNT(table); i++) {
        if (strcmp(options->words[0], table[i].name) == 0 &&
            options->word_count <= table[i].words_max)
            return table[i].run(options);
    }
    app_complain(
        "usage: automat climate train [--seeds N] [--out FILE] | show [FILE] | eval [FILE] "
        "[--seeds N] [--hours N] [--out FILE] | rollback --server URL");
    return 2;
}
