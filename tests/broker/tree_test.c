/* The tree of topics and filters, against the plain comparison. */
#include "kit/kit.h"

#include "broker/broker_int.h"

#include <string.h>

#define PATHS 300

struct seen {
    struct broker_node *node[PATHS * 2];
    uint32_t count;
};

static void see(void *cookie, struct broker_node *node)
{
    struct seen *seen = cookie;
    CHECK(seen->count < ARRAY_COUNT(seen->node));
    seen->node[seen->count++] = node;
}

static bool has(const struct seen *seen, const struct broker_node *node)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < seen->count; i++)
        times += seen->node[i] == node;
    CHECK(times <= 1); /* nobody twice */
    return times == 1;
}

static void make(struct rng *rng, bool filter, char dst[64])
{
    static const char *const words[] = {"a", "b", "c", "", "$x", "aa"};
    uint32_t levels = 1 + rng_below(rng, 4);
    do {
        struct text text;
        text_init(&text, dst, 64);
        for (uint32_t i = 0; i < levels; i++) {
            uint32_t wild = filter ? rng_below(rng, 5) : 4;
            if (i > 0)
                text_add_char(&text, '/');
            if (wild == 0 && i + 1 == levels)
                text_add_char(&text, '#');
            else
                text_add(&text, wild == 1 ? STR("+")
                                          : str_from(words[rng_below(rng, ARRAY_COUNT(words))]));
        }
    } while (dst[0] == '\0');
}

struct place {
    char path[64];
    struct broker_node *node;
};

static struct place *place_add(struct broker_tree *tree, struct place *places, uint32_t *count,
                               const char *path, bool filter)
{
    struct broker_node *node;
    CHECK_OK(broker_tree_get(tree, str_from(path), &node));
    CHECK(broker_tree_find(tree, str_from(path)) == node);
    if (filter ? node->subscriptions != NULL : node->retained != NULL)
        return NULL;
    struct place *place = &places[(*count)++];
    CHECK_OK(str_copy(place->path, sizeof(place->path), str_from(path)));
    place->node = node;
    if (filter)
        node->subscriptions = (void *)place; /* something that hangs on the node */
    else
        node->retained = (void *)place;
    return place;
}

TEST(matching_agrees_with_the_plain_comparison)
{
    static struct place filters[PATHS], topics[PATHS];
    uint32_t filter_count = 0, topic_count = 0, matches = 0;
    struct rng rng;
    struct broker_tree tree;
    rng_init(&rng, 5);
    CHECK_OK(broker_tree_init(&tree, 99));
    char path[64];
    for (int i = 0; i < PATHS; i++) {
        make(&rng, true, path);
        place_add(&tree, filters, &filter_count, path, true);
        make(&rng, false, path);
        place_add(&tree, topics, &topic_count, path, false);
    }
    for (uint32_t t = 0; t < topic_count; t++) {
        struct seen seen = {.count = 0};
        broker_tree_match(&tree, str_from(topics[t].path), see, &seen);
        for (uint32_t f = 0; f < filter_count; f++) {
            bool expected =
                mqtt_filter_matches(str_from(filters[f].path), str_from(topics[t].path));
            NOTE("filter %s topic %s", filters[f].path, topics[t].path);
            CHECK_EQ(has(&seen, filters[f].node), expected);
            matches += expected;
        }
    }
    CHECK(matches > 100);
    for (uint32_t f = 0; f < filter_count; f++) {
        struct seen seen = {.count = 0};
        broker_tree_search(&tree, str_from(filters[f].path), see, &seen);
        for (uint32_t t = 0; t < topic_count; t++) {
            NOTE("search filter %s topic %s", filters[f].path, topics[t].path);
            CHECK_EQ(has(&seen, topics[t].node),
                     mqtt_filter_matches(str_from(filters[f].path), str_from(topics[t].path)));
        }
    }
    for (uint32_t i = 0; i < filter_count; i++) {
        filters[i].node->subscriptions = NULL;
        broker_tree_trim(&tree, filters[i].node);
    }
    for (uint32_t i = 0; i < topic_count; i++) {
        topics[i].node->retained = NULL;
        broker_tree_trim(&tree, topics[i].node);
    }
    CHECK_EQ(tree.node_count, 0);
    broker_tree_finish(&tree);
}

TEST(a_failed_allocation_leaves_no_half_path)
{
    for (uint32_t nth = 1;; nth++) {
        struct broker_tree tree;
        struct broker_node *node;
        CHECK_OK(broker_tree_init(&tree, 1));
        mem_fail_at(nth);
        enum err err = broker_tree_get(&tree, STR("a/b/+/c/#"), &node);
        bool fired = mem_fail_fired();
        mem_fail_at(0);
        if (err == ERR_OK)
            broker_tree_trim(&tree, node);
        CHECK_EQ(tree.node_count, 0);
        broker_tree_finish(&tree);
        if (!fired)
            break;
        CHECK_ERR(err, ERR_NOMEM);
    }
}
