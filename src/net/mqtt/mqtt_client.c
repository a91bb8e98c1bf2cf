/* The client's life and its user's calls: see the diagram in mqtt_client_int.h. */
#include "net/mqtt/mqtt_client_int.h"
#include <string.h>

static void deadline_passed(void *cookie);
static void soon_came(void *cookie);

/* ---- options, copied into one block ---- */

struct copying {
    char *at; /* NULL: only count */
    size_t used;
};

static struct str copy_str(struct copying *copying, struct str from)
{
    if (from.len == 0)
        return STR_NONE;
    char *to = copying->at != NULL ? copying->at + copying->used : NULL;
    if (to != NULL)
        memcpy(to, from.at, from.len);
    copying->used += from.len;
    return (struct str){to, from.len};
}

static const char *copy_text(struct copying *copying, const char *from)
{
    if (from == NULL)
        return NULL;
    return copy_str(copying, (struct str){from, strlen(from) + 1}).at;
}

static void copy_all(struct copying *copying, const struct mqtt_client_options *from,
                     struct mqtt_client_options *to)
{
    const struct mqtt_properties *properties = &from->will.properties;
    to->host = copy_text(copying, from->host);
    to->client_id = copy_text(copying, from->client_id);
    to->user = copy_text(copying, from->user);
    to->password = copy_text(copying, from->password);
    to->will.topic = copy_str(copying, from->will.topic);
    to->will.payload = copy_str(copying, from->will.payload);
    to->will.properties.content_type = copy_str(copying, properties->content_type);
    to->will.properties.response_topic = copy_str(copying, properties->response_topic);
    to->will.properties.correlation = copy_str(copying, properties->correlation);
    to->will.properties.user = copy_str(copying, properties->user);
}

static enum err options_copy(struct mqtt_client *client, const struct mqtt_client_options *from)
{
    struct copying copying = {0};
    client->options = *from;
    copy_all(&copying, from, &client->options);
    client->texts = mem_alloc(copying.used);
    if (client->texts == NULL)
        return ERR_NOMEM;
    copying = (struct copying){.at = client->texts};
    copy_all(&copying, from, &client->options);
    struct mqtt_client_options *options = &client->options;
    if (options->version == 0)
        options->version = MQTT_V311;
    if (options->keep_alive_s == 0)
        options->keep_alive_s = 30;
    if (options->inflight_max == 0)
        options->inflight_max = 64;
    if (options->queued_bytes_max == 0)
        options->queued_bytes_max = MIB;
    return ERR_OK;
}

/* ---- life ---- */

enum err mqtt_client_create(struct loop *loop, const struct mqtt_client_options *options,
                            const struct mqtt_client_user *user, void *cookie,
                            struct mqtt_client **ret_client)
{
    ASSERT(options->host != NULL && user->on_connack != NULL && user->on_gone != NULL);
    struct mqtt_client *client = mem_zalloc(sizeof(*client));
    if (client == NULL)
        return ERR_NOMEM;
    client->loop = loop;
    client->user = *user;
    client->cookie = cookie;
    client->pending_tail = &client->pending;
    enum err err = options_copy(client, options);
    if (err != ERR_OK)
        goto undo_client;
    err = loop_timer_create(loop, deadline_passed, client, &client->deadline);
    if (err != ERR_OK)
        goto undo_texts;
    err = loop_timer_create(loop, soon_came, client, &client->soon);
    if (err != ERR_OK)
        goto undo_deadline;
    buf_init(&client->in, MQTT_PACKET_BYTES_MAX);
    /* What is sent again at a new beginning, and what then comes on top. */
    buf_init(&client->out, 2 * client->options.queued_bytes_max + MQTT_PACKET_BYTES_MAX);
    *ret_client = client;
    return ERR_OK;

undo_deadline:
    loop_timer_destroy(client->deadline);
undo_texts:
    mem_free(client->texts);
undo_client:
    mem_free(client);
    return err;
}

static void client_free(struct mqtt_client *client)
{
    mqtt_client_forget(client);
    buf_finish(&client->in);
    buf_finish(&client->out);
    mem_free(client->received);
    mem_free(client->texts);
    mem_free(client);
}

void mqtt_client_leave(struct mqtt_client *client)
{
    if (--client->busy == 0 && client->destroyed)
        client_free(client);
}

void mqtt_client_destroy(struct mqtt_client *client)
{
    if (client == NULL || client->destroyed)
        return;
    client->state = CLIENT_IDLE;
    client->destroyed = true;
    mqtt_line_close(client);
    loop_timer_destroy(client->deadline);
    loop_timer_destroy(client->soon);
    if (client->busy == 0)
        client_free(client);
}

