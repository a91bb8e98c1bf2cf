/* The journal alone: torn writes, moves between sectors, rot, and memory full of noise. */
#include "device/journal.h"
#include "kit/kit.h"

#include <string.h>

#define SECTOR JOURNAL_SECTOR_BYTES_MIN

struct memory {
    uint8_t bytes[2 * SECTOR];
    uint64_t ops, tear_at; /* this operation stops half way, and nothing works after it */
    bool dead, fails;
    struct rng rng;
};

static struct memory memory;

static enum err read_memory(void *context, uint32_t offset, void *dst, size_t len)
{
    struct memory *m = context;
    CHECK(offset + len <= sizeof(m->bytes));
    memcpy(dst, m->bytes + offset, len);
    return m->dead ? ERR_IO : ERR_OK;
}

/* Power is gone: this much of it happened. */
static size_t torn(struct memory *m, size_t len)
{
    if (m->tear_at == 0 || ++m->ops != m->tear_at)
        return len;
    m->dead = true;
    return rng_below(&m->rng, (uint32_t)len + 1);
}

static enum err write_memory(void *context, uint32_t offset, const void *src, size_t len)
{
    struct memory *m = context;
    CHECK(offset + len <= sizeof(m->bytes));
    if (m->dead || m->fails)
        return ERR_IO;
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(m->bytes[offset + i], 0xff);
    memcpy(m->bytes + offset, src, torn(m, len));
    return m->dead ? ERR_IO : ERR_OK;
}

static enum err erase_memory(void *context, uint32_t sector)
{
    struct memory *m = context;
    CHECK(sector < 2);
    if (m->dead || m->fails)
        return ERR_IO;
    memset(m->bytes + sector * SECTOR, 0xff, torn(m, SECTOR));
    return m->dead ? ERR_IO : ERR_OK;
}

static const struct device_flash flash = {
    .sector_bytes = SECTOR,
    .read = read_memory,
    .write = write_memory,
    .erase = erase_memory,
};

static struct journal journal;

static struct id128 id_of(uint32_t number)
{
    struct id128 id = {{0}};
    id.byte[0] = 1;
    memcpy(id.byte + 8, &number, sizeof(number));
    return id;
}

static void fresh_memory(void)
{
    memset(&memory, 0, sizeof(memory));
    memset(memory.bytes, 0xff, sizeof(memory.bytes));
    rng_init(&memory.rng, 1);
}

/* Power comes back. */
static enum err reopen(uint32_t fresh_id)
{
    memory.dead = false;
    memory.tear_at = 0;
    memset(&journal, 0xA5, sizeof(journal));
    return journal_open(&journal, &flash, &memory, id_of(fresh_id));
}

static struct journal_entry entry_of(uint32_t number, enum journal_state state)
{
    struct journal_entry entry = {
        .state = state,
        .outcome = 1,
        .command_id = number,
        .uid = id_of(1000 + number),
        .claim_id = id_of(100000 + number),
        .duration_ms = number * 3,
        .reason = "why",
        .warning = "mind",
    };
    for (unsigned i = 0; i < JOURNAL_NUMBERS_MAX; i++)
        entry.number[i] = i == 0 ? (int64_t)number * 1000 : JOURNAL_NO_NUMBER;
    return entry;
}

static enum err put(uint32_t number, enum journal_state state)
{
    struct journal_entry entry = entry_of(number, state);
    return journal_put(&journal, &entry);
}

static const struct journal_entry *find(uint32_t number)
{
    return journal_find(&journal, id_of(1000 + number));
}

