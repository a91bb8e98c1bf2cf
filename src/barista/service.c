/* The service: made and ended; its models, its engine, what it says about itself. */
#include "barista/service_int.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool service_join(char *dst, size_t dst_bytes, const char *a, const char *b)
{
    int len = snprintf(dst, dst_bytes, "%s/%s", a, b);
    return len > 0 && (size_t)len < dst_bytes;
}

void service_fault(struct lm_fault *fault, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(fault->why, sizeof(fault->why), format, values);
    va_end(values);
    fault->at_byte = 0;
}

struct service_model *service_model_find(struct barista *barista, struct str name)
{
    for (size_t i = 0; i < SERVICE_MODELS; i++) {
        if (str_equal(str_from(barista->model[i].name), name))
            return &barista->model[i];
    }
    return NULL;
}

/* ---- the engine ---- */

static void notified(void *cookie)
{
    struct barista *barista = cookie;
    loop_wake_post(barista->wake);
}

static void woken(void *cookie)
{
    struct barista *barista = cookie;
    for (struct service_engine *engine = barista->engines; engine != NULL; engine = engine->next)
        lm_engine_collect(engine->engine);
    service_engines_sweep(barista);
}

static enum err engine_add(struct barista *barista)
{
    struct service_engine *engine = mem_zalloc(sizeof(*engine));
    if (engine == NULL)
        return ERR_NOMEM;
    struct lm_engine_options options = {.threads = barista->threads,
                                        .queue_max = barista->queue_max,
                                        .notify = notified,
                                        .cookie = barista};
    enum err err = lm_engine_create(&options, &engine->engine);
    if (err != ERR_OK) {
        mem_free(engine);
        return err;
    }
    engine->next = barista->engines;
    barista->engines = engine;
    return ERR_OK;
}

enum err service_engine_get(struct barista *barista, struct service_engine **ret_engine)
{
    if (barista->engines == NULL) {
        enum err err = engine_add(barista);
        if (err != ERR_OK)
            return err;
    }
    *ret_engine = barista->engines;
    return ERR_OK;
}

static void load_add(struct lm_engine_load *sum, const struct lm_engine_load *load)
{
    sum->waiting += load->waiting;
    sum->running += load->running;
    sum->requests += load->requests;
    sum->refused += load->refused;
    sum->ids_made += load->ids_made;
    sum->ids_read += load->ids_read;
    sum->ids_cached += load->ids_cached;
}

static void engine_end(struct barista *barista, struct service_engine *engine)
{
    struct lm_engine_load load = lm_engine_load(engine->engine);
    lm_engine_destroy(engine->engine); /* calls done of what it still holds */
    load.waiting = load.running = 0;
    load_add(&barista->past, &load);
    mem_free(engine);
}

void service_engines_sweep(struct barista *barista)
{
    struct service_engine **at = barista->engines == NULL ? NULL : &barista->engines->next;
    while (at != NULL && *at != NULL) {
        struct service_engine *engine = *at;
        if (engine->waits > 0) {
            at = &engine->next;
            continue;
        }
        *at = engine->next;
        engine_end(barista, engine);
    }
}

/* ---- loading a model again ---- */

struct service_load {
    struct loop_job job;
    struct barista *barista; /* NULL: it ended meanwhile */
    struct service_model *model;
    const char *name;
    char dir[SERVICE_PATH_BYTES];
    struct service_weights *weights;
    struct lm_fault fault;
    enum err err;
    void (*done)(void *cookie, enum err err, const struct lm_fault *fault);
    void *cookie;
};

static void load_run(struct loop_job *job)
{
    struct service_load *load = (struct service_load *)(void *)job;
    load->err = service_weights_load(load->dir, load->name, &load->fault, &load->weights);
}

/* The new weights are the ones that are asked from now on. */
static enum err model_change(struct barista *barista, struct service_model *model,
                             struct service_weights *weights)
{
    if (model->weights != NULL && barista->engines != NULL) {
        enum err err = engine_add(barista); /* the old one knows the old weights */
        if (err != ERR_OK)
            return err;
    }
    weights->loaded_at_ms = loop_wall_ms(barista->loop);
    struct service_weights *old = model->weights;
    model->weights = weights;
    model->why[0] = 0;
    service_engines_sweep(barista);
    service_weights_unref(old);
    return ERR_OK;
}

