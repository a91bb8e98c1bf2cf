/* The client's socket: finding it, filling it, emptying it. */
#include "net/mqtt/mqtt_client_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void line_polled(uv_poll_t *poll, int status, int events);

static void line_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void mqtt_line_close(struct mqtt_client *client)
{
    struct mqtt_line *line = client->line;
    client->line = NULL;
    if (line != NULL) {
        line->client = NULL;
        uv_close((uv_handle_t *)&line->poll, line_closed);
        close(line->fd);
    }
    if (client->lookup != NULL) {
        client->lookup->client = NULL;
        uv_cancel((uv_req_t *)&client->lookup->request);
        client->lookup = NULL;
    }
    if (client->filter != NULL)
        client->options.filter->destroy(client->filter);
    client->filter = NULL;
}

static void interest(struct mqtt_client *client)
{
    struct mqtt_line *line = client->line;
    if (line == NULL)
        return;
    int events = client->state == CLIENT_REACH ? UV_WRITABLE
                                               : UV_READABLE | (client->blocked ? UV_WRITABLE : 0);
    if (events == line->events)
        return;
    line->events = events;
    uv_poll_start(&line->poll, events, line_polled);
}

/* ---- reaching an address ---- */

static enum err line_open(struct mqtt_client *client, const struct sockaddr *address)
{
    socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct mqtt_line *line = mem_zalloc(sizeof(*line));
    if (line == NULL)
        return ERR_NOMEM;
    line->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (line->fd < 0)
        goto undo_line;
    int on = 1;
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((connect(line->fd, address, len) != 0 && errno != EINPROGRESS) ||
        uv_poll_init(loop_uv(client->loop), &line->poll, line->fd) != 0)
        goto undo_socket;
    line->poll.data = line;
    line->client = client;
    client->line = line;
    return ERR_OK;

undo_socket:
    close(line->fd);
undo_line:
    mem_free(line);
    return ERR_IO;
}

/* The next address that can be tried at all. */
static void reach(struct mqtt_client *client)
{
    client->state = CLIENT_REACH;
    while (client->address_next < client->address_count) {
        const struct sockaddr_in6 *address = &client->addresses[client->address_next++];
        if (line_open(client, (const struct sockaddr *)address) == ERR_OK) {
            interest(client);
            return;
        }
    }
    mqtt_client_over(client, MQTT_SERVER_UNAVAILABLE);
}

static void reached(struct mqtt_client *client)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(client->line->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        mqtt_line_close(client);
        reach(client);
        return;
    }
    const struct stream_filter_ops *filter = client->options.filter;
    if (filter != NULL &&
        filter->create(client->options.filter_context, &client->filter) != ERR_OK) {
        mqtt_client_over(client, MQTT_UNSPECIFIED);
        return;
    }
    client->state = CLIENT_GREET;
    mqtt_client_greet(client);
    if (client->state != CLIENT_GREET)
        return;
    interest(client);
    mqtt_line_flush(client);
}

/* ---- finding the addresses ---- */

/* An empty one; NULL: there is no room for more. */
static struct sockaddr_in6 *address_slot(struct mqtt_client *client)
{
    if (client->address_count == MQTT_CLIENT_ADDRESSES)
        return NULL;
    struct sockaddr_in6 *slot = &client->addresses[client->address_count++];
    memset(slot, 0, sizeof(*slot));
    return slot;
}

static void address_add_v4(struct mqtt_client *client, struct sockaddr_in address)
{
    struct sockaddr_in6 *slot = address_slot(client);
    address.sin_port = htons(client->options.port);
    if (slot != NULL)
        memcpy(slot, &address, sizeof(address));
}

static void address_add_v6(struct mqtt_client *client, struct sockaddr_in6 address)
{
    struct sockaddr_in6 *slot = address_slot(client);
    address.sin6_port = htons(client->options.port);
    if (slot != NULL)
        *slot = address;
}

/* Each family by its own size: what is behind a sockaddr is as large as its family says. */
static void address_add(struct mqtt_client *client, const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        address_add_v4(client, v4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        address_add_v6(client, v6);
    }
}

static void looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct mqtt_lookup *lookup = (struct mqtt_lookup *)request;
    struct mqtt_client *client = lookup->client;
    mem_free(lookup);
    if (client != NULL) {
        mqtt_client_enter(client);
        client->lookup = NULL;
        for (struct addrinfo *at = status == 0 ? found : NULL; at != NULL; at = at->ai_next)
            address_add(client, at->ai_addr);
        reach(client);
        mqtt_client_leave(client);
    }
    uv_freeaddrinfo(found);
}

void mqtt_line_start(struct mqtt_client *client)
{
    const char *host = client->options.host;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    client->address_count = client->address_next = 0;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        address_add_v4(client, v4);
    else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        address_add_v6(client, v6);
    if (client->address_count != 0) {
        reach(client);
        return;
    }
    client->state = CLIENT_LOOKUP;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct mqtt_lookup *lookup = mem_zalloc(sizeof(*lookup));
    if (lookup != NULL && uv_getaddrinfo(loop_uv(client->loop), &lookup->request, looked_up, host,
                                         NULL, &hints) == 0) {
        lookup->client = client;
        client->lookup = lookup;
        return;
    }
    mem_free(lookup);
    mqtt_client_over(client, MQTT_SERVER_UNAVAILABLE);
}

/* ---- writing ---- */

