/* Killed before every single change on the disk that a run makes, one after the other. */
#include "train_kit.h"

static long steps_to_death;

static void die_on_disk(void)
{
    if (--steps_to_death == 0)
        (void)kill(getpid(), SIGKILL);
}

TEST(killed_at_every_change_on_the_disk_and_resumed_is_the_same)
{
    const char *dir = kit_tempdir();
    struct lm_train_options whole = toy_options(dir, "whole");
    whole.steps_max = 4;
    whole.validate_every = 2;
    (void)toy_run(&whole);
    long kills = 0;
    for (bool killed = true; killed; kills += killed) {
        char name[32];
        (void)snprintf(name, sizeof(name), "disk%ld", kills);
        struct lm_train_options o = whole;
        o.out_dir = kit_path(dir, name);
        steps_to_death = kills + 1;
        lm_disk_step = die_on_disk;
        killed = run_child(&o, 0);
        lm_disk_step = NULL;
        if (killed)
            resume_to_the_end(o, whole.out_dir);
    }
    NOTE("%ld kills", kills);
    CHECK(kills > 10);
}
