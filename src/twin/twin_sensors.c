/* Readings of the room leave on a channel of their own; when that is slow they are left out, and
 * control never waits for them. */
#include "twin/twin_int.h"

void twin_sensors_run(struct twin *twin)
{
    struct twin_reading readings[TWIN_READINGS_MAX];
    if (twin->kind->read == NULL || !twin->powered || !twin->device.admitted)
        return;
    size_t count = twin->kind->read(twin->metal, twin->clock_ms, readings);
    if (count == 0)
        return;
    if (twin->link->publish(twin->link, readings, count) == ERR_OK)
        twin->published += (uint32_t)count;
    else
        twin->publish_skipped += (uint32_t)count;
}
