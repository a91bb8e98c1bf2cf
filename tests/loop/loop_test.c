#include "kit/kit.h"
#include "loop/loop.h"
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct seen {
    struct loop *loop;
    struct loop_timer *timer;
    int fired, order[8];
    int64_t at_ms;
};

static void note_fire(void *cookie)
{
    struct seen *seen = cookie;
    seen->fired++;
    seen->at_ms = loop_now_ms(seen->loop);
}

TEST(timer_fires_once_and_not_early)
{
    struct seen seen = {0};
    CHECK_OK(loop_create(&seen.loop));
    CHECK_OK(loop_timer_create(seen.loop, note_fire, &seen, &seen.timer));
    int64_t due_ms = loop_now_ms(seen.loop) + 5;
    loop_timer_set(seen.timer, due_ms);
    while (loop_turn_wait(seen.loop))
        ;
    CHECK_EQ(seen.fired, 1);
    CHECK(seen.at_ms >= due_ms);
    CHECK(!loop_turn(seen.loop));
    loop_timer_destroy(seen.timer);
    loop_destroy(seen.loop);
}

TEST(timer_in_the_past_fires_next_turn)
{
    struct seen seen = {0};
    CHECK_OK(loop_create(&seen.loop));
    CHECK_OK(loop_timer_create(seen.loop, note_fire, &seen, &seen.timer));
    loop_timer_set(seen.timer, loop_now_ms(seen.loop) - 1000);
    CHECK_EQ(seen.fired, 0);
    loop_turn_wait(seen.loop);
    CHECK_EQ(seen.fired, 1);
    loop_destroy(seen.loop); /* the timer with it */
}

TEST(cleared_timer_stays_quiet)
{
    struct seen seen = {0};
    CHECK_OK(loop_create(&seen.loop));
    CHECK_OK(loop_timer_create(seen.loop, note_fire, &seen, &seen.timer));
    loop_timer_set(seen.timer, loop_now_ms(seen.loop));
    loop_timer_clear(seen.timer);
    CHECK(!loop_turn(seen.loop));
    CHECK_EQ(seen.fired, 0);
    loop_destroy(seen.loop);
}

static void destroy_self(void *cookie)
{
    struct seen *seen = cookie;
    seen->fired++;
    loop_timer_destroy(seen->timer);
}

TEST(timer_may_destroy_itself)
{
    struct seen seen = {0};
    CHECK_OK(loop_create(&seen.loop));
    CHECK_OK(loop_timer_create(seen.loop, destroy_self, &seen, &seen.timer));
    loop_timer_set(seen.timer, loop_now_ms(seen.loop));
    loop_run(seen.loop);
    CHECK_EQ(seen.fired, 1);
    loop_destroy(seen.loop);
}

static void set_again(void *cookie)
{
    struct seen *seen = cookie;
    if (++seen->fired < 3)
        loop_timer_set(seen->timer, loop_now_ms(seen->loop) + 1);
    else
        loop_stop(seen->loop);
}

TEST(timer_may_be_set_again_when_it_fires)
{
    struct seen seen = {0};
    CHECK_OK(loop_create(&seen.loop));
    CHECK_OK(loop_timer_create(seen.loop, set_again, &seen, &seen.timer));
    loop_timer_set(seen.timer, loop_now_ms(seen.loop));
    loop_run(seen.loop);
    CHECK_EQ(seen.fired, 3);
    loop_destroy(seen.loop);
}

struct sum_job {
    struct loop_job job;
    pthread_t ran_on;
    int in, out, done;
};

static void sum_run(struct loop_job *job)
{
    struct sum_job *sum = (struct sum_job *)job;
    sum->ran_on = pthread_self();
    sum->out = sum->in * 2;
}

static void sum_done(struct loop_job *job)
{
    ((struct sum_job *)job)->done++;
}

TEST(job_runs_elsewhere_and_comes_back)
{
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    struct sum_job sum = {.job = {sum_run, sum_done, NULL}, .in = 21};
    CHECK_OK(loop_work(loop, &sum.job));
    CHECK_EQ(sum.done, 0);
    loop_run(loop);
    CHECK_EQ(sum.done, 1);
    CHECK_EQ(sum.out, 42);
    CHECK(!pthread_equal(sum.ran_on, pthread_self()));
    loop_destroy(loop);
}

