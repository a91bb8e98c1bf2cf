/* Which session a text gets: the one that already holds most of its prompt.  One that holds much
 * else besides is left for the text it belongs to while there is room for another. */
#include "lm/talk/engine_int.h"

static uint32_t common(const struct lm_slot *slot, const struct lm_request *request)
{
    uint32_t most = request->job.prompt_count;
    if (slot->count < most)
        most = slot->count;
    uint32_t same = 0;
    while (same < most && slot->ids[same] == request->prompt[same])
        same++;
    return same;
}

static void clear(struct lm_engine *engine, struct lm_slot *slot)
{
    if (slot->session != NULL)
        engine->ops->destroy(slot->session);
    mem_free(slot->ids);
    *slot = (struct lm_slot){.model = NULL};
}

/* A place for one more session, if need be that of another model which waits longest. */
static struct lm_slot *place(struct lm_engine *engine)
{
    struct lm_slot *oldest = NULL;
    for (uint32_t i = 0; i < LM_SLOTS_MAX; i++) {
        struct lm_slot *slot = &engine->slots[i];
        if (slot->model == NULL)
            return slot;
        if (!slot->busy && (oldest == NULL || slot->used < oldest->used))
            oldest = slot;
    }
    if (oldest != NULL)
        clear(engine, oldest);
    return oldest;
}

struct lm_slot *lm_slot_take(struct lm_engine *engine, const struct lm_request *request)
{
    struct lm_slot *best = NULL;
    struct lm_slot *oldest = NULL;
    uint32_t best_common = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < LM_SLOTS_MAX; i++) {
        struct lm_slot *slot = &engine->slots[i];
        if (slot->model != request->job.model)
            continue;
        held++;
        if (slot->busy)
            continue;
        uint32_t same = common(slot, request);
        if (same > best_common) {
            best = slot;
            best_common = same;
        }
        if (oldest == NULL || slot->used < oldest->used)
            oldest = slot;
    }
    struct lm_slot *slot = NULL;
    if (best != NULL && (best_common * 2 >= best->count || held >= engine->sessions_max))
        slot = best;
    else if (held < engine->sessions_max)
        slot = place(engine);
    if (slot == NULL)
        slot = oldest;
    if (slot == NULL)
        return NULL;
    slot->model = request->job.model;
    slot->busy = true;
    slot->used = ++engine->used;
    return slot;
}

void lm_slot_give(struct lm_engine *engine, struct lm_slot *slot)
{
    slot->busy = false;
    slot->used = ++engine->used;
    if (slot->session == NULL)
        clear(engine, slot);
}

void lm_slots_finish(struct lm_engine *engine, const struct lm_model *model)
{
    for (uint32_t i = 0; i < LM_SLOTS_MAX; i++)
        if (engine->slots[i].model != NULL && !engine->slots[i].busy &&
            (model == NULL || engine->slots[i].model == model))
            clear(engine, &engine->slots[i]);
}
