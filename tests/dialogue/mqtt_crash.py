"""Kill the server at random moments while readings and letters come in over MQTT, and ask at the end:

 1. is everything stored that was acknowledged?
 2. within a persistent session: is each reading stored once, also those that were sent again, with QoS 1 and 2?
 3. did everything that was acknowledged reach a persistent subscriber that is away most of the time?
 4. is the retained message at least as new as the last one acknowledged?
 5. is the database whole?

A publisher sends unique numbers, many at a time; after a lost connection it sends again what was not acknowledged, as
the standard wants: with DUP and the same packet id within its session, as a new message without one.  Moments are
counted in acknowledgements and drawn from a seed that is printed."""
import os
import random
import sqlite3
import struct
import threading
import time

import harness
import mqtt_raw as raw
from harness import database, until
from mqtt_client import port_of
from mqtt_raw import Closed, Raw

ANSWER_S = 120
WINDOW = 40
ARGS = ('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')


class Publisher:
    """`topic` and `payload` say what number n is sent as."""

    def __init__(self, name, town, qos, clean, topic, retain=False):
        self.name, self.town, self.qos, self.clean, self.topic, self.retain = name, town, qos, clean, topic, retain
        self.next = 0
        self.waiting = {}         # packet id -> [number, 'publish' or 'release'], oldest first
        self.acknowledged = set()
        self.refused = 0
        self.connects = 0
        self.fault = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _live(self):
        try:
            while not (self.ending.is_set() and not self.waiting):
                self.town.check_time()
                try:
                    self._connection()
                except (Closed, OSError):
                    self.town.pause.wait(0.02)
        except BaseException as fault:      # shown by the main thread
            self.fault = fault

    def _send(self, conn, packet_id, dup):
        number, stage = self.waiting[packet_id]
        if stage == 'release':
            conn.send(raw.answer(raw.PUBREL, packet_id))
        else:
            conn.send(raw.publish(self.topic, str(number), self.qos, packet_id, dup=dup, retain=self.retain))

    def _connection(self):
        conn = Raw(self.town.port, raw.connect(self.name, clean=self.clean))
        try:
            body = conn.expect(raw.CONNACK)
            if body[1] != 0:
                raise Closed
            present = bool(body[0] & 1)
            if self.connects > 0 and present == self.clean:
                raise AssertionError(f'{self.name}: session present is {present}')
            self.connects += 1
            if self.clean:                  # nobody knows the old ids any more
                numbers = [number for number, _ in self.waiting.values()]
                self.waiting = {self.town.packet_id(self, index): [number, 'publish']
                                for index, number in enumerate(numbers)}
            for packet_id in list(self.waiting):
                self._send(conn, packet_id, dup=not self.clean)
            while not (self.ending.is_set() and not self.waiting):
                while len(self.waiting) < WINDOW and not self.ending.is_set():
                    packet_id = self.town.packet_id(self, self.next)
                    if packet_id in self.waiting:
                        break
                    self.waiting[packet_id] = [self.next, 'publish']
                    self.next += 1
                    self._send(conn, packet_id, dup=False)
                self._answer(conn, *conn.read())
            conn.send(b'\xe0\0')
        finally:
            conn.close()

    def _answer(self, conn, first, body):
        packet_id = struct.unpack('>H', body[:2])[0]
        if first == raw.PUBREC:
            self.waiting[packet_id][1] = 'release'
            conn.send(raw.answer(raw.PUBREL, packet_id))
        elif first in (raw.PUBACK, raw.PUBCOMP):
            number, _ = self.waiting.pop(packet_id)
            self.acknowledged.add(number)
            self.town.heard()
        else:
            raise AssertionError(f'{self.name} got {first:02x} {body.hex()}')


class Reader:
    """A persistent subscriber; it is there between two kills now and then."""

    def __init__(self, town, name, *filters):
        self.town, self.name, self.filters = town, name, filters
        self.letters = set()
        self.retained = {}
        self.known = False

    def visit(self, wanted):
        """Read until `wanted()`, or the connection is lost."""
        try:
            conn = Raw(self.town.port, raw.connect(self.name, clean=False))
            body = conn.expect(raw.CONNACK)
            if self.known and body != b'\1\0':
                raise AssertionError(f'the session of {self.name} is gone: {body.hex()}')
            if not self.known:
                conn.send(raw.subscribe(1, *self.filters))
                self._take(conn, raw.SUBACK)
                self.known = True
            while not wanted():
                self.town.check_time()
                conn.send(raw.PING)
                self._take(conn, raw.PINGRESP)
            conn.close()
        except (Closed, OSError):
            pass

    def _take(self, conn, until_first):
        while True:
            first, body = conn.read()
            if first == until_first:
                return
            if first & 0xF0 != 0x30:
                raise AssertionError(f'{self.name} got {first:02x}')
            topic, packet_id, payload = raw.parse_publish(first, body)
            self.letters.add((topic, int(payload)))
            if packet_id:
                conn.send(raw.answer(raw.PUBACK, packet_id))


