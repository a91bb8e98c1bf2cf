/* Topic names and filters (section 4.7). */
#include "net/mqtt/mqtt_codec_int.h"
#include <string.h>

static bool size_valid(struct str name)
{
    if (name.len == 0 || name.len > MQTT_TOPIC_BYTES_MAX || !mqtt_text_valid(name))
        return false;
    uint32_t levels = 1;
    for (size_t i = 0; i < name.len; i++)
        levels += name.at[i] == '/';
    return levels <= MQTT_TOPIC_LEVELS_MAX;
}

bool mqtt_topic_valid(struct str topic)
{
    return size_valid(topic) && memchr(topic.at, '+', topic.len) == NULL &&
           memchr(topic.at, '#', topic.len) == NULL;
}

bool mqtt_filter_valid(struct str filter)
{
    if (!size_valid(filter))
        return false;
    for (size_t i = 0; i < filter.len; i++) {
        bool first = i == 0 || filter.at[i - 1] == '/';
        bool last = i + 1 == filter.len || filter.at[i + 1] == '/';
        if (filter.at[i] == '+' && !(first && last))
            return false;
        if (filter.at[i] == '#' && !(first && i + 1 == filter.len))
            return false;
    }
    return true;
}

bool mqtt_filter_matches(struct str filter, struct str topic)
{
    size_t f = 0, t = 0;
    if (filter.len == 0 || topic.len == 0)
        return false;
    if (topic.at[0] == '$' && (filter.at[0] == '+' || filter.at[0] == '#'))
        return false;
    for (;;) { /* at the beginning of a level of both */
        if (f < filter.len && filter.at[f] == '#')
            return true;
        if (f < filter.len && filter.at[f] == '+') {
            f++;
            while (t < topic.len && topic.at[t] != '/')
                t++;
        } else {
            while (f < filter.len && t < topic.len && filter.at[f] == topic.at[t] &&
                   filter.at[f] != '/') {
                f++;
                t++;
            }
        }
        bool filter_ends = f == filter.len, topic_ends = t == topic.len;
        if (filter_ends && topic_ends)
            return true;
        if (topic_ends) /* "a/#" matches "a", too */
            return filter.len - f == 2 && filter.at[f] == '/' && filter.at[f + 1] == '#';
        if (filter_ends || filter.at[f] != '/' || topic.at[t] != '/')
            return false;
        f++;
        t++;
    }
}

struct str mqtt_topic_level(struct str topic, uint32_t index)
{
    size_t from = 0;
    for (;;) {
        const char *slash =
            from < topic.len ? memchr(topic.at + from, '/', topic.len - from) : NULL;
        size_t to = slash != NULL ? (size_t)(slash - topic.at) : topic.len;
        if (index == 0)
            return topic.at == NULL ? STR_NONE : (struct str){topic.at + from, to - from};
        if (slash == NULL)
            return STR_NONE;
        from = to + 1;
        index--;
    }
}
