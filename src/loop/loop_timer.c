#include "loop/loop_int.h"

struct loop_timer {
    uv_timer_t uv; /* first: the close callback gets its address */
    struct loop *loop;
    struct loop_timer *prev, *next;
    void (*fire)(void *cookie);
    void *cookie;
};

enum err loop_timer_create(struct loop *loop, void (*fire)(void *cookie), void *cookie,
                           struct loop_timer **ret_timer)
{
    struct loop_timer *timer = mem_zalloc(sizeof(*timer));
    if (timer == NULL)
        return ERR_NOMEM;
    if (uv_timer_init(&loop->uv, &timer->uv) != 0) {
        mem_free(timer);
        return ERR_IO;
    }
    timer->loop = loop;
    timer->fire = fire;
    timer->cookie = cookie;
    timer->next = loop->timers;
    if (loop->timers != NULL)
        loop->timers->prev = timer;
    loop->timers = timer;
    *ret_timer = timer;
    return ERR_OK;
}

static void timer_fired(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)uv;
    timer->fire(timer->cookie);
}

void loop_timer_set(struct loop_timer *timer, int64_t due_ms)
{
    int64_t wait_ms = due_ms - loop_now_ms(timer->loop);
    int failed = uv_timer_start(&timer->uv, timer_fired, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
    ASSERT(failed == 0);
}

void loop_timer_clear(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

static void timer_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

void loop_timer_destroy(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    if (timer->prev != NULL)
        timer->prev->next = timer->next;
    else
        timer->loop->timers = timer->next;
    if (timer->next != NULL)
        timer->next->prev = timer->prev;
    uv_close((uv_handle_t *)&timer->uv, timer_closed);
}

void loop_timers_close(struct loop *loop)
{
    while (loop->timers != NULL)
        loop_timer_destroy(loop->timers);
}
