#include "base/base.h"

/* Length of the sequence that `first` begins, and the range its second byte must be in; 0: no
 * sequence begins so. The ranges of the second byte are what excludes overlong forms, surrogates
 * and everything above U+10FFFF. */
static size_t sequence(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xBF;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF) {
        if (first == 0xE0)
            *ret_low = 0xA0;
        else if (first == 0xED)
            *ret_high = 0x9F;
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (first == 0xF0)
            *ret_low = 0x90;
        else if (first == 0xF4)
            *ret_high = 0x8F;
        return 4;
    }
    return 0;
}

bool utf8_valid(struct str text)
{
    size_t i = 0;
    while (i < text.len) {
        uint8_t low;
        uint8_t high;
        uint8_t first = (uint8_t)text.at[i];
        if (first < 0x80) {
            i++;
            continue;
        }
        size_t len = sequence(first, &low, &high);
        if (len == 0 || text.len - i < len)
            return false;
        for (size_t j = 1; j < len; j++) {
            uint8_t byte = (uint8_t)text.at[i + j];
            if (byte < low || byte > high)
                return false;
            low = 0x80;
            high = 0xBF;
        }
        i += len;
    }
    return true;
}
