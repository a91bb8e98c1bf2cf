/* Looking at commands: jobs on the reader, which see the last commit and change nothing. */
#include "queue/queue_int.h"

struct look {
    struct store_job job;
    struct arena arena;
    struct queue_filter filter;
    uint64_t command_id;
    struct queue_command *commands;
    struct queue_history *rows;
    size_t count;
    queue_list_done *list_done;
    queue_done *show_done;
    queue_history_done *history_done;
    void *cookie;
};

enum { LOOK_BYTES_MAX = 32 * 1024 * 1024 };

static struct look *look_create(void *cookie)
{
    struct look *look = mem_zalloc(sizeof(*look));
    if (look == NULL)
        return NULL;
    arena_init(&look->arena, LOOK_BYTES_MAX);
    look->cookie = cookie;
    return look;
}

static void look_destroy(struct look *look)
{
    arena_finish(&look->arena);
    mem_free(look);
}

static enum err look_submit(struct queue *queue, struct look *look)
{
    enum err err = store_read(queue->options.store, &look->job);
    if (err != ERR_OK)
        look_destroy(look);
    return err;
}

static enum err list_run(struct store_job *job, struct store_db *db)
{
    struct look *look = (struct look *)job;
    return queue_sql_list(db, &look->filter, &look->arena, &look->commands, &look->count);
}

static void list_finish(struct store_job *job, enum err err)
{
    struct look *look = (struct look *)job;
    bool more = look->count > look->filter.limit;
    look->list_done(look->cookie, err, look->commands, more ? look->filter.limit : look->count,
                    more);
    look_destroy(look);
}

enum err queue_list(struct queue *queue, const struct queue_filter *filter, queue_list_done *done,
                    void *cookie)
{
    struct look *look = look_create(cookie);
    if (look == NULL)
        return ERR_NOMEM;
    look->filter = *filter;
    if (look->filter.limit == 0 || look->filter.limit > 200)
        look->filter.limit = 200;
    if (filter->machine_id.at != NULL) {
        char *copy = arena_strdup(&look->arena, filter->machine_id);
        look->filter.machine_id = (struct str){copy, filter->machine_id.len};
    }
    if (filter->created_by.at != NULL) {
        char *copy = arena_strdup(&look->arena, filter->created_by);
        look->filter.created_by = (struct str){copy, filter->created_by.len};
    }
    if ((filter->machine_id.at != NULL && look->filter.machine_id.at == NULL) ||
        (filter->created_by.at != NULL && look->filter.created_by.at == NULL)) {
        look_destroy(look);
        return ERR_NOMEM;
    }
    look->job.run = list_run;
    look->job.done = list_finish;
    look->list_done = done;
    return look_submit(queue, look);
}

static enum err show_run(struct store_job *job, struct store_db *db)
{
    struct look *look = (struct look *)job;
    look->commands = arena_alloc(&look->arena, sizeof(*look->commands));
    if (look->commands == NULL)
        return ERR_NOMEM;
    enum err err = queue_sql_command(db, look->command_id, &look->arena, look->commands);
    look->count = err == ERR_OK;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void show_finish(struct store_job *job, enum err err)
{
    struct look *look = (struct look *)job;
    bool found = err == ERR_OK && look->count == 1;
    look->show_done(look->cookie, err, found ? QUEUE_DONE : QUEUE_NO_COMMAND,
                    found ? look->commands : NULL);
    look_destroy(look);
}

enum err queue_show(struct queue *queue, uint64_t command_id, queue_done *done, void *cookie)
{
    struct look *look = look_create(cookie);
    if (look == NULL)
        return ERR_NOMEM;
    look->command_id = command_id;
    look->job.run = show_run;
    look->job.done = show_finish;
    look->show_done = done;
    return look_submit(queue, look);
}

static enum err history_run(struct store_job *job, struct store_db *db)
{
    struct look *look = (struct look *)job;
    return queue_sql_history_list(db, look->command_id, &look->arena, &look->rows, &look->count);
}

static void history_finish(struct store_job *job, enum err err)
{
    struct look *look = (struct look *)job;
    look->history_done(look->cookie, err, look->rows, look->count);
    look_destroy(look);
}

enum err queue_history(struct queue *queue, uint64_t command_id, queue_history_done *done,
                       void *cookie)
{
    struct look *look = look_create(cookie);
    if (look == NULL)
        return ERR_NOMEM;
    look->command_id = command_id;
    look->job.run = history_run;
    look->job.done = history_finish;
    look->history_done = done;
    return look_submit(queue, look);
}
