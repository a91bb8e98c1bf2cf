#include "lm/talk/engine_int.h"

#include <signal.h>
#include <unistd.h>

/* ---- lists; with the lock held ---- */

static void append(struct lm_list *list, struct lm_request *request)
{
    request->next = NULL;
    if (list->first == NULL)
        list->first = request;
    else
        list->last->next = request;
    list->last = request;
    list->count++;
}

/* `before` is the one in front of it, NULL for the first. */
static void take_out(struct lm_list *list, struct lm_request *before, struct lm_request *request)
{
    if (before == NULL)
        list->first = request->next;
    else
        before->next = request->next;
    if (list->last == request)
        list->last = before;
    list->count--;
    request->next = NULL;
}

/* True when the bell must be rung, which is done without the lock. */
static bool make_due(struct lm_engine *engine, struct lm_request *request)
{
    if (request->is_due)
        return false;
    request->is_due = true;
    request->next_due = NULL;
    bool was_empty = engine->due_first == NULL;
    if (was_empty)
        engine->due_first = request;
    else
        engine->due_last->next_due = request;
    engine->due_last = request;
    return was_empty;
}

static void ring(const struct lm_engine *engine, bool is_needed)
{
    if (is_needed && engine->notify != NULL)
        engine->notify(engine->cookie);
}

enum err lm_engine_publish(struct lm_engine *engine, struct lm_request *request, struct str text)
{
    if (text.len == 0 || atomic_load(&request->cancelled))
        return ERR_OK;
    (void)pthread_mutex_lock(&engine->lock);
    enum err err = buf_add_str(&request->fresh, text);
    bool rings = err == ERR_OK && make_due(engine, request);
    (void)pthread_mutex_unlock(&engine->lock);
    ring(engine, rings);
    return err;
}

/* ---- the threads ---- */

/* Gives sessions to those who wait, in their order, and lets go who waited too long. */
static bool admit(struct lm_engine *engine)
{
    bool rings = false;
    struct lm_request *before = NULL;
    struct lm_request *next;
    int64_t now_ms = engine->ops->now_ms();
    for (struct lm_request *request = engine->waiting.first; request != NULL; request = next) {
        next = request->next;
        bool is_late = request->job.deadline_ms != 0 && now_ms >= request->job.deadline_ms;
        if (!is_late) {
            if (engine->ready.count + engine->stepping < engine->sessions_max)
                request->slot = lm_slot_take(engine, request);
            if (request->slot == NULL) {
                before = request;
                continue;
            }
        }
        take_out(&engine->waiting, before, request);
        request->begin_us = sys_mono_us();
        if (!is_late) {
            request->place = LM_READY;
            append(&engine->ready, request);
            continue;
        }
        request->place = LM_OVER;
        request->result.finish = LM_FINISH_LENGTH;
        request->result.queued_ms = (double)(request->begin_us - request->submit_us) / 1e3;
        rings = make_due(engine, request) || rings;
    }
    return rings;
}

static void settle(struct lm_engine *engine, struct lm_request *request)
{
    engine->load.ids_made += request->result.made_ids;
    engine->load.ids_cached += request->result.cached_ids;
    if (request->phase != LM_PHASE_BEGIN)
        engine->load.ids_read += request->at - request->result.cached_ids;
    lm_slot_give(engine, request->slot);
    request->slot = NULL;
    request->place = LM_OVER;
}

/* One turn of the first in the ring; the lock is held before and after. */
static void serve_one(struct lm_worker *worker)
{
    struct lm_engine *engine = worker->engine;
    struct lm_request *request = engine->ready.first;
    take_out(&engine->ready, NULL, request);
    request->place = LM_STEPPING;
    engine->stepping++;
    bool has_pool = engine->stepping == 1 && engine->ready.count == 0 &&
                    engine->waiting.count == 0 && !engine->pool_taken && engine->pool != NULL;
    engine->pool_taken = engine->pool_taken || has_pool;
    if (engine->ready.count > 0)
        (void)pthread_cond_signal(&engine->work);
    (void)pthread_mutex_unlock(&engine->lock);

    bool is_over = lm_request_step(worker, request, has_pool ? engine->pool : NULL);

    (void)pthread_mutex_lock(&engine->lock);
    if (has_pool)
        engine->pool_taken = false;
    engine->stepping--;
    if (!is_over) {
        request->place = LM_READY;
        append(&engine->ready, request);
        return;
    }
    settle(engine, request);
    bool rings = make_due(engine, request);
    (void)pthread_mutex_unlock(&engine->lock);
    ring(engine, rings);
    (void)pthread_mutex_lock(&engine->lock);
}

