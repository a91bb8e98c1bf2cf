/* The opening handshake (RFC 6455, 4.2). */
#include "net/ws/ws.h"
#include <openssl/evp.h>
#include <string.h>

#define KEY_BYTES 24 /* 16 bytes in base64 */

static bool list_has(struct str list, struct str token)
{
    while (list.len != 0) {
        size_t end = str_find(list, ',');
        struct str item = str_slice(list, 0, end);
        list = str_slice(list, end + 1, list.len);
        while (item.len != 0 && (item.at[0] == ' ' || item.at[0] == '\t'))
            item = str_slice(item, 1, item.len);
        while (item.len != 0 && (item.at[item.len - 1] == ' ' || item.at[item.len - 1] == '\t'))
            item.len--;
        if (str_equal_nocase(item, token))
            return true;
    }
    return false;
}

static bool base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

static bool key_valid(struct str key)
{
    if (key.len != KEY_BYTES || key.at[KEY_BYTES - 1] != '=' || key.at[KEY_BYTES - 2] != '=')
        return false;
    for (size_t i = 0; i < KEY_BYTES - 2; i++) {
        if (!base64_char(key.at[i]))
            return false;
    }
    return true;
}

enum err ws_handshake(const struct ws_request *request, char ret_accept[WS_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    if (!request->get || !list_has(request->upgrade, STR("websocket")) ||
        !list_has(request->connection, STR("upgrade")) || !key_valid(request->key))
        return ERR_INPUT;
    if (!str_equal(request->version, STR("13")))
        return ERR_VERSION;
    char text[KEY_BYTES + sizeof(guid)];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    memcpy(text, request->key.at, KEY_BYTES);
    memcpy(text + KEY_BYTES, guid, sizeof(guid));
    if (EVP_Digest(text, KEY_BYTES + sizeof(guid) - 1, digest, &digest_len, EVP_sha1(), NULL) != 1)
        return ERR_NOMEM;
    EVP_EncodeBlock((unsigned char *)ret_accept, digest, (int)digest_len);
    return ERR_OK;
}
