/* Power goes at every write, every erasure and every exchange, before, in the middle and after; and
 * at random, with a network that loses, repeats and delays.  Nothing is begun twice, nothing runs
 * while the server says it does not, and in the end every command is settled. */
#include "device/fake.h"

static struct fake fake;

static void orders(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)fake_order(&fake);
}

/* fake_kind_start, fake_on_report and fake_check_rules have looked all the time. */
static void check_end(uint32_t complete_min)
{
    uint32_t complete = 0;
    for (uint32_t i = 0; i < fake.command_count; i++) {
        const struct fake_command *command = &fake.command[i];
        CHECK(command->starts <= 1);
        CHECK(command->state >= FAKE_COMPLETE && command->state <= FAKE_CANCELLED);
        if (command->state == FAKE_COMPLETE) {
            complete++;
            CHECK_EQ(command->starts, 1);
            CHECK(command->volume_milli >= (int64_t)fake.act_ms);
        }
    }
    CHECK(complete >= complete_min);
}

/* How many flash operations and exchanges a run without any crash makes. */
static void count_points(uint32_t order_count, uint64_t *ret_ops, uint64_t *ret_sent)
{
    fake_init(&fake, 1);
    fake.act_ms = 5000;
    orders(order_count);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, order_count * 60000));
    fake_run(&fake, 2000);
    *ret_ops = fake.flash.ops;
    *ret_sent = fake.sent;
}

static void one_flash_crash(uint64_t at, enum fake_cut cut, uint64_t seed, uint32_t order_count)
{
    NOTE("flash operation %llu, cut %d, seed %llu", (unsigned long long)at, (int)cut,
         (unsigned long long)seed);
    fake_init(&fake, seed);
    fake.act_ms = 5000;
    fake.flash.cut_at = at;
    fake.flash.cut = cut;
    orders(order_count);
    fake_boot(&fake);
    CHECK(fake_settle(&fake, order_count * 60000 + 60000));
    check_end(order_count - 1);
    fake_run(&fake, 2000);
    CHECK_EQ(fake.boot, 2);
}

TEST(power_goes_at_every_flash_operation)
{
    uint64_t ops;
    uint64_t sent;
    count_points(3, &ops, &sent);
    CHECK(ops > 10);
    for (uint64_t at = 1; at <= ops; at++) {
        for (enum fake_cut cut = CUT_BEFORE; cut <= CUT_AFTER; cut++) {
            for (uint64_t seed = 1; seed <= 5; seed++)
                one_flash_crash(at, cut, seed, 3);
        }
    }
}

/* The journal moves from sector to sector about every 30 commands. */
TEST(power_goes_while_the_journal_moves)
{
    fake_init(&fake, 1);
    fake.act_ms = 5000;
    orders(40);
    fake_boot(&fake);
    uint64_t before = 0;
    while (fake.device.journal.generation < 2) {
        before = fake.flash.ops;
        fake_run(&fake, 100);
    }
    uint64_t after = fake.flash.ops;
    CHECK(after - before > 20); /* the copies, the header and the erasure */
    for (uint64_t at = before; at <= after + 2; at++) {
        for (enum fake_cut cut = CUT_BEFORE; cut <= CUT_AFTER; cut++)
            one_flash_crash(at, cut, 1, 40);
    }
}

TEST(power_goes_at_every_exchange)
{
    uint64_t ops;
    uint64_t sent;
    count_points(3, &ops, &sent);
    for (uint64_t at = 1; at <= sent; at++) {
        for (int unsent = 0; unsent < 2; unsent++) {
            NOTE("exchange %llu, unsent %d", (unsigned long long)at, unsent);
            fake_init(&fake, at);
            fake.act_ms = 5000;
            fake.crash_at = at;
            fake.crash_unsent = unsent == 1;
            orders(3);
            fake_boot(&fake);
            CHECK(fake_settle(&fake, 300000));
            check_end(2);
        }
    }
}

/* One fault of every sort at every exchange. */
static uint64_t faulty_exchange;
static enum fake_fault faulty;

static enum fake_fault plan_one(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    return world->sent == faulty_exchange ? faulty : FAULT_NONE;
}

