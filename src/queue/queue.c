/* What the queue holds in memory: one slot a machine, rebuilt from SQL at start, kept by
 * queue_op_done in commit order. */
#include "queue/queue_int.h"

#include <string.h>

/* ---- slots ---- */

static uint32_t slot_hash(struct str machine_id)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < machine_id.len; i++)
        hash = (hash ^ (uint8_t)machine_id.at[i]) * 16777619u;
    return hash;
}

struct machine_slot *queue_slot_find(struct queue *queue, struct str machine_id)
{
    struct machine_slot *slot = queue->slots[slot_hash(machine_id) & (queue->slot_count - 1)];
    while (slot != NULL && !str_equal(str_from(slot->machine_id), machine_id))
        slot = slot->chain;
    return slot;
}

static void slots_grow(struct queue *queue)
{
    uint32_t count = queue->slot_count * 2;
    struct machine_slot **slots = mem_zalloc(count * sizeof(struct machine_slot *));
    if (slots == NULL)
        return; /* longer chains, nothing worse */
    for (uint32_t i = 0; i < queue->slot_count; i++) {
        struct machine_slot *slot = queue->slots[i];
        while (slot != NULL) {
            struct machine_slot *next = slot->chain;
            struct machine_slot **at = &slots[slot_hash(str_from(slot->machine_id)) & (count - 1)];
            slot->chain = *at;
            *at = slot;
            slot = next;
        }
    }
    mem_free(queue->slots);
    queue->slots = slots;
    queue->slot_count = count;
}

struct machine_slot *queue_slot_ensure(struct queue *queue, struct str machine_id)
{
    struct machine_slot *slot = queue_slot_find(queue, machine_id);
    if (slot != NULL)
        return slot;
    if (machine_id.len > ID_BYTES_MAX)
        return NULL;
    slot = mem_zalloc(sizeof(*slot));
    if (slot == NULL)
        return NULL;
    base_copy(slot->machine_id, machine_id.at, machine_id.len);
    slot->waits.prev = slot->waits.next = &slot->waits;
    if (queue->slot_used >= queue->slot_count)
        slots_grow(queue);
    struct machine_slot **at = &queue->slots[slot_hash(machine_id) & (queue->slot_count - 1)];
    slot->chain = *at;
    *at = slot;
    queue->slot_used++;
    return slot;
}

static void slot_destroy(struct machine_slot *slot)
{
    while (slot->waits.next != &slot->waits)
        queue_wait_remove(slot->waits.next);
    mem_free(slot->hold_reason);
    mem_free(slot->active);
    mem_free(slot->head);
    mem_free(slot);
}

/* ---- copies ---- */

static void copy_text(char **at, struct str *field)
{
    if (field->at == NULL)
        return;
    base_copy(*at, field->at, field->len);
    (*at)[field->len] = '\0';
    field->at = *at;
    *at += field->len + 1;
}

struct queue_command *queue_command_copy(const struct queue_command *command)
{
    struct queue_command copy = *command;
    struct str *texts[] = {&copy.machine_id,   &copy.kind,     &copy.command,   &copy.payload,
                           &copy.instructions, &copy.meta,     &copy.reason,    &copy.created_by,
                           &copy.settled_by,   &copy.evidence, &copy.request_id};
    size_t bytes = sizeof(copy);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        bytes += texts[i]->at != NULL ? texts[i]->len + 1 : 0;
    struct queue_command *block = mem_alloc(bytes);
    if (block == NULL)
        return NULL;
    char *at = (char *)(block + 1);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        copy_text(&at, texts[i]);
    *block = copy;
    return block;
}

/* ---- looking and waiting ---- */

const struct queue_command *queue_slot_offer(const struct queue *queue,
                                             const struct machine_slot *slot)
{
    if (slot->on_hold || slot->active != NULL || slot->head == NULL)
        return NULL;
    int64_t now_ms = queue->options.wall_ms(queue->options.clock);
    return slot->head->not_after_ms > now_ms ? slot->head : NULL;
}

const struct queue_command *queue_check(struct queue *queue, struct str machine_id,
                                        struct id128 journal_id, bool *ret_own)
{
    *ret_own = false;
    const struct machine_slot *slot = queue_slot_find(queue, machine_id);
    if (slot == NULL)
        return NULL;
    const struct queue_command *active = slot->active;
    if (active != NULL && active->state == QUEUE_RUNNING && active->has_claim &&
        !id128_is_zero(journal_id) && id128_equal(active->journal_id, journal_id)) {
        *ret_own = true;
        return active;
    }
    return queue_slot_offer(queue, slot);
}

