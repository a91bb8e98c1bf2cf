#include "access/access_int.h"

static struct node **bucket_of(struct table *table, uint64_t key)
{
    /* Numbers are small and hashes are random: folding the upper half in serves both. */
    return &table->bucket[(key ^ (key >> 32)) % TABLE_BUCKETS];
}

void access_table_put(struct table *table, struct node *node, uint64_t key)
{
    struct node **bucket = bucket_of(table, key);
    node->key = key;
    node->next = *bucket;
    *bucket = node;
}

void access_table_remove(struct table *table, struct node *node)
{
    for (struct node **at = bucket_of(table, node->key); *at != NULL; at = &(*at)->next) {
        if (*at == node) {
            *at = node->next;
            node->next = NULL;
            return;
        }
    }
}

struct node *access_table_first(const struct table *table, uint64_t key)
{
    struct node *node = table->bucket[(key ^ (key >> 32)) % TABLE_BUCKETS];
    while (node != NULL && node->key != key)
        node = node->next;
    return node;
}

struct node *access_table_next(const struct node *node)
{
    struct node *other = node->next;
    while (other != NULL && other->key != node->key)
        other = other->next;
    return other;
}
