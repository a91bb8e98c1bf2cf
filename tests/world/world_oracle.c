/* What must be true, whatever happens.  The oracle knows the truth (what moved) and what the server
 * says (each committed transition, and the database itself after a crash), and compares them after
 * every event. */
#include "world/world.h"

#include "record/record.h"

#include <string.h>

struct truth *oracle_find(struct world *world, struct id128 uid)
{
    for (uint32_t i = world->truth_count; i > 0; i--)
        if (id128_equal(world->truth[i - 1].uid, uid))
            return &world->truth[i - 1];
    return NULL;
}

struct truth *oracle_by_id(struct world *world, uint64_t command_id)
{
    for (uint32_t i = world->truth_count; i > 0; i--)
        if (world->truth[i - 1].command_id == command_id)
            return &world->truth[i - 1];
    return NULL;
}

static struct truth *learn(struct world *world, const struct queue_command *command)
{
    struct truth *truth = oracle_find(world, command->uid);
    if (truth != NULL)
        return truth;
    if (world->truth_count == WORLD_TRUTHS_MAX) {
        world_breach(world, "more commands than the oracle can hold");
        return NULL;
    }
    truth = &world->truth[world->truth_count++];
    *truth = (struct truth){.uid = command->uid,
                            .command_id = command->command_id,
                            .machine = (uint32_t)(command->machine_id.at[1] - '0'),
                            .allowed_at_ms = world->now_ms,
                            .state = command->state};
    return truth;
}

/* From its approval to its end a command may take so long: start, duration, grace, staff. */
#define END_MS ((int64_t)(WORLD_NOT_AFTER_S + WORLD_MAX_DURATION_S + WORLD_GRACE_S + 60) * 1000)

/* The table of the design's section 2, as moves. */
static bool legal(enum queue_state from, enum queue_state to)
{
    static const uint32_t moves[QUEUE_STATE_COUNT] = {
        [QUEUE_HELD] = 1u << QUEUE_PENDING | 1u << QUEUE_CANCELLED,
        [QUEUE_PENDING] = 1u << QUEUE_CANCELLED | 1u << QUEUE_RUNNING | 1u << QUEUE_EXPIRED |
                          1u << QUEUE_FAILED | 1u << QUEUE_REJECTED,
        [QUEUE_RUNNING] =
            1u << QUEUE_COMPLETE | 1u << QUEUE_FAILED | 1u << QUEUE_CANCELLED | 1u << QUEUE_UNKNOWN,
        [QUEUE_UNKNOWN] = 1u << QUEUE_COMPLETE | 1u << QUEUE_FAILED,
    };
    return from == to || (moves[from] >> to & 1) != 0;
}

/* States in which nothing may ever have moved. */
static bool never_moved(const struct queue_command *command)
{
    return command->state == QUEUE_EXPIRED || command->state == QUEUE_REJECTED ||
           command->state == QUEUE_HELD || command->state == QUEUE_PENDING ||
           str_equal(command->reason, STR("not_started")) ||
           (command->state == QUEUE_CANCELLED && command->claimed_at_ms == 0);
}

static void compare(struct world *world, const struct truth *truth,
                    const struct queue_command *command)
{
    unsigned long long id = (unsigned long long)command->command_id;
    if (never_moved(command) && truth->starts > 0)
        world_breach(world, "command %llu is %s (%.*s), but something moved for it", id,
                     queue_state_name(command->state), STR_ARG(command->reason));
    bool by_staff = command->evidence.len > 0;
    if (command->state == QUEUE_COMPLETE && !truth->finished && !by_staff)
        world_breach(world, "command %llu is complete, but it never ran to its end", id);
    if (queue_state_final(command->state) && truth->acting > 0)
        world_breach(world, "command %llu is %s while a machine acts on it", id,
                     queue_state_name(command->state));
}