TEST(every_fault_at_every_exchange)
{
    uint64_t ops;
    uint64_t sent;
    count_points(2, &ops, &sent);
    for (uint64_t at = 1; at <= sent; at++) {
        for (int fault = FAULT_LOST; fault < FAULT_COUNT; fault++) {
            NOTE("exchange %llu, fault %d", (unsigned long long)at, fault);
            fake_init(&fake, 100 + at);
            fake.act_ms = 5000;
            fake.plan = plan_one;
            faulty_exchange = at;
            faulty = (enum fake_fault)fault;
            orders(2);
            fake_boot(&fake);
            CHECK(fake_settle(&fake, 300000));
            check_end(2);
        }
    }
}

/* Two crashes: at one flash operation, and again at one of those of the boot after it. */
TEST(power_goes_again_while_it_comes_back)
{
    uint64_t ops;
    uint64_t sent;
    count_points(1, &ops, &sent);
    for (uint64_t first = 1; first <= ops; first++) {
        for (uint64_t second = 1; second <= 5; second++) {
            for (enum fake_cut cut = CUT_BEFORE; cut <= CUT_AFTER; cut++) {
                NOTE("crashes at %llu and %llu more, cut %d", (unsigned long long)first,
                     (unsigned long long)second, (int)cut);
                fake_init(&fake, first);
                fake.act_ms = 5000;
                fake.flash.cut_at = first;
                fake.flash.cut = cut;
                orders(1);
                fake_boot(&fake);
                while (fake.powered && fake.now_ms < 60000)
                    fake_turn(&fake);
                CHECK(!fake.powered);
                fake.flash.cut_at = first + second;
                CHECK(fake_settle(&fake, 200000));
                check_end(0);
            }
        }
    }
}

/* ---- at random ---- */

static enum fake_fault plan_random(struct fake *world, const struct device_exchange *exchange)
{
    (void)exchange;
    if (!rng_chance(&world->rng, 0.4))
        return FAULT_NONE;
    return (enum fake_fault)rng_below(&world->rng, FAULT_COUNT);
}

static void random_life(uint64_t seed)
{
    NOTE("seed %llu", (unsigned long long)seed);
    fake_init(&fake, seed);
    fake.act_ms = 1000 + rng_below(&fake.rng, 20000);
    fake.latency_ms = 1 + (int64_t)rng_below(&fake.rng, 300);
    fake.start_within_ms = 500 + (int64_t)rng_below(&fake.rng, 30000);
    fake.max_duration_s = 5 + rng_below(&fake.rng, 60);
    fake.answers_reduced = rng_chance(&fake.rng, 0.5);
    fake.ignores_stop = rng_chance(&fake.rng, 0.3);
    fake.ignores_time_over = rng_chance(&fake.rng, 0.5);
    fake.plan = plan_random;
    fake_boot(&fake);
    for (int round = 0; round < 30; round++) {
        if (rng_chance(&fake.rng, 0.6))
            orders(1);
        if (rng_chance(&fake.rng, 0.2) && fake.command_count > 0)
            fake.command[rng_below(&fake.rng, fake.command_count)].stop = true;
        if (rng_chance(&fake.rng, 0.4)) {
            fake.flash.cut_at = fake.flash.ops + 1 + rng_below(&fake.rng, 10);
            fake.flash.cut = (enum fake_cut)(CUT_BEFORE + rng_below(&fake.rng, 3));
        }
        if (rng_chance(&fake.rng, 0.2))
            fake_power_off(&fake);
        fake.refuse = rng_chance(&fake.rng, 0.1) ? "no_glass" : NULL;
        fake.fail = rng_chance(&fake.rng, 0.1) ? "jammed" : NULL;
        fake_run(&fake, rng_below(&fake.rng, 40000));
        /* Staff look after what nobody can account for, so that the life goes on. */
        for (uint32_t i = 0; i < fake.command_count; i++) {
            if (fake.command[i].state == FAKE_UNKNOWN && rng_chance(&fake.rng, 0.5))
                fake.command[i].state = FAKE_FAILED;
        }
    }
    fake.plan = NULL;
    fake.flash.cut_at = 0;
    fake.refuse = NULL;
    for (int i = 0; i < 100 && !fake_settle(&fake, 100000); i++) {
        for (uint32_t k = 0; k < fake.command_count; k++) {
            if (fake.command[k].state == FAKE_UNKNOWN)
                fake.command[k].state = FAKE_FAILED;
        }
    }
    for (uint32_t i = 0; i < fake.command_count; i++) {
        CHECK(fake.command[i].starts <= 1);
        CHECK(fake.command[i].state != FAKE_PENDING && fake.command[i].state != FAKE_RUNNING);
    }
}

TEST(lives_at_random)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_life(seed);
}
