/* Topics and filters, one node a level.  "+" and "#" are children like others, and in two pointers
 * of their parent besides; all other children are found in one table by parent and name. */
#include "broker/broker_int.h"

#include <string.h>

#define BUCKETS_FIRST 64

enum err broker_tree_init(struct broker_tree *tree, uint64_t seed)
{
    *tree = (struct broker_tree){.seed = seed, .bucket_count = BUCKETS_FIRST};
    tree->bucket = mem_zalloc(BUCKETS_FIRST * sizeof(struct broker_node *));
    tree->root = mem_zalloc(sizeof(struct broker_node));
    if (tree->bucket != NULL && tree->root != NULL)
        return ERR_OK;
    mem_free(tree->bucket);
    mem_free(tree->root);
    *tree = (struct broker_tree){0};
    return ERR_NOMEM;
}

void broker_tree_finish(struct broker_tree *tree)
{
    ASSERT(tree->node_count == 0);
    mem_free(tree->bucket);
    mem_free(tree->root);
    *tree = (struct broker_tree){0};
}

/* The next level of `path` from `*at` on; false at its end. */
static bool level_next(struct str path, size_t *at, struct str *ret_level)
{
    if (*at > path.len)
        return false;
    size_t end = *at;
    while (end < path.len && path.at[end] != '/')
        end++;
    *ret_level = (struct str){path.at + *at, end - *at};
    *at = end + 1;
    return true;
}

static bool is_char(struct str level, char c)
{
    return level.len == 1 && level.at[0] == c;
}

static uint32_t code_of(const struct broker_tree *tree, const struct broker_node *parent,
                        struct str level)
{
    return (uint32_t)broker_hash(tree->seed ^ (uint64_t)(uintptr_t)parent, level.at, level.len);
}

static struct broker_node *child(const struct broker_tree *tree, const struct broker_node *parent,
                                 struct str level)
{
    if (is_char(level, '+'))
        return parent->plus;
    if (is_char(level, '#'))
        return parent->hash;
    if (parent->first_child == NULL)
        return NULL;
    uint32_t code = code_of(tree, parent, level);
    struct broker_node *node = tree->bucket[code & (tree->bucket_count - 1)];
    for (; node != NULL; node = node->next_hash) {
        if (node->code == code && node->parent == parent && node->len == level.len &&
            memcmp(node->level, level.at, level.len) == 0)
            return node;
    }
    return NULL;
}

/* Failing to grow costs speed only. */
static void grow(struct broker_tree *tree)
{
    uint32_t count = tree->bucket_count * 2;
    struct broker_node **bucket = mem_zalloc(count * sizeof(struct broker_node *));
    if (bucket == NULL)
        return;
    for (uint32_t i = 0; i < tree->bucket_count; i++) {
        while (tree->bucket[i] != NULL) {
            struct broker_node *node = tree->bucket[i];
            tree->bucket[i] = node->next_hash;
            node->next_hash = bucket[node->code & (count - 1)];
            bucket[node->code & (count - 1)] = node;
        }
    }
    mem_free(tree->bucket);
    tree->bucket = bucket;
    tree->bucket_count = count;
}

static struct broker_node *child_create(struct broker_tree *tree, struct broker_node *parent,
                                        struct str level)
{
    struct broker_node *node = mem_zalloc(sizeof(*node) + level.len + 1);
    if (node == NULL)
        return NULL;
    if (tree->node_count >= tree->bucket_count)
        grow(tree);
    node->parent = parent;
    node->len = (uint16_t)level.len;
    if (level.len > 0)
        memcpy(node->level, level.at, level.len);
    if (is_char(level, '+')) {
        parent->plus = node;
    } else if (is_char(level, '#')) {
        parent->hash = node;
    } else {
        node->code = code_of(tree, parent, level);
        struct broker_node **bucket = &tree->bucket[node->code & (tree->bucket_count - 1)];
        node->next_hash = *bucket;
        *bucket = node;
    }
    node->next = parent->first_child;
    if (node->next != NULL)
        node->next->prev = node;
    parent->first_child = node;
    tree->node_count++;
    return node;
}