TEST(jobs_have_a_ceiling)
{
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    static struct sum_job jobs[LOOP_JOBS_MAX + 1];
    for (size_t i = 0; i < LOOP_JOBS_MAX; i++) {
        jobs[i] = (struct sum_job){.job = {sum_run, sum_done, NULL}, .in = (int)i};
        CHECK_OK(loop_work(loop, &jobs[i].job));
    }
    jobs[LOOP_JOBS_MAX] = (struct sum_job){.job = {sum_run, sum_done, NULL}};
    CHECK_ERR(loop_work(loop, &jobs[LOOP_JOBS_MAX].job), ERR_FULL);
    loop_run(loop);
    for (size_t i = 0; i < LOOP_JOBS_MAX; i++) {
        CHECK_EQ(jobs[i].done, 1);
        CHECK_EQ(jobs[i].out, (int)i * 2);
    }
    CHECK_OK(loop_work(loop, &jobs[LOOP_JOBS_MAX].job));
    loop_destroy(loop); /* waits for it */
    CHECK_EQ(jobs[LOOP_JOBS_MAX].done, 1);
}

struct post {
    struct loop *loop;
    struct loop_wake *wake;
    int woken;
};

static void woken(void *cookie)
{
    struct post *post = cookie;
    post->woken++;
    loop_wake_destroy(post->wake);
}

static void *post_thread(void *cookie)
{
    struct post *post = cookie;
    for (int i = 0; i < 10; i++)
        loop_wake_post(post->wake);
    return NULL;
}

TEST(wake_from_another_thread)
{
    struct post post = {0};
    CHECK_OK(loop_create(&post.loop));
    CHECK_OK(loop_wake_create(post.loop, woken, &post, &post.wake));
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, post_thread, &post), 0);
    pthread_join(thread, NULL);
    loop_run(post.loop);
    CHECK_EQ(post.woken, 1); /* ten posts, one wake */
    loop_destroy(post.loop);
}

static void caught(void *cookie, int signal)
{
    struct post *post = cookie;
    post->woken = signal;
    loop_stop(post->loop);
}

TEST(signal_is_caught_and_keeps_nothing_alive)
{
    struct post post = {0};
    CHECK_OK(loop_create(&post.loop));
    CHECK_OK(loop_signal(post.loop, SIGHUP, caught, &post));
    loop_run(post.loop); /* returns at once: a signal alone is no work */
    CHECK_EQ(post.woken, 0);
    struct seen alive = {.loop = post.loop};
    CHECK_OK(loop_timer_create(post.loop, note_fire, &alive, &alive.timer));
    loop_timer_set(alive.timer, loop_now_ms(post.loop) + 60000);
    kill(getpid(), SIGHUP);
    loop_run(post.loop);
    CHECK_EQ(post.woken, SIGHUP);
    CHECK_EQ(alive.fired, 0);
    loop_destroy(post.loop);
}

TEST(server_time_stands_still_in_a_turn_and_starts_at_what_was_persisted)
{
    struct loop *loop;
    CHECK_OK(loop_create(&loop));
    int64_t future_ms = sys_wall_ms() + 3600 * 1000;
    loop_time_persisted(loop, future_ms);
    int64_t first_ms = loop_wall_ms(loop);
    CHECK(first_ms >= future_ms);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(loop_wall_ms(loop), first_ms);
    loop_destroy(loop);
}

TEST(every_failed_allocation_is_reported)
{
    for (uint32_t nth = 1;; nth++) {
        struct post post = {0};
        struct seen seen = {0};
        struct sum_job sum = {.job = {sum_run, sum_done, NULL}};
        mem_fail_at(nth);
        enum err err = loop_create(&post.loop);
        if (err == ERR_OK)
            err = loop_timer_create(post.loop, note_fire, &seen, &seen.timer);
        if (err == ERR_OK)
            err = loop_wake_create(post.loop, woken, &post, &post.wake);
        if (err == ERR_OK)
            err = loop_signal(post.loop, SIGHUP, caught, &post);
        if (err == ERR_OK)
            err = loop_work(post.loop, &sum.job);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        loop_destroy(post.loop);
        CHECK_ERR(err, fired ? ERR_NOMEM : ERR_OK);
        if (!fired)
            break;
    }
}
