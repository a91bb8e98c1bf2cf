/* The listening socket. */
#include "net/http/http_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:80", "[::1]:80", "localhost:80" */
static enum err address_parse(struct str text, union address *ret_address, socklen_t *ret_len)
{
    char host[INET6_ADDRSTRLEN];
    size_t colon = text.len;
    while (colon > 0 && text.at[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || str_to_u64(str_slice(text, colon, text.len), &port) != ERR_OK || port > 65535)
        return ERR_INPUT;
    struct str name = str_slice(text, 0, colon - 1);
    memset(ret_address, 0, sizeof(*ret_address));
    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']') {
        if (str_copy(host, sizeof(host), str_slice(name, 1, name.len - 1)) != ERR_OK ||
            inet_pton(AF_INET6, host, &ret_address->v6.sin6_addr) != 1)
            return ERR_INPUT;
        ret_address->v6.sin6_family = AF_INET6;
        ret_address->v6.sin6_port = htons((uint16_t)port);
        *ret_len = sizeof(ret_address->v6);
        return ERR_OK;
    }
    if (str_equal(name, STR("localhost")))
        name = STR("127.0.0.1");
    if (str_copy(host, sizeof(host), name) != ERR_OK ||
        inet_pton(AF_INET, host, &ret_address->v4.sin_addr) != 1)
        return ERR_INPUT;
    ret_address->v4.sin_family = AF_INET;
    ret_address->v4.sin_port = htons((uint16_t)port);
    *ret_len = sizeof(ret_address->v4);
    return ERR_OK;
}

static void files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum err bind_error(int error)
{
    if (error == EADDRINUSE)
        return ERR_CONFLICT;
    if (error == EACCES || error == EPERM)
        return ERR_DENIED;
    return error == EADDRNOTAVAIL ? ERR_INPUT : ERR_IO;
}

static enum err listen_open(const char *listen_on, int *ret_fd, uint16_t *ret_port)
{
    union address address;
    socklen_t len;
    enum err err = address_parse(str_from(listen_on), &address, &len);
    if (err != ERR_OK)
        return err;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Accepted sockets inherit it: an answer's last packet must not wait for an acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (address.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, &address.any, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, &address.any, &len) != 0) {
        err = bind_error(errno);
        close(fd);
        return err;
    }
    *ret_port =
        ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    *ret_fd = fd;
    return ERR_OK;
}

static struct in6_addr peer_of(const union address *address)
{
    struct in6_addr peer = {0};
    if (address->any.sa_family == AF_INET6)
        return address->v6.sin6_addr;
    peer.s6_addr[10] = peer.s6_addr[11] = 0xff;
    memcpy(peer.s6_addr + 12, &address->v4.sin_addr, 4);
    return peer;
}

#define SORRY_BODY                                                                                 \
    "{\"type\":\"about:blank\",\"title\":\"Service "                                               \
    "Unavailable\",\"status\":503,\"code\":\"overloaded\"}"
static const char sorry[] = "HTTP/1.1 503 Service Unavailable\r\n"
                            "Content-Type: application/problem+json\r\n"
                            "Content-Length: 85\r\n"
                            "Retry-After: 5\r\n"
                            "Connection: close\r\n"
                            "\r\n" SORRY_BODY;
_Static_assert(sizeof(SORRY_BODY) - 1 == 85, "Content-Length");

/* Tell a connection that there is no room for it.  Under TLS it would cost a handshake to say so.
 */
static void refuse(struct http_server *server, int fd, const struct in6_addr *peer)
{
    struct http_conn *conn;
    server->stats.refused++;
    if (server->options.filter != NULL || server->refusals >= HTTP_REFUSALS_MAX ||
        http_conn_open(server, fd, peer, &conn) != ERR_OK) {
        close(fd);
        return;
    }
    server->refusals++;
    (void)send(fd, sorry, sizeof(sorry) - 1, MSG_NOSIGNAL); /* a courtesy */
    http_conn_linger(conn);
}

static void admit(struct http_server *server, int fd, const struct in6_addr *peer)
{
    struct http_conn *conn;
    if (server->stats.connections >= server->options.connections_max) {
        refuse(server, fd, peer);
        return;
    }
    if (http_conn_open(server, fd, peer, &conn) != ERR_OK) {
        server->stats.refused++;
        close(fd);
        return;
    }
    uint32_t max = server->options.per_address_max;
    if (max != 0 && !http_peers_add(&server->peers, conn, max)) {
        server->stats.refused++;
        http_conn_close(conn);
        return;
    }
    conn->counted = true;
    server->stats.connections++;
    server->stats.accepted++;
    http_deadline_set(conn, http_now_ms(conn) + server->options.idle_timeout_ms);
}

/* Out of file descriptors: the waiting connection would wake us for ever.  Give up the spare one to
 * end it. */
static void accept_starved(struct http_server *server)
{
    if (server->spare_fd < 0)
        return;
    close(server->spare_fd);
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    server->stats.refused++;
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_polled(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < HTTP_ACCEPTS_A_TURN && !server->stopping; i++) {
        union address address = {0};
        socklen_t len = sizeof(address);
        int fd = accept4(server->listen_fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct in6_addr peer = peer_of(&address);
            admit(server, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE) {
            accept_starved(server);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

enum err http_listen(struct http_server *server)
{
    files_raise();
    enum err err = listen_open(server->options.listen, &server->listen_fd, &server->port);
    if (err != ERR_OK)
        return err;
    uv_loop_t *uv = loop_uv(server->loop);
    if (uv_poll_init(uv, &server->listener, server->listen_fd) != 0)
        goto fail;
    server->handles++;
    server->listening = true;
    server->listener.data = server;
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (uv_poll_start(&server->listener, UV_READABLE, listener_polled) != 0) {
        http_listen_stop(server);
        return ERR_IO;
    }
    return ERR_OK;

fail:
    close(server->listen_fd);
    server->listen_fd = -1;
    return ERR_IO;
}

static void listener_closed(uv_handle_t *handle)
{
    http_server_handle_closed(handle->data);
}

void http_listen_stop(struct http_server *server)
{
    if (!server->listening)
        return;
    server->listening = false;
    uv_close((uv_handle_t *)&server->listener, listener_closed);
    close(server->listen_fd);
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    server->listen_fd = server->spare_fd = -1;
}