enum err mqtt_client_connect(struct mqtt_client *client)
{
    if (client->state != CLIENT_IDLE)
        return ERR_CONFLICT;
    client->blocked = client->shut = client->ping_due = client->flush_due = false;
    client->out.len = client->out_begin = 0;
    memset(client->subscribing, 0, sizeof(client->subscribing));
    client->server_receive_max = UINT16_MAX;
    client->server_packet_max = MQTT_PACKET_BYTES_MAX;
    client->server_qos_max = 2;
    client->server_retains = true;
    loop_timer_set(client->deadline, loop_now_ms(client->loop) + MQTT_CLIENT_CONNECT_MS);
    mqtt_line_start(client);
    return ERR_OK;
}

void mqtt_client_over(struct mqtt_client *client, enum mqtt_reason reason)
{
    if (client->state == CLIENT_IDLE || client->state == CLIENT_OVER)
        return;
    if (client->state != CLIENT_PARTING)
        client->reason = reason;
    client->state = CLIENT_OVER;
    mqtt_line_close(client);
    loop_timer_clear(client->deadline);
    loop_timer_set(client->soon, 0);
}

void mqtt_client_drop(struct mqtt_client *client)
{
    mqtt_client_over(client, MQTT_UNSPECIFIED);
}

void mqtt_client_disconnect(struct mqtt_client *client)
{
    if (client->state != CLIENT_OPEN) {
        mqtt_client_over(client, MQTT_SUCCESS);
        return;
    }
    struct mqtt_packet packet = {.type = MQTT_DISCONNECT};
    packet.disconnect = (struct mqtt_disconnect){.reason = MQTT_SUCCESS};
    (void)!mqtt_line_send(client, &packet); /* without it, it is a drop */
    client->reason = MQTT_SUCCESS;
    client->state = CLIENT_PARTING;
    loop_timer_set(client->deadline, loop_now_ms(client->loop) + MQTT_CLIENT_PART_MS);
}

static void soon_came(void *cookie)
{
    struct mqtt_client *client = cookie;
    mqtt_client_enter(client);
    if (client->state == CLIENT_OVER) {
        client->state = CLIENT_IDLE;
        buf_finish(&client->in);
        buf_finish(&client->out);
        client->user.on_gone(client->cookie, client->reason);
    } else if (client->flush_due) {
        mqtt_line_flush(client);
    }
    mqtt_client_leave(client);
}

/* ---- keep-alive ---- */

static void keep_alive(struct mqtt_client *client)
{
    int64_t now_ms = loop_now_ms(client->loop);
    int64_t silence_ms = now_ms - client->heard_ms;
    if (client->ping_due && silence_ms >= client->keep_alive_ms + client->keep_alive_ms / 2) {
        mqtt_client_over(client, MQTT_KEEP_ALIVE_TIMEOUT);
        return;
    }
    if (now_ms - client->sent_ms >= client->keep_alive_ms || silence_ms >= client->keep_alive_ms) {
        struct mqtt_packet ping = {.type = MQTT_PINGREQ};
        client->ping_due = true;
        client->sent_ms = now_ms;
        if (mqtt_line_send(client, &ping) != ERR_OK) {
            mqtt_client_over(client, MQTT_QUOTA_EXCEEDED);
            return;
        }
    }
    int64_t due_ms = client->sent_ms + client->keep_alive_ms;
    if (client->ping_due && client->heard_ms + client->keep_alive_ms * 3 / 2 < due_ms)
        due_ms = client->heard_ms + client->keep_alive_ms * 3 / 2;
    loop_timer_set(client->deadline, due_ms > now_ms ? due_ms : now_ms + 1);
}

static void deadline_passed(void *cookie)
{
    struct mqtt_client *client = cookie;
    mqtt_client_enter(client);
    if (client->state == CLIENT_OPEN)
        keep_alive(client);
    else
        mqtt_client_over(client, client->state == CLIENT_GREET ? MQTT_KEEP_ALIVE_TIMEOUT
                                                               : MQTT_SERVER_UNAVAILABLE);
    mqtt_client_leave(client);
}

/* ---- small things ---- */

bool mqtt_client_connected(const struct mqtt_client *client)
{
    return client->state == CLIENT_OPEN;
}

uint32_t mqtt_client_inflight(const struct mqtt_client *client)
{
    return client->pending_count;
}