enum err broker_tree_get(struct broker_tree *tree, struct str path, struct broker_node **ret_node)
{
    struct broker_node *node = tree->root;
    struct str level;
    for (size_t at = 0; level_next(path, &at, &level);) {
        struct broker_node *next = child(tree, node, level);
        if (next == NULL)
            next = child_create(tree, node, level);
        if (next == NULL) {
            broker_tree_trim(tree, node);
            return ERR_NOMEM;
        }
        node = next;
    }
    *ret_node = node;
    return ERR_OK;
}

struct broker_node *broker_tree_find(const struct broker_tree *tree, struct str path)
{
    struct broker_node *node = tree->root;
    struct str level;
    for (size_t at = 0; node != NULL && level_next(path, &at, &level);)
        node = child(tree, node, level);
    return node;
}

static void child_remove(struct broker_tree *tree, struct broker_node *node)
{
    struct broker_node *parent = node->parent;
    if (parent->plus == node) {
        parent->plus = NULL;
    } else if (parent->hash == node) {
        parent->hash = NULL;
    } else {
        struct broker_node **at = &tree->bucket[node->code & (tree->bucket_count - 1)];
        while (*at != node)
            at = &(*at)->next_hash;
        *at = node->next_hash;
    }
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        parent->first_child = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    tree->node_count--;
    mem_free(node);
}

void broker_tree_trim(struct broker_tree *tree, struct broker_node *node)
{
    while (node != tree->root && node->first_child == NULL && node->subscriptions == NULL &&
           node->retained == NULL) {
        struct broker_node *parent = node->parent;
        child_remove(tree, node);
        node = parent;
    }
}

/* ---- walking: at most MQTT_TOPIC_LEVELS_MAX deep ---- */

struct walk {
    const struct broker_tree *tree;
    struct str path;
    void (*visit)(void *cookie, struct broker_node *node);
    void *cookie;
};

static void match_from(const struct walk *walk, const struct broker_node *node, size_t at)
{
    struct str level;
    /* A wildcard at the beginning does not match "$...". */
    bool wild = at > 0 || walk->path.at[0] != '$';
    if (wild && node->hash != NULL)
        walk->visit(walk->cookie, node->hash);
    if (!level_next(walk->path, &at, &level))
        return;
    struct broker_node *next[2] = {child(walk->tree, node, level), wild ? node->plus : NULL};
    for (int i = 0; i < 2; i++) {
        if (next[i] == NULL)
            continue;
        if (at > walk->path.len) {
            walk->visit(walk->cookie, next[i]);
            if (next[i]->hash != NULL) /* "a/#" matches "a", too */
                walk->visit(walk->cookie, next[i]->hash);
        } else {
            match_from(walk, next[i], at);
        }
    }
}

void broker_tree_match(const struct broker_tree *tree, struct str topic,
                       void (*visit)(void *cookie, struct broker_node *node), void *cookie)
{
    struct walk walk = {tree, topic, visit, cookie};
    if (topic.len > 0)
        match_from(&walk, tree->root, 0);
}

static void visit_below(const struct walk *walk, struct broker_node *node)
{
    if (node->retained != NULL)
        walk->visit(walk->cookie, node);
    for (struct broker_node *below = node->first_child; below != NULL; below = below->next)
        visit_below(walk, below);
}

static void search_from(const struct walk *walk, struct broker_node *node, size_t at)
{
    struct str level;
    bool first = at == 0;
    if (!level_next(walk->path, &at, &level)) {
        if (node->retained != NULL)
            walk->visit(walk->cookie, node);
        return;
    }
    bool all = is_char(level, '#');
    if (!all && !is_char(level, '+')) {
        struct broker_node *next = child(walk->tree, node, level);
        if (next != NULL)
            search_from(walk, next, at);
        return;
    }
    if (all && !first && node->retained != NULL)
        walk->visit(walk->cookie, node);
    for (struct broker_node *below = node->first_child; below != NULL; below = below->next) {
        if (first && below->len > 0 && below->level[0] == '$')
            continue;
        if (all)
            visit_below(walk, below);
        else
            search_from(walk, below, at);
    }
}

void broker_tree_search(const struct broker_tree *tree, struct str filter,
                        void (*visit)(void *cookie, struct broker_node *node), void *cookie)
{
    struct walk walk = {tree, filter, visit, cookie};
    if (filter.len > 0)
        search_from(&walk, tree->root, 0);
}