static void *work(void *cookie)
{
    struct lm_worker *worker = cookie;
    struct lm_engine *engine = worker->engine;
    (void)pthread_mutex_lock(&engine->lock);
    while (!atomic_load(&engine->closing)) {
        bool rings = admit(engine);
        if (rings) {
            (void)pthread_mutex_unlock(&engine->lock);
            ring(engine, rings);
            (void)pthread_mutex_lock(&engine->lock);
        } else if (engine->ready.count > 0) {
            serve_one(worker);
        } else {
            (void)pthread_cond_wait(&engine->work, &engine->lock);
        }
    }
    (void)pthread_mutex_unlock(&engine->lock);
    return NULL;
}

/* ---- life ---- */

static uint32_t cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > (long)LM_THREADS_MAX ? LM_THREADS_MAX : (uint32_t)count;
}

/* Signals are for the program's own thread. */
static bool start(struct lm_worker *worker)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&worker->thread, NULL, work, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

static void free_engine(struct lm_engine *engine)
{
    for (uint32_t i = 0; i < engine->threads && engine->workers != NULL; i++) {
        lm_pick_finish(&engine->workers[i].pick);
        mem_free(engine->workers[i].logits);
        buf_finish(&engine->workers[i].text);
    }
    mem_free(engine->workers);
    lm_slots_finish(engine, NULL);
    lm_pool_destroy(engine->pool);
    (void)pthread_cond_destroy(&engine->work);
    (void)pthread_mutex_destroy(&engine->lock);
    mem_free(engine);
}

static void stop_workers(struct lm_engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    atomic_store(&engine->closing, true);
    (void)pthread_cond_broadcast(&engine->work);
    (void)pthread_mutex_unlock(&engine->lock);
    for (uint32_t i = 0; i < engine->worker_count; i++)
        (void)pthread_join(engine->workers[i].thread, NULL);
    engine->worker_count = 0;
}

static enum err prepare(struct lm_engine *engine)
{
    if (engine->threads > 1) {
        enum err err = lm_pool_create(engine->threads, &engine->pool);
        if (err != ERR_OK)
            return err;
    }
    engine->workers = mem_zalloc(engine->threads * sizeof(*engine->workers));
    if (engine->workers == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < engine->threads; i++) {
        engine->workers[i].engine = engine;
        buf_init(&engine->workers[i].text, MIB);
    }
    return ERR_OK;
}

enum err lm_engine_create_with(const struct lm_engine_options *options,
                               const struct lm_engine_ops *ops, struct lm_engine **ret_engine)
{
    struct lm_engine *engine = mem_zalloc(sizeof(*engine));
    if (engine == NULL)
        return ERR_NOMEM;
    engine->ops = ops;
    engine->notify = options->notify;
    engine->cookie = options->cookie;
    engine->threads = options->threads == 0 ? cores() : options->threads;
    if (engine->threads > LM_THREADS_MAX)
        engine->threads = LM_THREADS_MAX;
    engine->queue_max = options->queue_max == 0 ? 32 : options->queue_max;
    engine->sessions_max = options->sessions_max == 0 ? 8 : options->sessions_max;
    if (engine->sessions_max > LM_SLOTS_MAX)
        engine->sessions_max = LM_SLOTS_MAX;
    atomic_init(&engine->closing, false);
    (void)pthread_mutex_init(&engine->lock, NULL);
    (void)pthread_cond_init(&engine->work, NULL);
    enum err err = prepare(engine);
    for (uint32_t i = 0; i < engine->threads && err == ERR_OK; i++) {
        if (start(&engine->workers[i]))
            engine->worker_count++;
        else
            err = ERR_NOMEM;
    }
    if (err != ERR_OK) {
        stop_workers(engine);
        free_engine(engine);
        return err;
    }
    *ret_engine = engine;
    return ERR_OK;
}

enum err lm_engine_create(const struct lm_engine_options *options, struct lm_engine **ret_engine)
{
    static const struct lm_engine_ops ops = {.config = lm_model_config,
                                             .create = lm_session_create,
                                             .destroy = lm_session_destroy,
                                             .rewind = lm_session_rewind,
                                             .feed = lm_session_feed,
                                             .score = lm_session_score,
                                             .now_ms = sys_mono_ms};
    return lm_engine_create_with(options, &ops, ret_engine);
}