enum err mqtt_line_send(struct mqtt_client *client, const struct mqtt_packet *packet)
{
    enum mqtt_version version = client->options.version;
    size_t bytes = mqtt_encoded_bytes(packet, version);
    if (bytes == 0 || bytes > client->server_packet_max)
        return ERR_REFUSED;
    enum err err = buf_reserve(&client->out, bytes);
    if (err != ERR_OK)
        return err;
    uint8_t *at = (uint8_t *)client->out.at + client->out.len;
    client->out.len += mqtt_encode(packet, version, at, bytes);
    if (!client->flush_due) {
        client->flush_due = true;
        loop_timer_set(client->soon, 0);
    }
    return ERR_OK;
}

/* How many bytes the socket took; -1: it is broken. */
static ssize_t send_some(struct mqtt_client *client, const char *bytes, size_t len)
{
    ssize_t sent = send(client->line->fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        sent = 0;
    client->blocked = sent >= 0 && (size_t)sent < len;
    return sent;
}

static bool flush_wire(struct mqtt_client *client)
{
    const struct stream_filter_ops *filter = client->options.filter;
    for (;;) {
        struct str wire = filter->wire(client->filter);
        if (wire.len == 0)
            return true;
        ssize_t sent = send_some(client, wire.at, wire.len);
        if (sent < 0)
            return false;
        filter->drained(client->filter, (size_t)sent);
        if (client->blocked)
            return true;
    }
}

static bool flush_filtered(struct mqtt_client *client)
{
    const struct stream_filter_ops *filter = client->options.filter;
    while (flush_wire(client)) {
        size_t left = client->out.len - client->out_begin;
        size_t take = left < 16 * KIB ? left : 16 * KIB;
        if (client->blocked || take == 0)
            return true;
        const uint8_t *from = (const uint8_t *)client->out.at + client->out_begin;
        enum err err = filter->push(client->filter, from, take);
        if (err == ERR_AGAIN) /* the handshake first */
            return true;
        if (err != ERR_OK)
            return false;
        client->out_begin += take;
    }
    return false;
}

static bool flush_plain(struct mqtt_client *client)
{
    while (client->out_begin < client->out.len) {
        ssize_t sent = send_some(client, client->out.at + client->out_begin,
                                 client->out.len - client->out_begin);
        if (sent < 0)
            return false;
        client->out_begin += (size_t)sent;
        if (client->blocked)
            break;
    }
    return true;
}

void mqtt_line_flush(struct mqtt_client *client)
{
    client->flush_due = false;
    if (client->line == NULL || client->state < CLIENT_GREET)
        return;
    size_t begin = client->out_begin;
    client->blocked = false;
    if (!(client->filter != NULL ? flush_filtered(client) : flush_plain(client))) {
        mqtt_client_over(client, MQTT_UNSPECIFIED);
        return;
    }
    if (client->out_begin != begin)
        client->sent_ms = loop_now_ms(client->loop);
    if (client->out_begin == client->out.len)
        client->out.len = client->out_begin = 0;
    else if (client->out_begin > client->out.len / 2) {
        buf_consume(&client->out, client->out_begin);
        client->out_begin = 0;
    }
    if (client->state == CLIENT_PARTING && client->out.len == 0 && !client->shut) {
        client->shut = true;
        if (client->filter != NULL) {
            client->options.filter->finish(client->filter);
            (void)flush_wire(client); /* a courtesy */
        }
        shutdown(client->line->fd, SHUT_WR);
    }
    interest(client);
}

/* ---- reading ---- */

static void take_filtered(struct mqtt_client *client, const uint8_t *bytes, size_t len)
{
    const struct stream_filter_ops *filter = client->options.filter;
    uint8_t plain[MQTT_CLIENT_READ_BYTES];
    if (filter->feed(client->filter, bytes, len) != ERR_OK) {
        mqtt_client_over(client, MQTT_UNSPECIFIED);
        return;
    }
    while (client->line != NULL) {
        size_t plain_len;
        enum err err = filter->pull(client->filter, plain, sizeof(plain), &plain_len);
        if (err == ERR_OK) {
            mqtt_client_input(client, plain, plain_len);
            continue;
        }
        mqtt_line_flush(client); /* a step of the handshake, or what waited for it */
        if (err != ERR_AGAIN)
            mqtt_client_over(client, MQTT_UNSPECIFIED);
        return;
    }
}

static void line_readable(struct mqtt_client *client)
{
    uint8_t bytes[MQTT_CLIENT_READ_BYTES];
    ssize_t len = recv(client->line->fd, bytes, sizeof(bytes), 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        mqtt_client_over(client, MQTT_UNSPECIFIED);
        return;
    }
    client->heard_ms = loop_now_ms(client->loop);
    if (client->filter != NULL)
        take_filtered(client, bytes, (size_t)len);
    else
        mqtt_client_input(client, bytes, (size_t)len);
}

static void line_polled(uv_poll_t *poll, int status, int events)
{
    struct mqtt_client *client = ((struct mqtt_line *)poll)->client;
    if (client == NULL)
        return;
    mqtt_client_enter(client);
    if (client->state == CLIENT_REACH) {
        reached(client);
    } else if (status < 0) {
        mqtt_client_over(client, MQTT_UNSPECIFIED);
    } else {
        if ((events & UV_WRITABLE) != 0)
            mqtt_line_flush(client);
        if (client->line != NULL && (events & UV_READABLE) != 0)
            line_readable(client);
        if (client->line != NULL && client->flush_due)
            mqtt_line_flush(client);
    }
    mqtt_client_leave(client);
}
