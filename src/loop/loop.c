#include "loop/loop_int.h"

enum err loop_create(struct loop **ret_loop)
{
    struct loop *loop = mem_zalloc(sizeof(*loop));
    if (loop == NULL)
        return ERR_NOMEM;
    if (uv_loop_init(&loop->uv) != 0) {
        mem_free(loop);
        return ERR_IO;
    }
    loop->wall_turn_ms = -1;
    *ret_loop = loop;
    return ERR_OK;
}

/* Handles that net/ or twin/ left open: their memory is not ours, but the loop must let go of them.
 */
static void close_foreign(uv_handle_t *handle, void *cookie)
{
    (void)cookie;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_destroy(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_timers_close(loop);
    loop_wakes_close(loop);
    loop_signals_close(loop);
    uv_walk(&loop->uv, close_foreign, NULL);
    /* Jobs that are still on a pool thread are waited for: their memory is in use. */
    do {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (uv_loop_close(&loop->uv) == UV_EBUSY);
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

bool loop_turn(struct loop *loop)
{
    return uv_run(&loop->uv, UV_RUN_NOWAIT) != 0;
}

bool loop_turn_wait(struct loop *loop)
{
    return uv_run(&loop->uv, UV_RUN_ONCE) != 0;
}

int64_t loop_now_ms(const struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

int64_t loop_wall_ms(struct loop *loop)
{
    int64_t turn_ms = loop_now_ms(loop);
    if (turn_ms == loop->wall_turn_ms)
        return loop->wall_ms;
    int64_t wall_ms = sys_wall_ms(), mono_ms = sys_mono_ms();
    if (!loop->time_started) {
        sys_time_init(&loop->time, wall_ms, mono_ms, loop->time_persisted_ms);
        loop->time_started = true;
    }
    loop->wall_ms = sys_time_now(&loop->time, wall_ms, mono_ms);
    loop->wall_turn_ms = turn_ms;
    return loop->wall_ms;
}

void loop_time_persisted(struct loop *loop, int64_t persisted_ms)
{
    ASSERT(!loop->time_started);
    loop->time_persisted_ms = persisted_ms;
}

void *loop_uv(struct loop *loop)
{
    return &loop->uv;
}
