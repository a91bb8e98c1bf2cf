/* Readings as the server takes them: one, or the body of several over HTTP. */
#include "twin/twin_int.h"

static enum err add_audio(struct buf *body, const struct twin_audio *audio)
{
    char piece[1024];
    size_t bytes;
    struct twin_audio sound = *audio;
    enum err err =
        buf_printf(body, "\"rate\":%u,\"provenance\":\"simulated\",\"pcm\":\"", sound.rate_hz);
    while (err == ERR_OK && (bytes = sound.read(&sound, piece, sizeof(piece))) > 0)
        err = buf_add(body, piece, bytes);
    return err == ERR_OK ? buf_add_str(body, STR("\"}")) : err;
}

enum err twin_reading_body(const struct twin_reading *reading, bool with_type, struct buf *body)
{
    enum err err = with_type ? buf_printf(body, "{\"type\":\"%s\",", reading->type)
                             : buf_add_str(body, STR("{"));
    if (err != ERR_OK)
        return err;
    if (reading->audio != NULL)
        return add_audio(body, reading->audio);
    return buf_printf(body, "\"value\":%.4f,\"provenance\":\"simulated\"}", reading->value);
}

enum err twin_readings_body(const struct twin_reading *readings, size_t count, struct buf *body)
{
    enum err err = buf_add_str(body, STR("{\"readings\":["));
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        if (i > 0)
            err = buf_add_str(body, STR(","));
        if (err == ERR_OK)
            err = twin_reading_body(&readings[i], true, body);
    }
    return err == ERR_OK ? buf_add_str(body, STR("]}")) : err;
}
