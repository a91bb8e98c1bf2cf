#include "access/access_int.h"

#include <sodium.h>
#include <string.h>

enum err access_secret_make(const char *prefix, char ret_text[ACCESS_SECRET_BYTES],
                            uint8_t ret_hash[SECRET_HASH_BYTES])
{
    uint8_t bytes[32];
    ASSERT(strlen(prefix) == 3);
    enum err err = sys_random(bytes, sizeof(bytes));
    if (err != ERR_OK)
        return err;
    memcpy(ret_text, prefix, 3);
    sodium_bin2base64(ret_text + 3, ACCESS_SECRET_BYTES - 3, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
    access_secret_hash(str_from(ret_text), ret_hash);
    return ERR_OK;
}

void access_secret_hash(struct str text, uint8_t ret_hash[SECRET_HASH_BYTES])
{
    /* 256 random bits need no slow hash: there is nothing to guess. */
    crypto_generichash(ret_hash, SECRET_HASH_BYTES, (const unsigned char *)text.at, text.len, NULL,
                       0);
}

void access_secret_csrf(struct str token, char ret_csrf[ACCESS_SECRET_BYTES])
{
    static const unsigned char what[] = "automat csrf";
    uint8_t bytes[32];
    ASSERT(token.len <= crypto_generichash_KEYBYTES_MAX);
    crypto_generichash(bytes, sizeof(bytes), what, sizeof(what) - 1,
                       (const unsigned char *)token.at, token.len);
    sodium_bin2base64(ret_csrf, ACCESS_SECRET_BYTES, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

uint64_t access_secret_key(const uint8_t hash[SECRET_HASH_BYTES])
{
    uint64_t key;
    memcpy(&key, hash, sizeof(key));
    return key;
}

bool access_csrf_ok(const struct access_caller *caller, struct str header)
{
    if (caller->via != ACCESS_VIA_SESSION)
        return true;
    size_t len = strlen(caller->csrf);
    return len != 0 && header.len == len && sodium_memcmp(header.at, caller->csrf, len) == 0;
}

bool access_origin_ok(struct str origin, struct str host)
{
    if (origin.len == 0)
        return true; /* not a page of another site: browsers always say where a changing call comes
                        from */
    size_t scheme = 0;
    if (str_starts(origin, STR("http://")))
        scheme = sizeof("http://") - 1;
    else if (str_starts(origin, STR("https://")))
        scheme = sizeof("https://") - 1;
    else
        return false;
    return host.len != 0 && str_equal_nocase(str_slice(origin, scheme, origin.len), host);
}

static struct str trim(struct str text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = str_slice(text, 1, text.len);
    while (text.len > 0 && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

struct str access_cookie_find(struct str header)
{
    struct str found = STR_NONE;
    while (header.len > 0) {
        size_t end = str_find(header, ';');
        struct str pair = trim(str_slice(header, 0, end));
        header = str_slice(header, end < header.len ? end + 1 : end, header.len);
        size_t equals = str_find(pair, '=');
        if (equals == pair.len || !str_equal(str_slice(pair, 0, equals), STR(ACCESS_COOKIE_NAME)))
            continue;
        if (found.at != NULL)
            return STR_NONE; /* somebody planted a second one beside ours: neither is to be trusted
                              */
        found = str_slice(pair, equals + 1, pair.len);
    }
    return found;
}

void access_cookie_set(struct text *text, struct str token, bool secure)
{
    text_add(text, STR(ACCESS_COOKIE_NAME "="));
    text_add(text, token);
    text_add(text, STR("; Path=/; HttpOnly; SameSite=Strict; Max-Age="));
    text_add_i64(text, token.len == 0 ? 0 : SESSION_LIFE_MS / 1000);
    if (secure)
        text_add(text, STR("; Secure"));
}
