/* Inside device: what the files of the MQTT road share. */
#ifndef AUTOMAT_DEVICE_MQTT_INT_H
#define AUTOMAT_DEVICE_MQTT_INT_H

#include "device/device_int.h"
#include "device/device_mqtt.h"

#define DEVICE_MQTT_STATE_MS 5000 /* between two retained states */
#define DEVICE_MQTT_GREET_MS 2000 /* between two hellos that configurations asked for */

#endif
