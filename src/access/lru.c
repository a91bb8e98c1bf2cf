/* Slots are numbered from 1; 0 is "none", so that zeroed memory is an empty map.  Slots [1..count]
 * are in use. */
#include "access/access_int.h"

#include <assert.h>
#include <sodium.h>

enum err access_lru_init(struct lru *lru, uint32_t max)
{
    *lru = (struct lru){.max = max};
    ASSERT(max >= 1 && max <= 1u << 20);
    uint32_t buckets = 1;
    while (buckets < max)
        buckets *= 2;
    lru->mask = buckets - 1;
    lru->slot = mem_zalloc(((size_t)max + 1) * sizeof(lru->slot[0]));
    lru->bucket = mem_zalloc(buckets * sizeof(lru->bucket[0]));
    enum err err = ERR_NOMEM;
    if (lru->slot != NULL && lru->bucket != NULL)
        err = sys_random(lru->secret, sizeof(lru->secret));
    if (err != ERR_OK)
        access_lru_finish(lru);
    return err;
}

void access_lru_finish(struct lru *lru)
{
    mem_free(lru->slot);
    mem_free(lru->bucket);
    *lru = (struct lru){0};
}

static void unlink_slot(struct lru *lru, uint32_t n)
{
    struct lru_slot *slot = &lru->slot[n];
    if (slot->newer != 0)
        lru->slot[slot->newer].older = slot->older;
    else
        lru->newest = slot->older;
    if (slot->older != 0)
        lru->slot[slot->older].newer = slot->newer;
    else
        lru->oldest = slot->newer;
}

static void link_newest(struct lru *lru, uint32_t n)
{
    struct lru_slot *slot = &lru->slot[n];
    slot->newer = 0;
    slot->older = lru->newest;
    if (lru->newest != 0)
        lru->slot[lru->newest].newer = n;
    lru->newest = n;
    if (lru->oldest == 0)
        lru->oldest = n;
}

static void unchain(struct lru *lru, uint32_t n)
{
    uint32_t *at = &lru->bucket[lru->slot[n].key & lru->mask];
    while (*at != n)
        at = &lru->slot[*at].chain;
    *at = lru->slot[n].chain;
}

struct lru_slot *access_lru_touch(struct lru *lru, struct str text)
{
    uint64_t key = 0;
    static_assert(crypto_shorthash_BYTES == sizeof(key) &&
                      crypto_shorthash_KEYBYTES == sizeof(((struct lru *)NULL)->secret),
                  "SipHash");
    crypto_shorthash((unsigned char *)&key, (const unsigned char *)(text.at != NULL ? text.at : ""),
                     text.len, lru->secret);
    uint32_t n = lru->bucket[key & lru->mask];
    while (n != 0 && lru->slot[n].key != key)
        n = lru->slot[n].chain;
    if (n != 0) {
        unlink_slot(lru, n);
        link_newest(lru, n);
        return &lru->slot[n];
    }
    if (lru->count < lru->max) {
        n = ++lru->count;
    } else {
        n = lru->oldest;
        unlink_slot(lru, n);
        unchain(lru, n);
    }
    lru->slot[n] = (struct lru_slot){.key = key, .chain = lru->bucket[key & lru->mask]};
    lru->bucket[key & lru->mask] = n;
    link_newest(lru, n);
    return &lru->slot[n];
}