enum err queue_wait_add(struct queue *queue, struct str machine_id, struct queue_wait *wait)
{
    struct machine_slot *slot = queue_slot_ensure(queue, machine_id);
    if (slot == NULL)
        return ERR_NOMEM;
    wait->machine = slot;
    wait->prev = slot->waits.prev;
    wait->next = &slot->waits;
    wait->prev->next = wait;
    slot->waits.prev = wait;
    return ERR_OK;
}

void queue_wait_remove(struct queue_wait *wait)
{
    if (wait->machine == NULL)
        return;
    wait->prev->next = wait->next;
    wait->next->prev = wait->prev;
    wait->prev = wait->next = NULL;
    wait->machine = NULL;
}

void queue_slot_wake(struct queue *queue, struct machine_slot *slot)
{
    if (queue_slot_offer(queue, slot) == NULL)
        return;
    /* Only those that wait now: one that parks again from inside its wake is not woken twice. */
    struct queue_wait woken = {.prev = slot->waits.prev, .next = slot->waits.next};
    if (slot->waits.next == &slot->waits)
        return;
    woken.next->prev = &woken;
    woken.prev->next = &woken;
    slot->waits.prev = slot->waits.next = &slot->waits;
    while (woken.next != &woken) {
        struct queue_wait *wait = woken.next;
        queue_wait_remove(wait);
        wait->wake(wait);
    }
}

enum queue_verdict queue_progress(struct queue *queue, uint64_t command_id, struct str machine_id,
                                  struct id128 claim_id, bool *ret_stop)
{
    *ret_stop = false;
    const struct machine_slot *slot = queue_slot_find(queue, machine_id);
    const struct queue_command *active = slot != NULL ? slot->active : NULL;
    if (active == NULL || active->command_id != command_id || active->state != QUEUE_RUNNING)
        return QUEUE_WRONG_STATE;
    if (active->has_claim ? !id128_equal(active->claim_id, claim_id) : !id128_is_zero(claim_id))
        return QUEUE_CLAIM_MISMATCH;
    *ret_stop = active->stop_requested;
    return QUEUE_DONE;
}

bool queue_machine_get(struct queue *queue, struct str machine_id,
                       struct queue_machine *ret_machine)
{
    const struct machine_slot *slot = queue_slot_find(queue, machine_id);
    if (slot == NULL)
        return false;
    *ret_machine = (struct queue_machine){
        .on_hold = slot->on_hold,
        .hold_reason = str_from(slot->hold_reason),
        .hold_since_ms = slot->hold_since_ms,
        .failures_in_row = slot->failures_in_row,
        .pending_count = slot->pending_count,
        .active = slot->active,
        .head = slot->head,
    };
    return true;
}

const struct queue_kind *queue_kind_find(const struct queue *queue, struct str name)
{
    for (const struct queue_kind *const *kind = queue->options.kinds; *kind != NULL; kind++)
        if (str_equal(name, str_from((*kind)->name)))
            return *kind;
    return NULL;
}

void queue_stats_get(const struct queue *queue, struct queue_stats *ret_stats)
{
    *ret_stats = (struct queue_stats){.machines = queue->slot_used, .newest_ms = queue->newest_ms};
    memcpy(ret_stats->by_state, queue->by_state, sizeof(ret_stats->by_state));
    for (uint32_t i = 0; i < queue->slot_count; i++)
        for (const struct machine_slot *slot = queue->slots[i]; slot != NULL; slot = slot->chain)
            for (const struct queue_wait *wait = slot->waits.next; wait != &slot->waits;
                 wait = wait->next)
                ret_stats->waiting++;
}

/* ---- birth: load what memory holds ---- */

struct load_job {
    struct store_job job;
    struct queue *queue;
};

