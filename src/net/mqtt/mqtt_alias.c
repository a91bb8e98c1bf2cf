/* Topic aliases from the client, resolved before anybody sees the message. */
#include "net/mqtt/mqtt_int.h"
#include <string.h>

static enum err learn(struct mqtt_conn *conn, size_t slot, struct str topic)
{
    if (conn->aliases == NULL)
        conn->aliases = mem_zalloc(sizeof(*conn->aliases));
    if (conn->aliases == NULL)
        return ERR_NOMEM;
    struct mqtt_aliases *aliases = conn->aliases;
    if (aliases->topic[slot] == NULL || aliases->len[slot] != topic.len) {
        char *fresh = mem_realloc(aliases->topic[slot], topic.len);
        if (fresh == NULL)
            return ERR_NOMEM;
        aliases->topic[slot] = fresh;
        aliases->len[slot] = (uint16_t)topic.len;
    }
    memcpy(aliases->topic[slot], topic.at, topic.len);
    return ERR_OK;
}

enum err mqtt_alias_resolve(struct mqtt_conn *conn, struct mqtt_publish *publish)
{
    uint16_t alias = publish->properties.topic_alias;
    publish->properties.has &= ~(uint32_t)MQTT_HAS_TOPIC_ALIAS;
    if (alias == 0 || alias > conn->alias_max)
        return ERR_INPUT;
    if (publish->topic.len != 0)
        return learn(conn, alias - 1u, publish->topic);
    if (conn->aliases == NULL || conn->aliases->topic[alias - 1] == NULL)
        return ERR_INPUT;
    publish->topic = (struct str){conn->aliases->topic[alias - 1], conn->aliases->len[alias - 1]};
    return ERR_OK;
}

void mqtt_alias_free(struct mqtt_conn *conn)
{
    for (size_t i = 0; conn->aliases != NULL && i < MQTT_ALIASES_MAX; i++)
        mem_free(conn->aliases->topic[i]);
    mem_free(conn->aliases);
    conn->aliases = NULL;
}
