/* How many connections one address has: the connections themselves, chained by address. */
#include "net/http/http_int.h"
#include <string.h>

enum err http_peers_init(struct http_peers *peers, uint32_t connections_max)
{
    uint32_t count = 64;
    while (count < connections_max / 2 && count < 65536)
        count *= 2;
    peers->buckets = mem_alloc(count * sizeof(*peers->buckets));
    if (peers->buckets == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        link_init(&peers->buckets[i]);
    peers->mask = count - 1;
    return ERR_OK;
}

void http_peers_finish(struct http_peers *peers)
{
    mem_free(peers->buckets);
    peers->buckets = NULL;
}

/* An IPv6 customer has a /64 to choose addresses from: it counts as one. */
static size_t key_bytes(const struct in6_addr *peer)
{
    return IN6_IS_ADDR_V4MAPPED(peer) ? 16 : 8;
}

static bool same_peer(const struct in6_addr *a, const struct in6_addr *b)
{
    return key_bytes(a) == key_bytes(b) && memcmp(a, b, key_bytes(a)) == 0;
}

bool http_peers_add(struct http_peers *peers, struct http_conn *conn, uint32_t max)
{
    uint32_t hash = crc32c(0, &conn->peer, key_bytes(&conn->peer));
    struct http_link *bucket = &peers->buckets[hash & peers->mask];
    uint32_t count = 0;
    for (struct http_link *at = bucket->next; at != bucket; at = at->next) {
        const struct http_conn *other = CONTAINER(at, struct http_conn, same);
        if (same_peer(&other->peer, &conn->peer) && ++count >= max)
            return false;
    }
    link_append(bucket, &conn->same);
    return true;
}