static void load_done(struct loop_job *job)
{
    struct service_load *load = (struct service_load *)(void *)job;
    struct barista *barista = load->barista;
    if (barista == NULL) {
        service_weights_unref(load->weights);
        mem_free(load);
        return;
    }
    load->model->load = NULL;
    if (load->err == ERR_OK) {
        load->err = model_change(barista, load->model, load->weights);
        if (load->err != ERR_OK)
            service_weights_unref(load->weights);
    }
    if (load->err != ERR_OK && load->model->weights == NULL)
        (void)snprintf(load->model->why, sizeof(load->model->why), "%s", load->fault.why);
    log_line(load->err == ERR_OK ? LOG_INFO : LOG_WARN, "model", "name", "%s", load->name, "err",
             "%s", err_name(load->err), "why", "%s", load->err == ERR_OK ? NULL : load->fault.why,
             NULL);
    if (load->done != NULL)
        load->done(load->cookie, load->err, &load->fault);
    mem_free(load);
}

enum err barista_reload(struct barista *barista, struct str name,
                        void (*done)(void *cookie, enum err err, const struct lm_fault *fault),
                        void *cookie)
{
    struct service_model *model = service_model_find(barista, name);
    if (model == NULL)
        return ERR_NOT_FOUND;
    if (model->load != NULL)
        return ERR_CONFLICT;
    struct service_load *load = mem_zalloc(sizeof(*load));
    if (load == NULL)
        return ERR_NOMEM;
    load->job = (struct loop_job){.run = load_run, .done = load_done};
    load->barista = barista;
    load->model = model;
    load->name = model->name;
    load->done = done;
    load->cookie = cookie;
    enum err err = service_join(load->dir, sizeof(load->dir), barista->models_dir, model->name)
                       ? loop_work(barista->loop, &load->job)
                       : ERR_INPUT;
    if (err != ERR_OK) {
        mem_free(load);
        return err;
    }
    model->load = load;
    return ERR_OK;
}

/* ---- made and ended ---- */

static void model_first(struct barista *barista, struct service_model *model)
{
    char dir[SERVICE_PATH_BYTES];
    struct lm_fault fault = {0};
    if (barista->models_dir[0] == 0 ||
        !service_join(dir, sizeof(dir), barista->models_dir, model->name)) {
        (void)snprintf(model->why, sizeof(model->why), "there is no folder of models");
        return;
    }
    enum err err = service_weights_load(dir, model->name, &fault, &model->weights);
    if (err == ERR_OK) {
        model->weights->loaded_at_ms = loop_wall_ms(barista->loop);
        return;
    }
    (void)snprintf(model->why, sizeof(model->why), "%s",
                   err == ERR_NOT_FOUND ? "no file" : fault.why);
    if (err != ERR_NOT_FOUND)
        log_line(LOG_WARN, "model", "name", "%s", model->name, "err", "%s", err_name(err), "why",
                 "%s", fault.why, NULL);
}

static void facts_first(struct barista *barista)
{
    struct lm_fault fault = {0};
    if (barista->corpus_dir[0] == 0) {
        (void)snprintf(barista->facts_why, sizeof(barista->facts_why), "there is no corpus folder");
        return;
    }
    enum err err = barista_facts_load(barista->corpus_dir, &fault, &barista->facts);
    if (err == ERR_OK)
        return;
    (void)snprintf(barista->facts_why, sizeof(barista->facts_why), "%s: %s", err_name(err),
                   fault.why);
    log_line(LOG_WARN, "facts", "folder", "%s", barista->corpus_dir, "why", "%s",
             barista->facts_why, NULL);
}

/* As it is when it does not exist yet. */
static void absolute(char path[SERVICE_PATH_BYTES])
{
    char whole[PATH_MAX];
    if (path[0] == 0 || strcmp(path, SERVICE_THIS_PROGRAM) == 0 || realpath(path, whole) == NULL)
        return;
    if (strlen(whole) < SERVICE_PATH_BYTES)
        memcpy(path, whole, strlen(whole) + 1);
}

static enum err options_keep(struct barista *barista, const struct barista_options *options)
{
    const struct {
        char *dst;
        const char *src;
    } texts[] = {
        {barista->models_dir, options->models_dir},
        {barista->corpus_dir, options->corpus_dir},
        {barista->data_dir, options->data_dir},
        {barista->program, options->program != NULL ? options->program : SERVICE_THIS_PROGRAM}};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (str_copy(texts[i].dst, SERVICE_PATH_BYTES, str_from(texts[i].src)) != ERR_OK)
            return ERR_INPUT;
    }
    absolute(barista->corpus_dir); /* a job runs in a folder of its own */
    absolute(barista->data_dir);
    absolute(barista->models_dir);
    absolute(barista->program);
    if (barista->data_dir[0] != 0 && !service_join(barista->jobs_dir, sizeof(barista->jobs_dir),
                                                   barista->data_dir, "models/jobs"))
        return ERR_INPUT;
    barista->threads = options->threads;
    barista->queue_max = options->queue_max;
    barista->deadline_s = options->deadline_s != 0 ? options->deadline_s : 120;
    return ERR_OK;
}