TEST(what_was_put_is_there_after_a_boot)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    CHECK(id128_equal(journal.id, id_of(1)));
    CHECK_OK(put(7, JOURNAL_STARTED));
    CHECK_OK(put(7, JOURNAL_DONE));
    CHECK_OK(put(8, JOURNAL_STARTED));
    CHECK_OK(reopen(2));
    CHECK(id128_equal(journal.id, id_of(1))); /* the fresh id was not needed */
    const struct journal_entry *entry = find(7);
    CHECK(entry != NULL);
    CHECK_EQ(entry->state, JOURNAL_DONE);
    CHECK_EQ(entry->command_id, 7);
    CHECK(id128_equal(entry->claim_id, id_of(100007)));
    CHECK_EQ(entry->duration_ms, 21);
    CHECK_EQ(entry->number[0], 7000);
    CHECK_EQ(entry->number[1], JOURNAL_NO_NUMBER);
    CHECK_STR(entry->reason, "why");
    CHECK_STR(entry->warning, "mind");
    CHECK_EQ(find(8)->state, JOURNAL_STARTED);
    CHECK_EQ(journal_unheard(&journal)->command_id, 7);
    CHECK(find(9) == NULL);
}

TEST(the_newest_are_kept_for_ever)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    for (uint32_t i = 0; i < 1000; i++) {
        CHECK_OK(put(i, JOURNAL_STARTED));
        CHECK_OK(put(i, JOURNAL_DONE));
        journal_hear(&journal, id_of(1000 + i));
        if (i % 37 == 0)
            CHECK_OK(reopen(2));
        for (uint32_t k = i >= JOURNAL_KEEP ? i - JOURNAL_KEEP + 1 : 0; k <= i; k++)
            CHECK_EQ(find(k)->state, JOURNAL_HEARD);
    }
    CHECK(journal_unheard(&journal) == NULL);
    CHECK(journal.generation > 10);
}

TEST(an_open_entry_outlives_any_number_of_moves)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    CHECK_OK(put(5, JOURNAL_STARTED));
    for (uint32_t i = 100; i < 900; i++)
        CHECK_OK(put(i, JOURNAL_HEARD));
    CHECK_EQ(find(5)->state, JOURNAL_STARTED);
    CHECK_OK(reopen(2));
    CHECK_EQ(find(5)->state, JOURNAL_STARTED);
}

/* Using the older sector would mean to erase the newer one at the next write. */
TEST(the_newer_of_two_sectors_is_used)
{
    uint32_t i = 0;
    fresh_memory();
    CHECK_OK(reopen(1));
    for (uint32_t generation = 2; generation < 8; generation++) {
        while (journal.generation < generation)
            CHECK_OK(put(i++, JOURNAL_HEARD));
        uint32_t sector = journal.sector;
        CHECK_OK(reopen(2));
        CHECK_EQ(journal.sector, sector);
        CHECK_EQ(journal.generation, generation);
    }
}

TEST(open_entries_are_bounded)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    for (uint32_t i = 0; i < JOURNAL_OPEN_MAX; i++)
        CHECK_OK(put(i, JOURNAL_STARTED));
    CHECK_ERR(put(100, JOURNAL_STARTED), ERR_FULL);
    CHECK_OK(put(3, JOURNAL_DONE)); /* but an open one may end */
    journal_hear(&journal, id_of(1003));
    CHECK_OK(put(100, JOURNAL_STARTED));
}

/* At every operation of a long life the power goes: what had been acknowledged is still there, and
 * what had not may be there or not, but nothing in between. */
TEST(nothing_acknowledged_is_lost_when_the_power_goes)
{
    for (uint64_t tear_at = 1; tear_at <= 700; tear_at++) {
        uint32_t done = 0;
        uint32_t state = 0;
        NOTE("operation %llu", (unsigned long long)tear_at);
        fresh_memory();
        rng_init(&memory.rng, tear_at);
        CHECK_OK(reopen(1));
        memory.ops = 0;
        memory.tear_at = tear_at;
        for (;;) {
            enum journal_state next = (enum journal_state)(JOURNAL_STARTED + (int)state);
            if (put(done, next) != ERR_OK)
                break;
            state++;
            if (state == 3) {
                state = 0;
                done++;
            }
        }
        CHECK_OK(reopen(2));
        CHECK(id128_equal(journal.id, id_of(1)));
        for (uint32_t i = done >= JOURNAL_KEEP ? done - JOURNAL_KEEP + 1 : 0; i < done; i++) {
            CHECK(find(i) != NULL);
            CHECK_EQ(find(i)->state, JOURNAL_HEARD);
        }
        uint32_t found = find(done) != NULL ? (uint32_t)find(done)->state : 0;
        CHECK(found == state || found == state + 1);
        /* And it goes on being a journal. */
        CHECK_OK(put(5000, JOURNAL_STARTED));
        CHECK_OK(reopen(3));
        CHECK(find(5000) != NULL);
    }
}

