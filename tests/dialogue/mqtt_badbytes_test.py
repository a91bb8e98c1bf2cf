#!/usr/bin/env python3
"""Bytes that are no MQTT, or too much, or half of it, beside a client that must not notice."""
import os
import random
import select
import struct
import time

import harness
import mqtt_raw as raw
import ws_client
from harness import until
from mqtt_client import port_of
from mqtt_raw import Closed, Healthy, Raw, held_kb, metric

GROWTH_KB = 96 * 1024


def valid(level):
    """Every packet type, as rich as it gets."""
    five = level == 5
    user = b'\x26' + raw.text('k') + raw.text('v')
    connect_props = b'\x11\0\0\0\x05\x21\0\x10\x27\0\1\0\0\x22\0\x04\x19\1\x17\1' + user if five else b''
    publish_props = (b'\x01\1\x02\0\0\0\x3c\x23\0\1\x08' + raw.text('reply/to') + b'\x09' + raw.text('corr') +
                     b'\x03' + raw.text('text/plain') + user) if five else b''
    packets = [
        raw.connect('other', level, clean=False, keep=30, user='name', token='secret',
                    will=('will/t', 'gone', 1, True), properties=connect_props),
        raw.packet(0x20, b'\0\0', raw.props(level)),
        raw.publish('bad/t', 'x' * 20, level=level, properties=publish_props),
        raw.publish('bad/t', '{"a":1}', 1, 7, level=level, properties=publish_props),
        raw.publish('bad/t', 'x', 2, 8, dup=True, retain=True, level=level),
        raw.publish('sensor/room-1/temperature', '21.5', 1, 9, level=level),
        *(raw.answer(first, 7, level) for first in (raw.PUBACK, raw.PUBREC, raw.PUBREL, raw.PUBCOMP)),
        raw.subscribe(3, 'a/+/b', 'c/#', level=level),
        raw.packet(0x90, b'\0\3', raw.props(level), b'\1\1'),
        raw.unsubscribe(4, 'a/+/b', 'c/#', level=level),
        raw.packet(0xB0, b'\0\4', raw.props(level), b'\0' if five else b''),
        raw.PING, raw.packet(raw.PINGRESP),
        raw.packet(0xE0, b'\x04' + raw.props(level, b'\x11\0\0\0\0' + user) if five else b''),
        raw.packet(0xF0, b'\x18' + raw.props(level, b'\x15' + raw.text('SCRAM') + b'\x16' + raw.text('data'))),
    ]
    return packets


