"""Twenty kills of the server under load; see crash.py."""
import crash
import harness


class Quick(crash.CrashCase):
    ROUNDS = 20

    def test_no_order_is_lost_and_nothing_is_brewed_twice(self):
        self.crash()


if __name__ == '__main__':
    harness.main()