void oracle_told(struct world *world, const struct queue_change *change)
{
    const struct queue_command *command = change->command;
    struct truth *truth = learn(world, command);
    if (truth == NULL)
        return;
    world_trace(world, "command %llu m%u %s -> %s %.*s", (unsigned long long)command->command_id,
                truth->machine, change->created ? "" : queue_state_name(change->old_state),
                queue_state_name(command->state), STR_ARG(command->reason));
    if (!change->created &&
        (!legal(change->old_state, command->state) || change->old_state != truth->state))
        world_breach(world, "command %llu went from %s (was %s) to %s",
                     (unsigned long long)command->command_id, queue_state_name(change->old_state),
                     queue_state_name(truth->state), queue_state_name(command->state));
    if (command->state == QUEUE_PENDING)
        truth->allowed_at_ms = world->now_ms;
    if (command->state == QUEUE_UNKNOWN && str_equal(command->reason, STR("silence")) &&
        truth->acting > 0)
        world_breach(world,
                     "command %llu was given up while its machine still acts in time (rule 6)",
                     (unsigned long long)command->command_id);
    truth->state = command->state;
    truth->settled_by_staff = command->evidence.len > 0;
    world->unknowns += command->state == QUEUE_UNKNOWN && change->old_state != command->state;
    world->completes += command->state == QUEUE_COMPLETE;
    world->expired += command->state == QUEUE_EXPIRED;
    compare(world, truth, command);
}

/* ---- after a crash: the database speaks ---- */

struct reread {
    struct world *world;
    uint64_t oldest;
    bool more;
    uint32_t seen;
};

static void reread_rows(void *cookie, enum err err, const struct queue_command *commands,
                        size_t count, bool more)
{
    struct reread *reread = cookie;
    struct world *world = reread->world;
    if (err != ERR_OK) {
        world_breach(world, "the database cannot be listed: %s", err_name(err));
        return;
    }
    reread->more = more;
    for (size_t i = 0; i < count; i++) {
        reread->oldest = commands[i].command_id;
        struct truth *truth = learn(world, &commands[i]);
        if (truth == NULL)
            return;
        if (truth->command_id != commands[i].command_id)
            world_breach(world, "command %llu changed its number",
                         (unsigned long long)truth->command_id);
        /* What was told was committed, so the row may only be further along than what was told. */
        bool further = truth->state == commands[i].state || !queue_state_final(truth->state);
        if (!further)
            world_breach(world, "command %llu was told %s, but the database says %s (rule 1)",
                         (unsigned long long)commands[i].command_id, queue_state_name(truth->state),
                         queue_state_name(commands[i].state));
        if (truth->state == QUEUE_RUNNING && commands[i].state == QUEUE_PENDING)
            world_breach(world, "command %llu was granted, but the database says pending (rule 1)",
                         (unsigned long long)commands[i].command_id);
        if (truth->state == QUEUE_HELD && commands[i].state != QUEUE_HELD)
            truth->allowed_at_ms = world->now_ms; /* approved, and the crash came before we heard */
        truth->state = commands[i].state;
        compare(world, truth, &commands[i]);
        reread->seen++;
    }
}

void oracle_reload(struct world *world)
{
    struct reread reread = {.world = world, .more = true};
    while (reread.more && world->breach[0] == '\0') {
        struct queue_filter filter = {.before_id = reread.oldest, .limit = 200};
        reread.more = false;
        if (queue_list(world->server.queue, &filter, reread_rows, &reread) != ERR_OK)
            world_breach(world, "queue_list refuses");
        while (store_step(world->server.store, 0) > 0)
            continue;
    }
    if (reread.seen < world->truth_count)
        world_breach(world, "%u commands were told, the database has %u (rule 1)",
                     world->truth_count, reread.seen);
    for (uint32_t i = 0; i < world->press_count; i++) {
        const struct press *press = &world->press[i];
        if (press->acked && oracle_by_id(world, press->command_id) == NULL)
            world_breach(world, "acknowledged command %llu is gone (rule 1)",
                         (unsigned long long)press->command_id);
    }
}

/* ---- what moves ---- */

void oracle_start(struct world *world, struct id128 uid, uint32_t board)
{
    struct truth *truth = oracle_find(world, uid);
    world->starts++;
    world->mqtt_starts += world->board[board].on_mqtt;
    if (truth == NULL) {
        world_breach(world, "board %u acts on a command that nobody stored", board);
        return;
    }
    unsigned long long id = (unsigned long long)truth->command_id;
    world_trace(world, "command %llu: board %u acts", id, board);
    if (++truth->starts > 1)
        world_breach(world, "command %llu acts twice (rule 4)", id);
    truth->acting++;
    if (truth->state != QUEUE_RUNNING && truth->state != QUEUE_UNKNOWN)
        world_breach(world, "board %u acts on command %llu, which the server says is %s", board, id,
                     queue_state_name(truth->state));
    int64_t late_ms = world->now_ms - truth->allowed_at_ms - (int64_t)WORLD_NOT_AFTER_S * 1000;
    if (late_ms > 0)
        world_breach(world, "command %llu starts %lld ms after its deadline (rule 6)", id,
                     (long long)late_ms);
}