class BadBytes(harness.Shared):
    ARGS = ('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')
    ENV = raw.lean_env()

    def setUp(self):
        super().setUp()
        self.port = port_of(self.srv)
        self.seed = int(os.environ.get('AUTOMAT_SEED', random.SystemRandom().randrange(1 << 32)))
        self.rng = random.Random(self.seed)
        self.healthy = Healthy(self.srv, f'healthy-{self.name}')
        self.addCleanup(self.healthy.close)
        self.healthy.check()
        self.connections = metric(self.srv, 'automat_mqtt_connections')
        self.held = held_kb(self.srv)
        self.pongs = 0

    def unharmed(self):
        self.healthy.check()
        until(lambda: metric(self.srv, 'automat_mqtt_connections') == self.connections,
              what=f'the others to be gone (seed {self.seed})')
        grown = held_kb(self.srv) - self.held
        self.assertLess(grown, GROWTH_KB, f'{grown} KiB more than before (seed {self.seed})')
        self.assertIsNone(self.srv.process.poll())

    def throw(self, data, level=4, connected=True, look=False):
        """Send it on a connection of its own and leave without reading."""
        conn = Raw(self.port)
        try:
            if connected:
                conn.send(raw.connect(f'bad-{level}', level))
            conn.send(data)
            if look:
                conn.sock.settimeout(0.001)
                conn.ends()
        except Closed:
            pass                                   # it has seen enough of us
        finally:
            conn.close()

    # ---- one packet, cut, mixed and bent ----

    def test_every_prefix_and_then_nothing(self):
        for level in (4, 5):
            for one in valid(level):
                for cut in range(len(one) + 1):
                    self.throw(one[:cut], level, connected=one[0] != 0x10)
        self.unharmed()

    def test_every_prefix_and_then_garbage(self):
        for level in (4, 5):
            for one in valid(level):
                for cut in range(len(one) + 1):
                    self.throw(one[:cut] + self.rng.randbytes(40), level, connected=one[0] != 0x10)
        self.unharmed()

    def test_flipped_bits(self):
        packets = {level: valid(level) for level in (4, 5)}
        for _ in range(1500):
            level = self.rng.choice((4, 5))
            one = bytearray(self.rng.choice(packets[level]))
            first = one[0]
            for _ in range(self.rng.choice((1, 1, 1, 2, 4))):
                one[self.rng.randrange(len(one))] ^= 1 << self.rng.randrange(8)
            self.throw(bytes(one) + raw.PING, level, connected=first != 0x10)
        self.unharmed()

    def test_random_bytes(self):
        for number in range(600):
            self.throw(self.rng.randbytes(self.rng.randrange(1, 300)), connected=number % 2 == 0)
        self.unharmed()

    def test_packets_in_any_order(self):
        """Each is right by itself; what comes when is not."""
        for number in range(300):
            level = self.rng.choice((4, 5))
            packets = valid(level)[1:] + [raw.connect('again', level)]
            self.throw(b''.join(self.rng.choice(packets) for _ in range(8)), level, connected=number % 5 > 0)
        self.unharmed()

    # ---- too much ----

    def test_oversize(self):
        for first in (0x30, 0x32, 0x82, 0xA2, 0x10):
            for size in (256 * 1024 + 1, 1 << 20, (1 << 28) - 1):
                conn = Raw(self.port, raw.connect('large'))
                conn.expect(raw.CONNACK)
                try:
                    conn.send(bytes([first]) + raw.length(size) + b'\0\1a')
                except Closed:
                    pass
                self.assertTrue(conn.ends(), f'{first:02x} {size}')
        conn = Raw(self.port, raw.connect('c' * 129))
        self.assertTrue(conn.ends())
        for topic in ('t' * 513, '/'.join('t' * 17)):
            conn = Raw(self.port, raw.connect('long') + raw.publish(topic, 'x', 1, 1))
            conn.expect(raw.CONNACK)
            self.assertTrue(conn.ends())
        self.unharmed()

    def test_property_bombs(self):
        pair = b'\x26' + raw.text('k') + raw.text('v')
        bombs = [pair * 20000, pair * 17, b'\x0b\x01' * 1000, b'\x02\0\0\0\x01' * 2, b'\x23\0\0', b'\x23\xff\xff', b'\x08' + raw.text('a/#'),
                 b'\x99', b'\x0b\0', b'\x01\x02', b'\x24\x03']
        for bomb in bombs:
            conn = Raw(self.port, raw.connect('bomb', 5))
            conn.expect(raw.CONNACK)
            try:
                conn.send(raw.publish('bad/t', 'x', 1, 1, level=5, properties=bomb))
            except Closed:
                pass
            self.assertTrue(conn.ends(), bomb[:20])
            self.assertTrue(Raw(self.port, raw.connect('bomb', 5, properties=bomb)).ends(), bomb[:20])
        large = b'\x26' + raw.text('k' * 65535) + raw.text('v' * 65535)  # right in a message, too much to say hello
        self.assertTrue(Raw(self.port, raw.connect('bomb', 5, properties=large)).ends())
        conn = Raw(self.port, raw.connect('bomb', 5) + raw.publish('bad/t', 'x', 1, 1, level=5, properties=large))
        conn.expect(raw.CONNACK)
        conn.expect(raw.PUBACK)
        conn.close()
        # A length of properties that reaches behind the packet.
        for lie in (b'\x05', b'\x7f', b'\xff\xff\xff\x7f', b'\x80\x80\x80\x80'):
            conn = Raw(self.port, raw.connect('liar', 5))
            conn.expect(raw.CONNACK)
            conn.send(raw.packet(0x30, raw.text('a'), lie))
            self.assertTrue(conn.ends(), lie)
        self.unharmed()

    def test_as_many_subscriptions_as_it_likes(self):
        conn = Raw(self.port, raw.connect('collector'))
        conn.expect(raw.CONNACK)
        codes = []
        for start in range(0, 320, 32):
            conn.send(raw.subscribe(start + 1, *(f'collected/{n}' for n in range(start, start + 32))))
            codes += conn.expect(raw.SUBACK)[2:]
        self.assertEqual((codes[0], codes[-1]), (1, 0x80))
        conn.ping()
        conn.close()
        self.unharmed()

    # ---- other languages ----

    def test_what_speaks_something_else(self):
        hello_tls = bytes.fromhex('160301002f0100002b0303') + self.rng.randbytes(32) + b'\0\0\4\x13\x01\x13\x02\1\0'
        for data in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'POST /mqtt HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc',
                     hello_tls, b'SSH-2.0-OpenSSH_9.2\r\n', b'\0' * 64, b'\xff' * 64, b'\x05\x01\0',
                     b'\x10\x0e\0\6MQIsdp\3\2\0\0\0\0'):
            self.assertTrue(Raw(self.port, data).ends(), data[:20])
        self.unharmed()

    # ---- slow ----

    def test_a_connect_that_never_ends(self):
        """One byte now and then does not hold a place for ever."""
        silent, dripping = Raw(self.port), Raw(self.port)
        data = raw.connect('drip' * 30)
        for byte in data:
            try:
                dripping.send(bytes([byte]))
            except Closed:
                break
            if select.select([dripping.sock], [], [], 0.25)[0]:
                break
        else:
            self.fail('it took a CONNECT of 34 s')
        self.assertTrue(dripping.ends())
        self.assertTrue(silent.ends())
        self.unharmed()

    def test_one_byte_at_a_time_is_not_wrong(self):
        conn = Raw(self.port)
        data = raw.connect('bytewise') + raw.subscribe(1, 'bytewise/t') + raw.publish('bytewise/t', 'hello', 1, 2)
        for byte in data:
            conn.send(bytes([byte]))
        conn.expect(raw.CONNACK)
        conn.expect(raw.SUBACK)
        came = sorted(conn.read()[0] & 0xF0 for _ in range(2))
        self.assertEqual(came, [0x30, 0x40])
        conn.close()
        self.unharmed()

    def flood(self, qos, version):
        slow = [Raw(self.port, raw.connect(f'slow-{qos}-{version}-{n}', version) +
                    raw.subscribe(1, f'flood{qos}/#', qos=qos, level=version), rcvbuf=4096) for n in range(4)]
        for one in slow:
            one.expect(raw.CONNACK)
            one.expect(raw.SUBACK)
        good = Raw(self.port, raw.connect('good') + raw.subscribe(1, f'flood{qos}/#'))
        good.expect(raw.CONNACK)
        good.expect(raw.SUBACK)
        source = Raw(self.port, raw.connect('source'))
        source.expect(raw.CONNACK)
        body = b'x' * 100_000
        for number in range(1, 401):                   # 40 MB, at the pace of the one who reads
            source.send(raw.publish(f'flood{qos}/t', body, 1, number))
            first, packet = good.read()
            topic, packet_id, payload = raw.parse_publish(first, packet)
            self.assertEqual((topic, len(payload)), (f'flood{qos}/t', len(body)))
            good.send(raw.answer(raw.PUBACK, packet_id))
            source.expect(raw.PUBACK)
        grown = held_kb(self.srv) - self.held
        self.assertLess(grown, GROWTH_KB)
        for one in slow + [good, source]:
            one.close()
        self.unharmed()

    def test_subscribers_that_never_read(self):
        for qos in (0, 1):
            for version in (4, 5):
                self.flood(qos, version)

    def test_who_publishes_and_never_reads_the_answers(self):
        conn = Raw(self.port, raw.connect('deaf'), rcvbuf=4096)
        conn.sock.setblocking(False)
        chunk = b''.join(raw.publish('deaf/t', b'x', 1, n) for n in range(1, 2000)) + raw.PING * 2000
        sent, deadline = 0, time.monotonic() + 60
        while sent < 32 << 20 and time.monotonic() < deadline:
            if not select.select([], [conn.sock], [], 1)[1]:
                break                                  # nobody reads us any more
            try:
                sent += conn.sock.send(chunk)
            except OSError:
                break                                  # or it closed
        self.assertLess(held_kb(self.srv) - self.held, GROWTH_KB)
        conn.close()
        self.unharmed()

    # ---- inside WebSocket ----

    def websocket(self):
        return ws_client.WebSocket(self.srv.port, headers={'Sec-WebSocket-Protocol': 'mqtt'}, path='/mqtt')

    def answers(self, sock, count):
        """This many packets' worth of bytes, whatever the frames."""
        data, out = b'', []
        while len(out) < count:
            opcode, payload = sock.frame()
            if opcode == ws_client.PONG:
                self.pongs += 1
                continue
            self.assertEqual(opcode, ws_client.BINARY)
            data += payload
            while len(data) >= 2 and len(data) >= 2 + data[1]:     # short ones only
                out.append(data[:2 + data[1]])
                data = data[2 + data[1]:]
        return out

    def test_websocket_frames_mean_nothing(self):
        data = (raw.connect(self.name) + raw.subscribe(1, f'{self.name}/t') +
                raw.publish(f'{self.name}/t', 'hello', 1, 2) + raw.PING)
        for step in (1, 2, 7, len(data)):
            sock = self.websocket()
            for at in range(0, len(data), step):
                sock.send(ws_client.BINARY, data[at:at + step])
            kinds = sorted(one[0] & 0xF0 for one in self.answers(sock, 5))
            self.assertEqual(kinds, [0x20, 0x30, 0x40, 0x90, 0xD0], step)
            sock.close()
        sock = self.websocket()                          # one message in many fragments, a ping between
        parts = [data[at:at + 5] for at in range(0, len(data), 5)]
        for number, part in enumerate(parts):
            sock.send(ws_client.BINARY if number == 0 else 0, part, fin=number == len(parts) - 1)
            if number == 3:
                sock.send(ws_client.PING, b'?')
        self.assertEqual(len(self.answers(sock, 5)), 5)
        if self.pongs == 0:                              # it may come behind them
            self.assertEqual(sock.frame()[0], ws_client.PONG)
        sock.close()
        self.unharmed()

    def test_websocket_garbage(self):
        for number in range(60):
            sock = self.websocket()
            try:
                if number % 2:
                    sock.send(ws_client.BINARY, raw.connect(f'{self.name}-{number}'))
                for _ in range(5):
                    sock.send(self.rng.choice((0, 1, 2, 2, 2, 3, 8, 9, 10, 15)), self.rng.randbytes(self.rng.randrange(130)),
                              fin=self.rng.random() < 0.8, rsv=self.rng.choice((0, 0, 0, 1)))
            except OSError:
                pass
            sock.close()
        sock = self.websocket()
        sock.send(ws_client.BINARY, raw.connect(self.name))
        sock.send(ws_client.TEXT, b'hello')
        self.assertEqual(sock.ends(), 1003)
        self.unharmed()

    def test_websocket_that_never_reads(self):
        sock = ws_client.WebSocket(self.srv.port, headers={'Sec-WebSocket-Protocol': 'mqtt'}, path='/mqtt', rcvbuf=4096)
        sock.send(ws_client.BINARY, raw.connect(self.name) + raw.subscribe(1, 'wsflood/#'))
        self.answers(sock, 2)
        source = Raw(self.port, raw.connect('ws-source'))
        source.expect(raw.CONNACK)
        for number in range(1, 301):
            source.send(raw.publish('wsflood/t', b'x' * 100_000, 1, number))
            source.expect(raw.PUBACK)
        self.assertLess(held_kb(self.srv) - self.held, GROWTH_KB)
        sock.close()
        source.close()
        self.unharmed()

    def test_a_fast_publisher_through_a_websocket(self):
        """More at once than is taken at once: it waits, and loses nothing."""
        sock, total = self.websocket(), 10000
        sock.send(ws_client.BINARY, raw.connect(self.name, clean=True))
        self.answers(sock, 1)
        pad = ' ' * 300
        messages = [raw.publish(f'sensor/{self.name}/count', f'{{"value":{n}{pad}}}', 1, n + 1) for n in range(total)]
        frames = []
        for at in range(0, total, 50):
            data = b''.join(messages[at:at + 50])
            frames.append(b'\x82\xfe' + struct.pack('>H', len(data)) + b'\0\0\0\0' + data)   # masked with nothing

        def send():
            sock.sock.sendall(b''.join(frames))
        got = harness.run_threads([send, lambda: self.answers(sock, total)])[1]
        self.assertEqual([struct.unpack('>H', one[2:])[0] for one in got], list(range(1, total + 1)))
        sock.close()
        self.unharmed()


if __name__ == '__main__':
    harness.main()
