#include "loop/loop_int.h"

struct work {
    uv_work_t uv; /* first: libuv hands its address back */
    struct loop *loop;
    struct loop_job *job;
};

static void work_run(uv_work_t *uv)
{
    struct work *work = (struct work *)uv;
    work->job->run(work->job);
}

static void work_done(uv_work_t *uv, int status)
{
    struct work *work = (struct work *)uv;
    struct loop_job *job = work->job;
    (void)status; /* never cancelled: every job runs */
    work->loop->jobs_waiting--;
    mem_free(work);
    job->internal = NULL;
    job->done(job);
}

enum err loop_work(struct loop *loop, struct loop_job *job)
{
    if (loop->jobs_waiting >= LOOP_JOBS_MAX)
        return ERR_FULL;
    struct work *work = mem_zalloc(sizeof(*work));
    if (work == NULL)
        return ERR_NOMEM;
    work->loop = loop;
    work->job = job;
    if (uv_queue_work(&loop->uv, &work->uv, work_run, work_done) != 0) {
        mem_free(work);
        return ERR_IO;
    }
    job->internal = work;
    loop->jobs_waiting++;
    return ERR_OK;
}