TEST(power_goes_while_it_is_formatted)
{
    for (uint64_t tear_at = 1; tear_at <= 4; tear_at++) {
        fresh_memory();
        for (size_t i = 0; i < sizeof(memory.bytes); i++)
            memory.bytes[i] = (uint8_t)rng_next(&memory.rng);
        memory.tear_at = tear_at;
        enum err err = journal_open(&journal, &flash, &memory, id_of(1));
        CHECK(err == ERR_IO || err == ERR_OK);
        CHECK_EQ(journal.ready, err == ERR_OK);
        CHECK_OK(reopen(2));
        CHECK_OK(put(1, JOURNAL_STARTED));
        CHECK_OK(reopen(3));
        CHECK(find(1) != NULL);
    }
}

TEST(a_lost_header_makes_another_journal_that_knows_the_same)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    CHECK_OK(put(1, JOURNAL_DONE));
    CHECK_OK(put(2, JOURNAL_STARTED));
    memory.bytes[journal.sector * SECTOR + 8] ^= 1;
    CHECK_OK(reopen(2));
    CHECK(id128_equal(journal.id, id_of(2)));
    CHECK_EQ(find(1)->state, JOURNAL_DONE);
    CHECK_EQ(find(2)->state, JOURNAL_STARTED);
    CHECK_OK(reopen(3));
    CHECK(id128_equal(journal.id, id_of(2)));
    CHECK_EQ(find(2)->state, JOURNAL_STARTED);
}

TEST(the_newer_sector_loses_its_header)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    uint32_t i = 0;
    CHECK_OK(put(6666, JOURNAL_STARTED));
    while (journal.generation < 2)
        CHECK_OK(put(i++, JOURNAL_HEARD));
    CHECK_OK(put(7777, JOURNAL_STARTED));
    CHECK_OK(put(6666, JOURNAL_DONE));
    memory.bytes[journal.sector * SECTOR + 4] ^= 0x10;
    CHECK_OK(reopen(2));
    CHECK(id128_equal(journal.id, id_of(1))); /* the older header still says who it is */
    CHECK_EQ(find(7777)->state, JOURNAL_STARTED);
    CHECK_EQ(find(6666)->state, JOURNAL_DONE);
    CHECK(find(i - 1) != NULL);
    for (uint32_t k = 0; k < 300; k++) {
        CHECK_OK(put(10000 + k, JOURNAL_HEARD));
        CHECK_EQ(find(6666)->state, JOURNAL_DONE);
    }
    CHECK_OK(reopen(3));
    CHECK_EQ(find(7777)->state, JOURNAL_STARTED);
    CHECK_EQ(find(6666)->state, JOURNAL_DONE);
}

TEST(one_rotten_record_costs_only_itself)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    for (uint32_t i = 0; i < 20; i++)
        CHECK_OK(put(i, JOURNAL_HEARD));
    for (uint32_t slot = 1; slot <= 20; slot++) {
        memory.bytes[journal.sector * SECTOR + slot * JOURNAL_RECORD_BYTES + 20] ^= 0x40;
        CHECK_OK(reopen(2));
        for (uint32_t i = 0; i < 20; i++)
            CHECK_EQ(find(i) != NULL, i + 1 != slot);
        memory.bytes[journal.sector * SECTOR + slot * JOURNAL_RECORD_BYTES + 20] ^= 0x40;
    }
}

