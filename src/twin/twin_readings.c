/* Readings as the server takes them over HTTP. */
#include "twin/twin_int.h"

static enum err add_audio(struct buf *body, const struct twin_audio *audio)
{
    char piece[1024];
    size_t bytes;
    struct twin_audio sound = *audio;
    enum err err = buf_printf(body,
                              "{\"type\":\"audio\",\"rate\":%u,\"provenance\":\"simulated\","
                              "\"pcm\":\"",
                              sound.rate_hz);
    while (err == ERR_OK && (bytes = sound.read(&sound, piece, sizeof(piece))) > 0)
        err = buf_add(body, piece, bytes);
    return err == ERR_OK ? buf_add_str(body, STR("\"}")) : err;
}

enum err twin_readings_body(const struct twin_reading *readings, size_t count, struct buf *body)
{
    enum err err = buf_add_str(body, STR("{\"readings\":["));
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        if (i > 0)
            err = buf_add_str(body, STR(","));
        if (err != ERR_OK)
            break;
        if (readings[i].audio != NULL)
            err = add_audio(body, readings[i].audio);
        else
            err = buf_printf(body, "{\"type\":\"%s\",\"value\":%.4f,\"provenance\":\"simulated\"}",
                             readings[i].type, readings[i].value);
    }
    return err == ERR_OK ? buf_add_str(body, STR("]}")) : err;
}
