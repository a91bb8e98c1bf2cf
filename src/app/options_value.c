/* The shapes of option values. */
#include "app/options.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool options_address(const char *text, char *host, size_t host_bytes, uint16_t *ret_port)
{
    struct str all = str_from(text);
    size_t colon = all.len;
    while (colon > 0 && all.at[colon - 1] != ':')
        colon--;
    struct str name = colon == 0 ? STR("127.0.0.1") : str_slice(all, 0, colon - 1);
    if (name.len >= 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = str_slice(name, 1, name.len - 1);
    else if (str_find(name, ':') < name.len)
        return false; /* an IPv6 address without brackets: where would the port begin? */
    uint64_t port;
    if (name.len == 0 || str_to_u64(str_slice(all, colon, all.len), &port) != ERR_OK ||
        port > UINT16_MAX || str_copy(host, host_bytes, name) != ERR_OK)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

bool options_loopback(const char *host)
{
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) == 1)
        return (ntohl(address.s_addr) >> 24) == 127;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0;
}

bool options_fraction(const char *text, double *ret_value)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false; /* strtod would also take signs, spaces, words and hexadecimal */
    double value = strtod(text, &end);
    if (*end != 0 || text[1] == 'x' || text[1] == 'X' || !(value >= 0 && value <= 1))
        return false;
    *ret_value = value;
    return true;
}

double options_real(const char *text, double otherwise)
{
    char *end = NULL;
    if (text == NULL || text[0] < '0' || text[0] > '9' || text[1] == 'x' || text[1] == 'X')
        return otherwise;
    double value = strtod(text, &end);
    return *end == 0 && isfinite(value) ? value : otherwise;
}

bool options_rate(const char *text, uint32_t *ret_burst, uint32_t *ret_per_minute)
{
    struct str all = str_from(text);
    size_t slash = str_find(all, '/');
    uint64_t burst, per_minute;
    if (str_to_u64(str_slice(all, 0, slash), &burst) != ERR_OK ||
        str_to_u64(str_slice(all, slash + 1, all.len), &per_minute) != ERR_OK || burst == 0 ||
        per_minute == 0 || burst > 100000000 || per_minute > 100000000)
        return false;
    *ret_burst = (uint32_t)burst;
    *ret_per_minute = (uint32_t)per_minute;
    return true;
}
