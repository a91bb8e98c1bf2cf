/* Listening sockets. */
#include "net/mqtt/mqtt_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:1883", "[::1]:1883", "localhost:1883" */
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
    bool v6 = name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']';
    if (v6)
        name = str_slice(name, 1, name.len - 1);
    else if (str_equal(name, STR("localhost")))
        name = STR("127.0.0.1");
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->any.sa_family = v6 ? AF_INET6 : AF_INET;
    void *into = v6 ? (void *)&ret_address->v6.sin6_addr : (void *)&ret_address->v4.sin_addr;
    if (str_copy(host, sizeof(host), name) != ERR_OK ||
        inet_pton(ret_address->any.sa_family, host, into) != 1)
        return ERR_INPUT;
    if (v6)
        ret_address->v6.sin6_port = htons((uint16_t)port);
    else
        ret_address->v4.sin_port = htons((uint16_t)port);
    *ret_len = v6 ? sizeof(ret_address->v6) : sizeof(ret_address->v4);
    return ERR_OK;
}

static enum err bind_error(int error)
{
    if (error == EADDRINUSE)
        return ERR_CONFLICT;
    if (error == EACCES || error == EPERM)
        return ERR_DENIED;
    return error == EADDRNOTAVAIL ? ERR_INPUT : ERR_IO;
}

static enum err socket_listen(const char *listen_on, int *ret_fd, uint16_t *ret_port)
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
    /* Accepted sockets inherit it: an acknowledgement must not wait for one of TCP's. */
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

static void peer_text(const union address *address, char dst[MQTT_PEER_BYTES])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const void *from = &address->v4.sin_addr;
    int family = address->any.sa_family;
    if (family == AF_INET6) {
        const uint8_t *v6 = address->v6.sin6_addr.s6_addr;
        bool v4 = memcmp(v6, mapped, sizeof(mapped)) == 0;
        from = v4 ? v6 + sizeof(mapped) : v6;
        family = v4 ? AF_INET : AF_INET6;
    }
    if (inet_ntop(family, from, dst, MQTT_PEER_BYTES) == NULL)
        dst[0] = '\0';
}

/* ---- accepting ---- */

static void admit(struct mqtt_listener *listener, int fd, const union address *address)
{
    struct mqtt_server *server = listener->server;
    char peer[MQTT_PEER_BYTES];
    peer_text(address, peer);
    if (server->stats.connections >= server->options.connections_max ||
        mqtt_conn_open(listener, fd, peer) != ERR_OK) {
        server->stats.refused++;
        close(fd);
    }
}

/* Out of file descriptors: the waiting connection would wake us for ever.  Give up the spare one to
 * end it. */
static void accept_starved(struct mqtt_listener *listener)
{
    struct mqtt_server *server = listener->server;
    if (server->spare_fd < 0)
        return;
    close(server->spare_fd);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    server->stats.refused++;
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_polled(uv_poll_t *poll, int status, int events)
{
    struct mqtt_listener *listener = poll->data;
    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < MQTT_ACCEPTS_TURN && !listener->server->stopping; i++) {
        union address address = {0};
        socklen_t len = sizeof(address);
        int fd = accept4(listener->fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(listener, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE) {
            accept_starved(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

enum err mqtt_server_listen(struct mqtt_server *server, const char *listen_on,
                            const struct stream_filter_ops *filter, void *filter_context,
                            uint16_t *ret_port)
{
    if (server->stopping)
        return ERR_CLOSED;
    if (server->listener_count == MQTT_LISTENERS_MAX)
        return ERR_FULL;
    struct mqtt_listener *listener = mem_zalloc(sizeof(*listener));
    if (listener == NULL)
        return ERR_NOMEM;
    *listener = (struct mqtt_listener){
        .server = server, .filter = filter, .filter_context = filter_context};
    uint16_t port;
    enum err err = socket_listen(listen_on, &listener->fd, &port);
    if (err != ERR_OK)
        goto undo_listener;
    err = ERR_IO;
    if (uv_poll_init(loop_uv(server->loop), &listener->poll, listener->fd) != 0)
        goto undo_socket;
    listener->poll.data = listener;
    server->listeners[server->listener_count++] = listener;
    server->handles++;
    uv_poll_start(&listener->poll, UV_READABLE, listener_polled);
    if (server->spare_fd < 0)
        server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (ret_port != NULL)
        *ret_port = port;
    return ERR_OK;

undo_socket:
    close(listener->fd);
undo_listener:
    mem_free(listener);
    return err;
}

static void listener_closed(uv_handle_t *handle)
{
    struct mqtt_listener *listener = handle->data;
    struct mqtt_server *server = listener->server;
    mem_free(listener);
    mqtt_server_released(server);
}

void mqtt_listeners_close(struct mqtt_server *server)
{
    while (server->listener_count != 0) {
        struct mqtt_listener *listener = server->listeners[--server->listener_count];
        uv_close((uv_handle_t *)&listener->poll, listener_closed);
        close(listener->fd);
    }
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    server->spare_fd = -1;
}
