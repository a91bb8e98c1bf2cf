/* Token buckets as one number a key: the moment at which the bucket would be full again (the
 * generic cell rate algorithm).  Nanoseconds, so that also a million a second divides evenly
 * enough. */
#include "access/access_int.h"

#include <arpa/inet.h>
#include <string.h>

#define NS_PER_MS  ((int64_t)1000000)
#define NS_PER_DAY (86400 * 1000 * NS_PER_MS)

struct access_rate {
    struct lru lru;
    int64_t interval_ns;  /* one token */
    int64_t tolerance_ns; /* how far ahead of the even pace a burst may run */
};

enum err access_rate_create(struct access_rate_limit limit, uint32_t keys_max,
                            struct access_rate **ret_rate)
{
    if (limit.burst == 0 || limit.per_minute == 0 || keys_max == 0 || keys_max > 1u << 20)
        return ERR_INPUT;
    struct access_rate *rate = mem_zalloc(sizeof(*rate));
    if (rate == NULL)
        return ERR_NOMEM;
    enum err err = access_lru_init(&rate->lru, keys_max);
    if (err != ERR_OK) {
        mem_free(rate);
        return err;
    }
    rate->interval_ns = 60 * 1000 * NS_PER_MS / limit.per_minute;
    int64_t ahead = (int64_t)limit.burst - 1;
    rate->tolerance_ns =
        ahead > NS_PER_DAY / rate->interval_ns ? NS_PER_DAY : ahead * rate->interval_ns;
    *ret_rate = rate;
    return ERR_OK;
}

void access_rate_destroy(struct access_rate *rate)
{
    if (rate == NULL)
        return;
    access_lru_finish(&rate->lru);
    mem_free(rate);
}

bool access_rate_take(struct access_rate *rate, struct str key, int64_t mono_ms,
                      int64_t *ret_retry_ms)
{
    struct lru_slot *slot = access_lru_touch(&rate->lru, key);
    int64_t now_ns = mono_ms * NS_PER_MS;
    int64_t full_ns = slot->value[0] > now_ns ? slot->value[0] : now_ns;
    int64_t early_ns = full_ns - now_ns - rate->tolerance_ns;
    if (early_ns > 0) {
        *ret_retry_ms = (early_ns + NS_PER_MS - 1) / NS_PER_MS;
        return false;
    }
    slot->value[0] = full_ns + rate->interval_ns;
    return true;
}

uint32_t access_rate_keys(const struct access_rate *rate)
{
    return rate->lru.count;
}

struct access_rate *access_rate_table(struct access *access, enum access_rate_class class)
{
    ASSERT((unsigned)class < ACCESS_RATE_CLASS_COUNT);
    return access->rate[class];
}

/* Whoever has one IPv6 address has 2^64 of them. */
void access_address_key(struct str address, char dst[ACCESS_ADDRESS_BYTES])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[ACCESS_ADDRESS_BYTES];
    struct in_addr four;
    struct in6_addr six;

    memcpy(dst, "-", 2);
    address = str_slice(address, 0, str_find(address, '%'));
    if (str_copy(text, sizeof(text), address) != ERR_OK)
        return;
    if (inet_pton(AF_INET, text, &four) == 1) {
        (void)inet_ntop(AF_INET, &four, dst, ACCESS_ADDRESS_BYTES);
    } else if (inet_pton(AF_INET6, text, &six) == 1) {
        if (memcmp(six.s6_addr, mapped, sizeof(mapped)) == 0) {
            (void)inet_ntop(AF_INET, &six.s6_addr[12], dst, ACCESS_ADDRESS_BYTES);
            return;
        }
        memset(&six.s6_addr[8], 0, 8);
        (void)inet_ntop(AF_INET6, &six, dst, INET6_ADDRSTRLEN);
        memcpy(dst + strlen(dst), "/64", sizeof("/64")); /* 46 + 4 bytes at most, of 64 */
    }
}
