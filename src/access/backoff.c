/* After the third failure in a row of one name from one address the next try must wait 1 s, then 2
 * s, 4 s, ... 15 min. An hour without a try forgets.  Keyed by both, so that nobody can keep
 * somebody else out. value[0]: tries counted as failures.  value[1]: monotonic ms before which no
 * try is allowed. */
#include "access/access_int.h"

#define BACKOFF_FREE      2
#define BACKOFF_MS_MAX    ((int64_t)15 * 60 * 1000)
#define BACKOFF_FORGET_MS ((int64_t)60 * 60 * 1000)

static int64_t delay_ms(int64_t failures)
{
    if (failures <= BACKOFF_FREE)
        return 0;
    int64_t doublings = failures - BACKOFF_FREE - 1;
    int64_t delay = doublings < 10 ? (int64_t)1000 << doublings : BACKOFF_MS_MAX;
    return delay < BACKOFF_MS_MAX ? delay : BACKOFF_MS_MAX;
}

bool access_backoff_try(struct lru *lru, struct str key, int64_t mono_ms, int64_t *ret_retry_ms)
{
    struct lru_slot *slot = access_lru_touch(lru, key);
    if (mono_ms < slot->value[1]) {
        *ret_retry_ms = slot->value[1] - mono_ms;
        return false;
    }
    if (mono_ms - slot->value[1] > BACKOFF_FORGET_MS)
        slot->value[0] = 0;
    slot->value[0]++;
    slot->value[1] = mono_ms + delay_ms(slot->value[0]);
    return true;
}

void access_backoff_forget(struct lru *lru, struct str key)
{
    struct lru_slot *slot = access_lru_touch(lru, key);
    slot->value[0] = 0;
    slot->value[1] = 0;
}

void access_backoff_undo(struct lru *lru, struct str key)
{
    struct lru_slot *slot = access_lru_touch(lru, key);
    if (slot->value[0] > 0)
        slot->value[0]--;
    slot->value[1] -= delay_ms(slot->value[0] + 1);
}
