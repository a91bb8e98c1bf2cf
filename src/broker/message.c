/* What is kept of a publish, in one piece. */
#include "broker/broker_int.h"

#include <string.h>

#define PASSED_ON                                                                                  \
    (MQTT_HAS_PAYLOAD_FORMAT | MQTT_HAS_CONTENT_TYPE | MQTT_HAS_RESPONSE_TOPIC |                   \
     MQTT_HAS_CORRELATION)

static struct str put(char **at, struct str text)
{
    struct str copy = {*at, text.len};
    if (text.len > 0)
        memcpy(*at, text.at, text.len);
    *at += text.len;
    return copy;
}

enum err broker_message_create(const struct mqtt_publish *publish, int64_t expires_at_ms,
                               struct message **ret_message)
{
    const struct mqtt_properties *from = &publish->properties;
    size_t bytes = publish->topic.len + publish->payload.len + from->content_type.len +
                   from->response_topic.len + from->correlation.len + from->user.len;
    struct message *message = mem_alloc(sizeof(*message) + bytes + 1);
    if (message == NULL)
        return ERR_NOMEM;
    memset(message, 0, sizeof(*message));
    message->refs = 1;
    message->qos = publish->qos;
    message->retain = publish->retain;
    message->expires_at_ms = expires_at_ms;
    struct mqtt_properties *to = &message->properties;
    to->has = from->has & PASSED_ON;
    to->payload_format = from->payload_format;
    char *at = message->bytes;
    message->topic = put(&at, publish->topic);
    message->payload = put(&at, publish->payload);
    to->content_type = put(&at, from->content_type);
    to->response_topic = put(&at, from->response_topic);
    to->correlation = put(&at, from->correlation);
    to->user = put(&at, from->user);
    *ret_message = message;
    return ERR_OK;
}

void broker_message_unref(struct message *message)
{
    if (message == NULL)
        return;
    ASSERT(message->refs > 0);
    if (--message->refs == 0)
        mem_free(message);
}

size_t broker_message_bytes(const struct message *message)
{
    return sizeof(*message) + message->topic.len + message->payload.len +
           message->properties.user.len;
}

/* Multiply and fold, eight bytes at a time. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t broker_hash(uint64_t seed, const void *bytes, size_t len)
{
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15), even = UINT64_C(0xD6E8FEB86659FD93);
    const char *at = bytes;
    uint64_t hash = seed ^ fold(len ^ odd, even);
    uint64_t word;
    for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = fold(hash ^ word, odd);
    }
    word = 0;
    if (len > 0)
        memcpy(&word, at, len);
    return fold(fold(hash ^ word, odd) ^ even, odd);
}