enum err barista_create(const struct barista_options *options, struct barista **ret_barista)
{
    static const struct service_model models[SERVICE_MODELS] = {
        {.name = "tanka"},
        {.name = "villanelle", .summarizes = true},
        {.name = "ode", .summarizes = true},
    };
    struct barista *barista = mem_zalloc(sizeof(*barista));
    if (barista == NULL)
        return ERR_NOMEM;
    barista->loop = options->loop;
    memcpy(barista->model, models, sizeof(models));
    enum err err = options_keep(barista, options);
    if (err == ERR_OK)
        err = loop_wake_create(barista->loop, woken, barista, &barista->wake);
    if (err == ERR_OK && barista->jobs_dir[0] != 0)
        err = service_jobs_open(barista);
    if (err != ERR_OK) {
        barista_destroy(barista);
        return err;
    }
    facts_first(barista);
    for (size_t i = 0; i < SERVICE_MODELS; i++)
        model_first(barista, &barista->model[i]);
    *ret_barista = barista;
    return ERR_OK;
}

void barista_destroy(struct barista *barista)
{
    if (barista == NULL)
        return;
    barista->ending = true;
    for (struct barista_wait *wait = barista->waits; wait != NULL; wait = wait->next)
        wait->left = true;
    while (barista->engines != NULL) {
        struct service_engine *engine = barista->engines;
        barista->engines = engine->next;
        engine_end(barista, engine);
    }
    ASSERT(barista->waits == NULL);
    service_jobs_close(barista);
    if (barista->save != NULL)
        service_save_leave(barista->save);
    for (size_t i = 0; i < SERVICE_MODELS; i++) {
        if (barista->model[i].load != NULL)
            barista->model[i].load->barista = NULL;
        service_weights_unref(barista->model[i].weights);
    }
    barista_facts_destroy(barista->facts);
    loop_wake_destroy(barista->wake);
    mem_free(barista);
}

/* ---- what it says about itself ---- */

const char *barista_facts_why(const struct barista *barista)
{
    return barista->facts != NULL ? NULL : barista->facts_why;
}

static struct barista_model_info model_info(const struct service_model *model)
{
    const struct service_weights *weights = model->weights;
    struct barista_model_info info = {.name = str_from(model->name),
                                      .trained = weights != NULL,
                                      .summarizes = model->summarizes,
                                      .card = STR_NONE};
    if (weights == NULL) {
        info.why = model->why;
        return info;
    }
    const struct lm_config *config = lm_model_config(weights->model);
    info.dtype = lm_model_dtype(weights->model);
    info.parameters = lm_config_count(config).total;
    info.file_bytes = weights->file_bytes;
    info.context = config->context;
    info.vocab = config->vocab_used;
    info.loaded_at_ms = weights->loaded_at_ms;
    info.generation = &weights->generation;
    if (weights->card.len > 0)
        info.card = buf_str(&weights->card);
    return info;
}

size_t barista_models(const struct barista *barista,
                      struct barista_model_info ret_infos[BARISTA_MODELS_MAX])
{
    for (size_t i = 0; i < SERVICE_MODELS; i++)
        ret_infos[i] = model_info(&barista->model[i]);
    return SERVICE_MODELS;
}

bool barista_model_find(const struct barista *barista, struct str name,
                        struct barista_model_info *ret_info)
{
    for (size_t i = 0; i < SERVICE_MODELS; i++) {
        if (str_equal(str_from(barista->model[i].name), name)) {
            *ret_info = model_info(&barista->model[i]);
            return true;
        }
    }
    return false;
}

struct barista_stats barista_stats_get(const struct barista *barista)
{
    struct barista_stats stats = {.load = barista->past,
                                  .refused = barista->refused,
                                  .cancelled = barista->cancelled,
                                  .under_way = barista->wait_count};
    for (struct service_engine *engine = barista->engines; engine != NULL; engine = engine->next) {
        struct lm_engine_load load = lm_engine_load(engine->engine);
        load_add(&stats.load, &load);
    }
    for (size_t i = 0; i < SERVICE_MODELS; i++)
        stats.models += barista->model[i].weights != NULL ? 1 : 0;
    for (size_t i = 0; i < barista->job_count; i++)
        stats.training = stats.training || barista->job[i]->pid != 0;
    return stats;
}