class Town:
    def __init__(self, case):
        self.case = case
        self.seed = int(os.environ.get('AUTOMAT_SEED', random.SystemRandom().randrange(1 << 32)))
        self.rng = random.Random(self.seed)
        self.pause = threading.Event()
        self.moved = threading.Condition()
        self.count = 0
        self.deadline = time.monotonic() + ANSWER_S
        self.port = None
        self.publishers = []
        print(f'seed {self.seed} (AUTOMAT_SEED repeats it)', flush=True)

    def start(self, *args, **more):
        self.server = self.case.server(*ARGS, *args, **more)
        self.port = port_of(self.server)

    def check_time(self):
        if time.monotonic() > self.deadline:
            raise AssertionError(f'nothing was acknowledged for {ANSWER_S} s')

    @staticmethod
    def packet_id(publisher, number):
        """Ids come round soon, as they do after a week."""
        return publisher.connects % 3 * 1000 + number % 150 + 1 if publisher.clean else number % 150 + 1

    def heard(self):
        with self.moved:
            self.count += 1
            self.deadline = time.monotonic() + ANSWER_S
            self.moved.notify_all()

    def faults(self):
        for one in self.publishers:
            if one.fault:
                raise one.fault

    def wait(self, more):
        """Until so many more are acknowledged."""
        goal = self.count + more
        with self.moved:
            while self.count < goal:
                self.moved.wait(1)
                self.faults()
                self.check_time()

    def publish(self, kind, count, qos, clean, topic, **more):
        made = [Publisher(f'{kind}-{n}', self, qos, clean, topic.format(f'{kind}-{n}'), **more) for n in range(count)]
        self.publishers += made
        return made

    def end(self):
        """Everything that was begun is acknowledged."""
        for one in self.publishers:
            one.ending.set()
        for one in self.publishers:
            one.thread.join(ANSWER_S)
            if one.fault:
                raise one.fault
            if one.thread.is_alive():
                raise AssertionError(f'{one.name} waits for {one.waiting}')
            if one.acknowledged != set(range(one.next)):
                raise AssertionError(f'{one.name}: {set(range(one.next)) - one.acknowledged} never acknowledged')

    def readings(self):
        """What is in the store, {machine: [value, ...]}."""
        out = {}
        with sqlite3.connect(f'file:{database(self.case.data())}?mode=ro', uri=True) as connection:
            self.case.assertEqual(connection.execute('PRAGMA integrity_check').fetchone(), ('ok',))
            for machine, value in connection.execute('SELECT machine_id, value FROM telemetry_readings JOIN '
                                                     'telemetry_series USING (series_id)'):
                out.setdefault(machine, []).append(int(value))
            rolled = dict(connection.execute('SELECT machine_id, SUM(count) FROM telemetry_minutes5 JOIN '
                                             'telemetry_series USING (series_id) GROUP BY machine_id'))
        connection.close()
        self.case.assertEqual(rolled, {machine: len(values) for machine, values in out.items()}, 'the rollups')
        return out

    def check_readings(self):
        """After the server has stopped."""
        stored = self.readings()
        for one in self.publishers:
            machine = one.topic.split('/')[1]
            if not one.topic.startswith('sensor/'):
                continue
            values = stored.get(machine, [])
            lost = sorted(one.acknowledged - set(values))
            self.case.assertEqual(len(lost), 0, f'{one.name}: acknowledged and lost: {lost[:9]}')
            if not one.clean:
                self.case.assertEqual(len(values), len(set(values)),
                                      f'{one.name}: stored twice {sorted(v for v in set(values) if values.count(v) > 1)}')


class CrashCase(harness.Case):
    def crash(self, rounds):
        town = Town(self)
        town.start()
        reader = Reader(town, 'reader', 'letters/#')
        reader.visit(lambda: True)
        kept = town.publish('kept', 2, 1, False, 'sensor/{}/count')
        town.publish('exact', 1, 2, False, 'sensor/{}/count')
        town.publish('clean', 1, 1, True, 'sensor/{}/count')
        letters = town.publish('letters', 1, 1, False, 'letters/{}')
        letters += town.publish('post', 1, 2, False, 'letters/{}')
        newest = town.publish('newest', 1, 1, False, 'board/{}', retain=True)
        try:
            for number in range(rounds):
                town.wait(town.rng.randrange(1, 400))
                if number % 3 == 0:           # often enough for its queue not to be full
                    self.letters(town, reader, letters)
                town.pause.wait(town.rng.uniform(0, 0.01))     # anywhere between two answers
                town.server.kill()
                town.start()
                town.deadline = time.monotonic() + ANSWER_S
            town.end()
            self.letters(town, reader, letters)
            self.newest(town, newest[0])
            town.server.stop()
            town.check_readings()
        except BaseException:
            print(f'seed {town.seed} failed; server log:\n{town.server.log()[-3000:]}', flush=True)
            raise
        finally:
            for one in town.publishers:
                one.ending.set()
            town.deadline = 0
        print(f'{rounds} kills, {town.count} acknowledged, {sum(one.connects for one in kept)} reconnects', flush=True)

    def letters(self, town, reader, publishers):
        """What is acknowledged by now reaches it."""
        wanted = {(one.topic, number) for one in publishers for number in set(one.acknowledged)}

        def enough():
            if time.monotonic() > deadline:
                missing = sorted(wanted - reader.letters)
                raise AssertionError(f'{len(missing)} of {len(wanted)} letters acknowledged and lost: {missing[:9]}, '
                                     f'{raw.metric(town.server, "automat_mqtt_dropped_total")} dropped')
            return wanted <= reader.letters
        deadline = time.monotonic() + ANSWER_S / 2
        reader.visit(enough)

    def newest(self, town, publisher):
        conn = Raw(town.port, raw.connect('late') + raw.subscribe(1, 'board/#', qos=0))
        conn.expect(raw.CONNACK)
        came = [one for one in [conn.read(), conn.read()] if one[0] & 0xF0 == 0x30]
        self.assertEqual(len(came), 1)
        topic, _, payload = raw.parse_publish(*came[0])
        self.assertEqual((topic, int(payload)), (publisher.topic, publisher.next - 1))
        conn.close()
