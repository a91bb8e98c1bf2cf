/* How fast to learn: up in a line, then down. */
#include "lm/train/train_int.h"

#include <math.h>

double lm_rate_at(enum lm_schedule schedule, double rate, double warmup, uint64_t step,
                  uint64_t steps)
{
    double rise = floor(warmup * (double)steps);
    double at = (double)step;
    if (at < rise)
        return rate * (at + 1) / (rise + 1);
    double part = steps > (uint64_t)rise ? (at - rise) / ((double)steps - rise) : 1;
    if (part > 1)
        part = 1;
    if (schedule == LM_SCHEDULE_LINEAR)
        return rate * (1 - part);
    return rate * 0.5 * (1 + cos(3.14159265358979323846 * part));
}
