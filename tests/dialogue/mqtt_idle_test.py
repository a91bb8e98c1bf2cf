#!/usr/bin/env python3
"""Two thousand idle clients; see mqtt_idle.py."""
import harness
import mqtt_idle


class Quick(mqtt_idle.Idle):
    COUNT = 2000

    def test_two_thousand(self):
        self.crowd()


if __name__ == '__main__':
    harness.main()
