#!/usr/bin/env python3
"""Many kills under a load of MQTT; see mqtt_crash.py."""
import harness
import mqtt_crash


class Slow(mqtt_crash.CrashCase):
    def test_nothing_acknowledged_is_lost_or_stored_twice(self):
        self.crash(100)


if __name__ == '__main__':
    harness.main()