static enum err load_slot(struct queue *queue, struct store_db *db, struct str machine_id,
                          struct arena *scratch)
{
    struct view view;
    /* From 0: a head that is late already is loaded too; queue_slot_offer does not offer it and the
     * first tick expires it. */
    enum err err = queue_sql_view(db, machine_id, 0, true, scratch, &view);
    if (err != ERR_OK)
        return err;
    struct machine_slot *slot = queue_slot_ensure(queue, machine_id);
    if (slot == NULL)
        return ERR_NOMEM;
    slot->on_hold = view.on_hold;
    slot->hold_since_ms = view.hold_since_ms;
    slot->failures_in_row = view.failures_in_row;
    slot->pending_count = view.pending_count;
    slot->waiting_count = view.waiting_count;
    slot->active_id = view.has_active ? view.active.command_id : 0;
    slot->hold_reason = view.hold_reason.at != NULL ? mem_strdup(view.hold_reason) : NULL;
    slot->active = view.has_active ? queue_command_copy(&view.active) : NULL;
    slot->head = view.has_head ? queue_command_copy(&view.head) : NULL;
    if ((view.has_active && slot->active == NULL) || (view.has_head && slot->head == NULL) ||
        (view.hold_reason.at != NULL && slot->hold_reason == NULL))
        return ERR_NOMEM;
    /* How long ago the claim was, nobody here knows: both waits begin anew. */
    if (view.has_active)
        slot->start_over_mono_ms = queue->options.mono_ms(queue->options.clock) +
                                   (int64_t)queue->options.start_window_s * 1000;
    slot->silence_id = slot->active_id;
    if (view.has_active && view.active.state == QUEUE_RUNNING)
        slot->silence_mono_ms =
            queue->options.mono_ms(queue->options.clock) +
            ((int64_t)view.active.max_duration_s + queue->options.grace_s) * 1000;
    return ERR_OK;
}

static enum err load_run(struct store_job *job, struct store_db *db)
{
    struct queue *queue = ((struct load_job *)job)->queue;
    struct arena ids_arena, scratch;
    struct str *ids = NULL;
    size_t count = 0;
    arena_init(&ids_arena, 256 * MIB);
    arena_init(&scratch, 16 * MIB);
    enum err err = queue_sql_machines(db, &ids_arena, &ids, &count);
    for (size_t i = 0; i < count && err == ERR_OK; i++) {
        err = load_slot(queue, db, ids[i], &scratch);
        arena_reset(&scratch);
    }
    if (err == ERR_OK)
        err = queue_sql_expire_next(db, &queue->expire_next_ms);
    if (err == ERR_OK)
        err = queue_sql_newest(db, &queue->newest_ms);
    arena_finish(&scratch);
    arena_finish(&ids_arena);
    return err;
}

static void slots_clear(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->slot_count; i++) {
        while (queue->slots[i] != NULL) {
            struct machine_slot *slot = queue->slots[i];
            queue->slots[i] = slot->chain;
            slot_destroy(slot);
        }
    }
    queue->slot_used = 0;
}

enum err queue_load(struct queue *queue)
{
    slots_clear(queue);
    struct load_job load = {.job.run = load_run, .queue = queue};
    return store_run_now(queue->options.store, &load.job);
}

enum err queue_create(const struct queue_options *options, struct queue **ret_queue)
{
    enum { SLOTS_FIRST = 64 };
    struct queue *queue = mem_zalloc(sizeof(*queue));
    if (queue == NULL)
        return ERR_NOMEM;
    queue->options = *options;
    if (queue->options.grace_s == 0)
        queue->options.grace_s = 30;
    if (queue->options.start_window_s == 0)
        queue->options.start_window_s = 15;
    if (queue->options.pending_max == 0)
        queue->options.pending_max = 1000;
    if (queue->options.failures_max == 0)
        queue->options.failures_max = 3;
    queue->slot_count = SLOTS_FIRST;
    queue->slots = mem_zalloc(SLOTS_FIRST * sizeof(struct machine_slot *));
    if (queue->slots == NULL) {
        mem_free(queue);
        return ERR_NOMEM;
    }
    enum err err = queue_load(queue);
    if (err != ERR_OK) {
        queue_destroy(queue);
        return err;
    }
    *ret_queue = queue;
    return ERR_OK;
}

void queue_destroy(struct queue *queue)
{
    if (queue == NULL)
        return;
    while (queue->ops != NULL) /* only after store_crash: store_close ends them all */
        queue_op_destroy(queue->ops);
    slots_clear(queue);
    mem_free(queue->slots);
    mem_free(queue);
}
