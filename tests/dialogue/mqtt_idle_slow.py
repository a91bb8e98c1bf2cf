#!/usr/bin/env python3
"""Ten thousand idle clients; see mqtt_idle.py."""
import harness
import mqtt_idle


class Slow(mqtt_idle.Idle):
    COUNT = 10000

    def test_ten_thousand(self):
        self.crowd()


if __name__ == '__main__':
    harness.main()
