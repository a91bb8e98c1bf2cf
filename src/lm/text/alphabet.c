/* GPT-2's alphabet: bytes that print stand for themselves, the others for U+0100 and on, in order.
 */
#include "lm/text/text_int.h"

static bool prints(uint32_t byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t lm_byte_to_point(uint8_t byte)
{
    uint32_t point = 256;
    if (prints(byte))
        return byte;
    for (uint32_t other = 0; other < byte; other++)
        point += prints(other) ? 0 : 1;
    return point;
}
