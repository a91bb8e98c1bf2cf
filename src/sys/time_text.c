/* RFC 3339, in the proleptic Gregorian calendar, years 0000 to 9999. */
#include "sys/sys.h"

#include <stdio.h>

#define DAY_MS    ((int64_t)86400000)
#define FIRST_MS  ((int64_t)-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LAST_MS   ((int64_t)253402300799999) /* 9999-12-31T23:59:59.999Z */
#define ERA_DAYS  146097                     /* 400 years */
#define EPOCH_DAY 719468                     /* 1970-01-01 counted from 0000-03-01 */

/* Days since the epoch.  Years begin in March here, so that the leap day is a year's last. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - EPOCH_DAY;
}

static void date_from_days(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
    int64_t from_march = days + EPOCH_DAY;
    int64_t era = (from_march >= 0 ? from_march : from_march - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t day_of_era = from_march - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    *ret_month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

void time_text(int64_t epoch_ms, char dst[TIME_TEXT_BYTES])
{
    int64_t year;
    int64_t month;
    int64_t day;
    if (epoch_ms < FIRST_MS)
        epoch_ms = FIRST_MS;
    if (epoch_ms > LAST_MS)
        epoch_ms = LAST_MS;
    int64_t days = (epoch_ms >= 0 ? epoch_ms : epoch_ms - (DAY_MS - 1)) / DAY_MS;
    int64_t ms = epoch_ms - days * DAY_MS;
    date_from_days(days, &year, &month, &day);
    /* The values are in range; the masks tell the compiler so, which counts the characters. */
    snprintf(dst, TIME_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000u,
             (unsigned)month % 100u, (unsigned)day % 100u, (unsigned)(ms / 3600000) % 100u,
             (unsigned)(ms / 60000) % 60u, (unsigned)(ms / 1000) % 60u, (unsigned)ms % 1000u);
}

/* Exactly `count` digits at *at, which moves past them; -1 when they are not there. */
static int64_t digits(struct str text, size_t *at, size_t count)
{
    int64_t value = 0;
    if (text.len - *at < count)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char c = text.at[*at + i];
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    *at += count;
    return value;
}

static bool sign(struct str text, size_t *at, char lower, char upper)
{
    if (*at >= text.len || (text.at[*at] != lower && text.at[*at] != upper))
        return false;
    (*at)++;
    return true;
}

static bool in(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool parse_date(struct str text, size_t *at, int64_t *ret_days)
{
    int64_t year = digits(text, at, 4);
    if (year < 0 || !sign(text, at, '-', '-'))
        return false;
    int64_t month = digits(text, at, 2);
    if (!in(month, 1, 12) || !sign(text, at, '-', '-'))
        return false;
    int64_t day = digits(text, at, 2);
    if (!in(day, 1, month_days(year, month)))
        return false;
    *ret_days = days_from_date(year, month, day);
    return true;
}

/* ".123456": milliseconds, what is finer cut off.  None is 0; a point without digits is wrong. */
static bool parse_fraction(struct str text, size_t *at, int64_t *ret_ms)
{
    int64_t weight = 100;
    size_t count = 0;
    *ret_ms = 0;
    if (!sign(text, at, '.', '.'))
        return true;
    for (; *at < text.len && text.at[*at] >= '0' && text.at[*at] <= '9'; (*at)++, count++) {
        *ret_ms += (text.at[*at] - '0') * weight;
        weight /= 10;
    }
    return count > 0;
}

/* "Z" or "+hh:mm": what to take off to get UTC. */
static bool parse_offset(struct str text, size_t *at, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (sign(text, at, 'z', 'Z'))
        return true;
    bool east = sign(text, at, '+', '+');
    if (!east && !sign(text, at, '-', '-'))
        return false;
    int64_t hours = digits(text, at, 2);
    if (!in(hours, 0, 23) || !sign(text, at, ':', ':'))
        return false;
    int64_t minutes = digits(text, at, 2);
    if (!in(minutes, 0, 59))
        return false;
    *ret_ms = (hours * 60 + minutes) * 60000 * (east ? 1 : -1);
    return true;
}

enum err time_parse(struct str text, int64_t *ret_epoch_ms)
{
    size_t at = 0;
    int64_t days;
    int64_t fraction_ms;
    int64_t offset_ms;
    if (!parse_date(text, &at, &days) || !(sign(text, &at, 't', 'T') || sign(text, &at, ' ', ' ')))
        return ERR_INPUT;
    int64_t hour = digits(text, &at, 2);
    if (!in(hour, 0, 23) || !sign(text, &at, ':', ':'))
        return ERR_INPUT;
    int64_t minute = digits(text, &at, 2);
    if (!in(minute, 0, 59) || !sign(text, &at, ':', ':'))
        return ERR_INPUT;
    int64_t second = digits(text, &at, 2);
    if (!in(second, 0, 60) || !parse_fraction(text, &at, &fraction_ms) ||
        !parse_offset(text, &at, &offset_ms) || at != text.len)
        return ERR_INPUT;
    int64_t ms =
        days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms - offset_ms;
    /* Epoch time has no leap seconds: one counts as the first second of the next day, and stands
     * nowhere else. */
    if (second == 60 && ((ms - fraction_ms) % DAY_MS != 0))
        return ERR_INPUT;
    *ret_epoch_ms = ms;
    return ERR_OK;
}