static void close_all(struct lm_engine *engine, struct lm_list *list)
{
    while (list->first != NULL) {
        struct lm_request *request = list->first;
        take_out(list, NULL, request);
        if (request->slot != NULL)
            settle(engine, request);
        request->place = LM_OVER;
        request->err = ERR_CLOSED;
        request->result.finish = LM_FINISH_CANCEL;
        (void)make_due(engine, request);
    }
}

void lm_engine_destroy(struct lm_engine *engine)
{
    if (engine == NULL)
        return;
    stop_workers(engine);
    (void)pthread_mutex_lock(&engine->lock);
    close_all(engine, &engine->ready);
    close_all(engine, &engine->waiting);
    (void)pthread_mutex_unlock(&engine->lock);
    lm_engine_collect(engine);
    ASSERT(engine->due_first == NULL);
    free_engine(engine);
}

/* ---- callers ---- */

enum err lm_engine_submit(struct lm_engine *engine, const struct lm_job *job,
                          struct lm_request **ret_request)
{
    if (atomic_load(&engine->closing))
        return ERR_CLOSED;
    struct lm_request *request;
    enum err err = lm_request_create(job, engine->ops, &request);
    if (err != ERR_OK)
        return err;
    bool rings = false;
    request->submit_us = sys_mono_us();
    (void)pthread_mutex_lock(&engine->lock);
    if (engine->waiting.count >= engine->queue_max) {
        engine->load.refused++;
        (void)pthread_mutex_unlock(&engine->lock);
        lm_request_destroy(request);
        return ERR_FULL;
    }
    engine->load.requests++;
    *ret_request = request; /* before it can be over */
    if (request->err != ERR_OK) {
        request->place = LM_OVER;
        rings = make_due(engine, request);
    } else {
        request->place = LM_WAITING;
        append(&engine->waiting, request);
        (void)pthread_cond_signal(&engine->work);
    }
    (void)pthread_mutex_unlock(&engine->lock);
    ring(engine, rings);
    return ERR_OK;
}

void lm_engine_cancel(struct lm_engine *engine, struct lm_request *request)
{
    bool rings = false;
    atomic_store(&request->cancelled, true);
    (void)pthread_mutex_lock(&engine->lock);
    if (request->place == LM_WAITING) {
        struct lm_request *before = NULL;
        for (struct lm_request *at = engine->waiting.first; at != request; at = at->next)
            before = at;
        take_out(&engine->waiting, before, request);
        request->place = LM_OVER;
        rings = make_due(engine, request);
    }
    (void)pthread_mutex_unlock(&engine->lock);
    ring(engine, rings);
}

static void deliver(struct lm_request *request, struct str text, bool is_over)
{
    /* Until it is over, all but the flag belongs to the thread that works on it. */
    bool is_closed = is_over && request->err == ERR_CLOSED;
    if (text.len > 0 && !is_closed && request->job.piece != NULL &&
        !atomic_load(&request->cancelled))
        request->job.piece(request->job.cookie, text);
    if (!is_over)
        return;
    if (atomic_load(&request->cancelled))
        request->result.finish = LM_FINISH_CANCEL;
    request->job.done(request->job.cookie, request->err, &request->result);
    lm_request_destroy(request);
}

void lm_engine_collect(struct lm_engine *engine)
{
    ASSERT(!engine->collecting); /* not from a callback */
    engine->collecting = true;
    (void)pthread_mutex_lock(&engine->lock);
    struct lm_request *request = engine->due_first;
    engine->due_first = NULL;
    engine->due_last = NULL;
    while (request != NULL) {
        struct lm_request *next = request->next_due;
        struct buf text = request->fresh;
        buf_init(&request->fresh, text.bytes_max);
        request->is_due = false;
        bool is_over = request->place == LM_OVER;
        (void)pthread_mutex_unlock(&engine->lock);
        deliver(request, buf_str(&text), is_over);
        buf_finish(&text);
        (void)pthread_mutex_lock(&engine->lock);
        request = next;
    }
    (void)pthread_mutex_unlock(&engine->lock);
    engine->collecting = false;
}

struct lm_engine_load lm_engine_load(struct lm_engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    struct lm_engine_load load = engine->load;
    load.waiting = engine->waiting.count;
    load.running = engine->ready.count + engine->stepping;
    (void)pthread_mutex_unlock(&engine->lock);
    return load;
}

void lm_engine_forget(struct lm_engine *engine, const struct lm_model *model)
{
    (void)pthread_mutex_lock(&engine->lock);
    lm_slots_finish(engine, model);
    (void)pthread_mutex_unlock(&engine->lock);
}
