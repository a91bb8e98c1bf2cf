#include "sys/sys.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int64_t live;
static _Thread_local uint32_t fail_countdown; /* 0: off */
static _Thread_local bool fail_fired;

void mem_fail_at(uint32_t nth)
{
    fail_countdown = nth;
    fail_fired = false;
}

bool mem_fail_fired(void)
{
    return fail_fired;
}

int64_t mem_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

static bool fails_now(void)
{
    if (fail_countdown == 0 || --fail_countdown > 0)
        return false;
    fail_fired = true;
    return true;
}

static void *counted(void *block)
{
    if (block != NULL)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return block;
}

void *mem_alloc(size_t bytes)
{
    ASSERT(bytes > 0);
    return fails_now() ? NULL : counted(malloc(bytes));
}

void *mem_zalloc(size_t bytes)
{
    ASSERT(bytes > 0);
    return fails_now() ? NULL : counted(calloc(1, bytes));
}

void *mem_realloc(void *old, size_t bytes)
{
    ASSERT(bytes > 0);
    if (fails_now())
        return NULL;
    void *block = realloc(old, bytes);
    return old == NULL ? counted(block) : block;
}

char *mem_strdup(struct str text)
{
    char *copy = mem_alloc(text.len + 1);
    if (copy == NULL)
        return NULL;
    base_copy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}

void mem_free(void *block)
{
    if (block == NULL)
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(block);
}