void oracle_end(struct world *world, struct id128 uid, bool finished)
{
    struct truth *truth = oracle_find(world, uid);
    if (truth == NULL)
        return;
    truth->acting--;
    truth->finished = truth->finished || finished;
    world_trace(world, "command %llu: ends, %s", (unsigned long long)truth->command_id,
                finished ? "finished" : "not finished");
}

void oracle_step(struct world *world)
{
    /* Only the newest can act; older ones were compared when they became final. */
    uint32_t from = world->truth_count > 64 ? world->truth_count - 64 : 0;
    for (uint32_t i = from; i < world->truth_count; i++) {
        const struct truth *truth = &world->truth[i];
        if (truth->acting > 0 && truth->state != QUEUE_RUNNING && truth->state != QUEUE_UNKNOWN)
            world_breach(world, "a machine acts on command %llu while the server says %s",
                         (unsigned long long)truth->command_id, queue_state_name(truth->state));
        if (truth->acting > 1)
            world_breach(world, "two boards act on command %llu",
                         (unsigned long long)truth->command_id);
    }
}

static enum err walk_audit(struct store_job *job, struct store_db *db)
{
    (void)job;
    struct record_walk walk = {0};
    while (!walk.finished && walk.broken_id == 0) {
        enum err err = record_audit_verify(db, 500, &walk);
        if (err != ERR_OK)
            return err;
    }
    return walk.broken_id == 0 ? ERR_OK : ERR_CONFLICT;
}

/* ---- readings: what was acknowledged is there, and nothing is there twice ---- */

static const char *const mark_sql[] = {
    "SELECT readings.value, count(*) FROM telemetry_readings AS readings "
    "JOIN telemetry_series AS series ON series.series_id = readings.series_id "
    "WHERE series.type = 'mark' GROUP BY readings.value"};
static struct store_statements mark_statements = {"world", mark_sql, 1, 0};

struct marks {
    struct store_job job;
    uint32_t count[WORLD_MARKS_MAX];
};

static enum err read_marks(struct store_job *job, struct store_db *db)
{
    struct marks *marks = (struct marks *)(void *)job;
    struct store_stmt *stmt = store_prepare(db, &mark_statements, 0);
    enum err err;
    while ((err = store_row(stmt)) == ERR_OK) {
        int64_t value = (int64_t)store_col_f64(stmt, 0);
        if (value < 0 || value >= WORLD_MARKS_MAX)
            return ERR_INPUT;
        marks->count[value] = (uint32_t)store_col_i64(stmt, 1);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void compare_marks(struct world *world)
{
    static struct marks marks;
    marks = (struct marks){.job = {.run = read_marks}};
    if (store_run_now(world->server.store, &marks.job) != ERR_OK)
        world_breach(world, "the readings cannot be counted");
    for (uint32_t i = 0; i < world->mark_count; i++) {
        const struct mark *mark = &world->mark[i];
        if (mark->acked && marks.count[i] == 0)
            world_breach(world, "reading %u of board %u was acknowledged and is not there", i,
                         mark->board);
        if (marks.count[i] > 1 && !mark->shared)
            world_breach(world, "reading %u of board %u is there %u times", i, mark->board,
                         marks.count[i]);
    }
}

void oracle_final(struct world *world)
{
    oracle_reload(world);
    compare_marks(world);
    for (uint32_t i = 0; i < world->truth_count; i++) {
        const struct truth *truth = &world->truth[i];
        if (world->now_ms - truth->allowed_at_ms < END_MS)
            continue; /* approved just now: it may take its time */
        if (!queue_state_final(truth->state) && truth->state != QUEUE_HELD)
            world_breach(world, "command %llu is still %s long after the storm",
                         (unsigned long long)truth->command_id, queue_state_name(truth->state));
    }
    for (uint32_t i = 0; i < world->press_count; i++) {
        const struct press *press = &world->press[i];
        if (!press->acked)
            world_breach(world, "press %u was never answered", i);
        for (uint32_t j = 0; j < i; j++)
            if (world->press[j].command_id == press->command_id && press->acked)
                world_breach(world, "two presses share command %llu",
                             (unsigned long long)press->command_id);
    }
    /* Each press is one command: a command that no press knows was ordered twice (rule 8). */
    if (world->truth_count != world->press_count)
        world_breach(world, "%u presses made %u commands (rule 8)", world->press_count,
                     world->truth_count);
    struct store_job job = {.run = walk_audit};
    if (store_run_now(world->server.store, &job) != ERR_OK)
        world_breach(world, "the audit chain is broken (rule 13)");
}
