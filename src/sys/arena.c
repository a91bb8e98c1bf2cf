#include "sys/sys.h"

#include <stdio.h>
#include <string.h>

#define ALIGN           ((size_t)16)
#define BLOCK_BYTES_MIN ((size_t)4096)
#define KEEP_BYTES_MAX  ((size_t)64 * 1024) /* a reset keeps one block up to this size */

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

static void free_from(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        mem_free(block);
        block = next;
    }
}

void arena_finish(struct arena *arena)
{
    free_from(arena->head);
    arena->head = NULL;
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->head;
    if (keep != NULL && keep->cap <= KEEP_BYTES_MAX) {
        free_from(keep->next);
        keep->next = NULL;
        keep->used = 0;
        arena->used = 0;
    } else {
        arena_finish(arena);
    }
}

static struct arena_block *block_add(struct arena *arena, size_t bytes)
{
    size_t cap = arena->head == NULL ? BLOCK_BYTES_MIN : arena->head->cap * 2;
    if (cap > KEEP_BYTES_MAX)
        cap = KEEP_BYTES_MAX;
    if (cap < bytes)
        cap = bytes;
    struct arena_block *block = mem_alloc(sizeof(*block) + cap);
    if (block == NULL)
        return NULL;
    block->next = arena->head;
    block->used = 0;
    block->cap = cap;
    arena->head = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (bytes > arena->bytes_max || bytes > PTRDIFF_MAX - BLOCK_BYTES_MIN)
        return NULL; /* also where rounding up, and the block's own head, would overflow */
    /* Even nothing has an address of its own. */
    size_t rounded = bytes == 0 ? ALIGN : (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (rounded > arena->bytes_max - arena->used)
        return NULL;
    struct arena_block *block = arena->head;
    if (block == NULL || rounded > block->cap - block->used) {
        block = block_add(arena, rounded);
        if (block == NULL)
            return NULL;
    }
    void *at = block->bytes + block->used;
    block->used += rounded;
    arena->used += rounded;
    return memset(at, 0, rounded);
}

char *arena_strdup(struct arena *arena, struct str text)
{
    if (text.len == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, text.len + 1);
    if (copy != NULL)
        base_copy(copy, text.at, text.len);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
