/* What a handler can ask of its request. */
#include "net/http/http_int.h"
#include <arpa/inet.h>

static const struct http_conn *conn_of(const struct http_request *req)
{
    return CONTAINER(req, const struct http_conn, request);
}

const struct http_head *http_request_head(const struct http_request *req)
{
    const struct http_conn *conn = conn_of(req);
    ASSERT(conn->server->head_owner == conn); /* not after http_park */
    return &conn->server->head;
}

struct str http_header(const struct http_request *req, struct str name)
{
    return http_field_find(http_request_head(req), name);
}

struct str http_body(const struct http_request *req)
{
    return req->body;
}

void http_peer(const struct http_request *req, char dst[HTTP_PEER_BYTES])
{
    const struct in6_addr *peer = &conn_of(req)->peer;
    if (IN6_IS_ADDR_V4MAPPED(peer))
        inet_ntop(AF_INET, peer->s6_addr + 12, dst, HTTP_PEER_BYTES);
    else
        inet_ntop(AF_INET6, peer, dst, HTTP_PEER_BYTES);
}

bool http_is_tls(const struct http_request *req)
{
    return conn_of(req)->tls;
}

void http_request_set_context(struct http_request *req, void *context)
{
    req->context = context;
}

void *http_request_context(const struct http_request *req)
{
    return req->context;
}

void http_body_limit(struct http_request *req, uint64_t bytes_max)
{
    req->body_bytes_max = bytes_max;
}

void http_park(struct http_request *req, void (*on_gone)(void *cookie), void *cookie)
{
    struct http_conn *conn = http_conn_of(req);
    struct http_server *server = conn->server;
    ASSERT(conn->state == CONN_HANDLER && req->body_here);
    conn->state = CONN_PARKED;
    req->on_gone = on_gone;
    req->cookie = cookie;
    req->body = STR_NONE;
    server->stats.parked++;
    server->head_owner = NULL;
    http_deadline_clear(conn);
}
