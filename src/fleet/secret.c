#include "fleet/fleet_int.h"

#include <sodium.h>

enum err fleet_token_make(char ret_text[FLEET_TOKEN_BYTES], uint8_t ret_hash[TOKEN_HASH_BYTES])
{
    uint8_t bytes[32];
    enum err err = sys_random(bytes, sizeof(bytes));
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; i < 3; i++)
        ret_text[i] = "ad_"[i];
    sodium_bin2base64(ret_text + 3, FLEET_TOKEN_BYTES - 3, bytes, sizeof(bytes),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof(bytes));
    fleet_token_hash(str_from(ret_text), ret_hash);
    return ERR_OK;
}

void fleet_token_hash(struct str text, uint8_t ret_hash[TOKEN_HASH_BYTES])
{
    crypto_generichash(ret_hash, TOKEN_HASH_BYTES, (const unsigned char *)text.at, text.len, NULL,
                       0);
}