/* Noise is no journal; records that are valid amid noise are not forgotten. */
TEST(noise_never_breaks_it_and_valid_records_survive_noise)
{
    struct rng rng;
    rng_init(&rng, 5);
    for (int round = 0; round < 1500; round++) {
        NOTE("round %d", round);
        fresh_memory();
        CHECK_OK(reopen(1));
        uint32_t count = 1 + rng_below(&rng, 60);
        for (uint32_t i = 0; i < count; i++)
            CHECK_OK(put(i, (enum journal_state)(1 + i % 3) == JOURNAL_HEARD || i % 10 != 0
                                ? JOURNAL_HEARD
                                : JOURNAL_STARTED));
        bool hit[61] = {false};
        uint32_t sector = journal.sector;
        uint32_t hits = rng_below(&rng, 400);
        bool header_hit = false;
        for (uint32_t n = 0; n < hits; n++) {
            uint32_t at = rng_below(&rng, sizeof(memory.bytes));
            uint8_t byte = (uint8_t)rng_next(&rng);
            if (memory.bytes[at] == byte)
                continue;
            memory.bytes[at] = byte;
            uint32_t slot = (at % SECTOR) / JOURNAL_RECORD_BYTES;
            if (at / SECTOR == sector && slot >= 1 && slot <= count)
                hit[slot - 1] = true;
            header_hit = header_hit || (at / SECTOR == sector && slot == 0);
        }
        CHECK_OK(reopen(2));
        CHECK(header_hit || id128_equal(journal.id, id_of(1)));
        for (uint32_t i = 0; i < count; i++)
            CHECK(hit[i] || find(i) != NULL);
        CHECK_OK(put(90000, JOURNAL_STARTED));
        CHECK_OK(reopen(3));
        CHECK(find(90000) != NULL);
        for (uint32_t i = 0; i < count; i++)
            CHECK(hit[i] || find(i) != NULL);
    }
}

TEST(pure_noise)
{
    struct rng rng;
    rng_init(&rng, 6);
    for (int round = 0; round < 200; round++) {
        fresh_memory();
        for (size_t i = 0; i < sizeof(memory.bytes); i++)
            memory.bytes[i] = (uint8_t)rng_next(&rng);
        CHECK_OK(reopen(1));
        CHECK_EQ(journal.entry_count, 0);
        CHECK_OK(put(1, JOURNAL_STARTED));
        CHECK_OK(reopen(2));
        CHECK(id128_equal(journal.id, id_of(1)));
        CHECK(find(1) != NULL);
    }
}

TEST(a_full_sector_that_cannot_move_stays_as_it_is)
{
    fresh_memory();
    CHECK_OK(reopen(1));
    uint32_t i = 0;
    while (journal.next < SECTOR / JOURNAL_RECORD_BYTES)
        CHECK_OK(put(i++, JOURNAL_HEARD));
    memory.fails = true;
    CHECK_ERR(put(i, JOURNAL_STARTED), ERR_IO);
    memory.fails = false;
    CHECK_OK(put(i, JOURNAL_STARTED));
    CHECK_OK(reopen(2));
    CHECK(find(i) != NULL && find(i - 1) != NULL);
}

TEST(unusable_memory_is_refused)
{
    struct device_flash small = flash;
    small.sector_bytes = SECTOR - 1;
    CHECK_ERR(journal_open(&journal, &small, &memory, id_of(1)), ERR_INPUT);
    CHECK(!journal.ready);
    /* Without randomness there is no id, and without an id no journal. */
    fresh_memory();
    CHECK_ERR(journal_open(&journal, &flash, &memory, (struct id128){{0}}), ERR_IO);
    CHECK_ERR(put(1, JOURNAL_STARTED), ERR_IO);
}
