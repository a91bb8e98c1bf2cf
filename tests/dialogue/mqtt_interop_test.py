#!/usr/bin/env python3
"""The same dialogues with Debian's MQTT clients against this server and against Mosquitto: current clients must not
notice the difference.  Each dialogue returns what a person would write down of it; it must be what the standard says,
on both.  Where the two may differ, the dialogue says so."""
import os
import pathlib
import queue
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

import harness

PATIENCE_S = 30


class Mosquitto:
    name = 'mosquitto'

    def __init__(self, folder):
        self.folder = tempfile.mkdtemp(prefix='mosquitto-', dir=folder)
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        config = pathlib.Path(self.folder, 'mosquitto.conf')
        config.write_text(f'listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n'
                          f'set_tcp_nodelay true\nlog_dest file {self.folder}/log\n')
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o755)
            shutil.chown(self.folder, 'mosquitto')
        self.process = subprocess.Popen(['mosquitto', '-c', str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        harness.until(lambda: accepts(self.port), what='mosquitto')

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Ours:
    name = 'automat'

    def __init__(self, case):
        self.server = case.server('--open', '--mqtt', '127.0.0.1:0')
        self.port = int(self.server.ready['mqtt'].rsplit(':', 1)[1])

    def stop(self):
        pass  # ended with the test, its log read


def accepts(port):
    try:
        socket.create_connection(('127.0.0.1', port), 1).close()
        return True
    except OSError:
        return False


class Client:
    """paho, with what it hears in queues."""

    def __init__(self, broker, client_id='', version=paho.MQTTv311, clean=True, will=None, properties=None,
                 keep_alive=60):
        five = version == paho.MQTTv5
        self.paho = paho.Client(client_id, protocol=version, **({} if five else {'clean_session': clean}))
        self.connacks, self.messages, self.gone = queue.Queue(), queue.Queue(), queue.Queue()
        self.granted, self.acked = queue.Queue(), queue.Queue()
        if five:
            self.paho.on_connect = lambda c, u, flags, reason, p: self.connacks.put((flags, reason, p))
            self.paho.on_disconnect = lambda c, u, reason, p=None: self.gone.put(reason)
            self.paho.on_subscribe = lambda c, u, mid, reasons, p: self.granted.put([r.value for r in reasons])
            self.paho.on_publish = lambda c, u, mid: self.acked.put(mid)
        else:
            self.paho.on_connect = lambda c, u, flags, reason: self.connacks.put((flags, reason, None))
            self.paho.on_disconnect = lambda c, u, reason: self.gone.put(reason)
            self.paho.on_subscribe = lambda c, u, mid, granted: self.granted.put(list(granted))
            self.paho.on_publish = lambda c, u, mid: self.acked.put(mid)
        self.paho.on_message = lambda c, u, message: self.messages.put(message)
        self.paho.reconnect_delay_set(120, 120)  # a test says itself when to connect again
        if will:
            self.paho.will_set(*will)
        extra = {'clean_start': clean, 'properties': properties} if five else {}
        self.paho.connect('127.0.0.1', broker.port, keep_alive, **extra)
        self.paho.loop_start()
        self.connack = self.connacks.get(timeout=PATIENCE_S)

    def subscribe(self, *filters, options=None, properties=None):
        """What was granted."""
        if options:
            self.paho.subscribe([(name, options) for name in filters], properties=properties)
        else:
            self.paho.subscribe([(name, 1) for name in filters])
        return self.granted.get(timeout=PATIENCE_S)

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        info = self.paho.publish(topic, payload, qos, retain, properties=properties)
        info.wait_for_publish(PATIENCE_S)
        return info.is_published()

    def take(self, count):
        """The next messages as (topic, payload, qos, retain)."""
        out = []
        for _ in range(count):
            message = self.messages.get(timeout=PATIENCE_S)
            out.append((message.topic, message.payload.decode(), message.qos, bool(message.retain)))
        return out

    def silence(self, marker='marker/end'):
        """Nothing more has come: what one publishes to oneself comes after everything before it."""
        self.subscribe(marker)
        self.publish(marker, 'end')
        rest = []
        while True:
            message = self.messages.get(timeout=PATIENCE_S)
            if message.topic == marker:
                return rest
            rest.append((message.topic, message.payload.decode()))

    def drop(self):
        """The connection breaks, without goodbye."""
        self.paho._sock.shutdown(socket.SHUT_RDWR)
        self.paho.loop_stop()

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()


def tool(broker, name, *args, **more):
    return subprocess.Popen([name, '-h', '127.0.0.1', '-p', str(broker.port), *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def tool_ok(broker, name, *args):
    run = tool(broker, name, *args)
    out, errors = run.communicate(timeout=PATIENCE_S)
    return run.returncode, out, errors


# ---- dialogues: broker in, transcript out ----

def tools_and_retained(broker):
    out = [tool_ok(broker, 'mosquitto_pub', '-t', 'cafe/lamp', '-m', 'on', '-q', '1', '-r')[0]]
    out.append(tool_ok(broker, 'mosquitto_sub', '-t', 'cafe/+', '-C', '1', '-q', '1', '-F', '%t %p %q %r')[1])
    out.append(tool_ok(broker, 'mosquitto_sub', '-V', 'mqttv5', '-t', 'cafe/#', '-C', '1', '-F', '%t %p %q %r')[1])
    out.append(tool_ok(broker, 'mosquitto_pub', '-t', 'cafe/lamp', '-n', '-r', '-q', '1')[0])  # empty: forgotten
    client = Client(broker)
    client.subscribe('cafe/#')
    out.append(client.silence())
    client.close()
    return out


def wildcards(broker):
    cases = [('a/b', 'a/b'), ('a/+', 'a/b'), ('a/+', 'a/b/c'), ('a/#', 'a'), ('a/#', 'a/b/c'), ('+/b', 'a/b'),
             ('#', 'a/b'), ('+', '/a'), ('/+', '/a'), ('a/+/c', 'a//c'), ('#', '$x/y'), ('+/y', '$x/y'),
             ('a/b', 'A/b'), ('a/+/#', 'a/b'), ('+/+', '/a')]
    out = []
    for pattern, topic in cases:
        client = Client(broker)
        client.subscribe(pattern)
        if not topic.startswith('$'):
            client.publish(topic, 'x')
        out.append((pattern, topic, [one[0] for one in client.silence() if not one[0].startswith('$')]))
        client.close()
    return out


def bad_filters(broker):
    """A filter that breaks the rules ends the connection."""
    out = []
    for pattern in (b'a/#/b', b'a+', b'#a', b''):
        sock = raw_connect(broker, b'bad-filter')
        body = b'\0\1' + struct.pack('>H', len(pattern)) + pattern + b'\0'
        sock.sendall(b'\x82' + bytes([len(body)]) + body)
        out.append(ends(sock))
        sock.close()
    return out


def will(broker):
    watcher = Client(broker)
    watcher.subscribe('wills/#')
    mortal = Client(broker, 'mortal', will=('wills/mortal', 'gone', 1))
    mortal.drop()
    out = watcher.take(1)
    polite = Client(broker, 'polite', will=('wills/polite', 'gone', 1))
    polite.close()
    out.append(watcher.silence())
    watcher.close()
    return out


def persistent_session(broker):
    first = Client(broker, 'keeper', clean=False)
    out = [first.connack[0]['session present'], first.subscribe('mail/#')]
    first.close()
    sender = Client(broker)
    for number in range(5):
        sender.publish(f'mail/{number}', f'letter {number}', qos=1)
    sender.publish('mail/fleeting', 'not kept, or kept', qos=1)
    again = Client(broker, 'keeper', clean=False)
    out.append(again.connack[0]['session present'])
    out.append(again.take(6))
    again.close()
    fresh = Client(broker, 'keeper', clean=True)
    out.append(fresh.connack[0]['session present'])
    fresh.close()
    last = Client(broker, 'keeper', clean=False)
    out.append(last.connack[0]['session present'])
    sender.publish('mail/late', 'nobody subscribed')
    out.append(last.silence())
    last.close()
    sender.close()
    return out


def redelivery(broker):
    """A message that was not acknowledged comes again, with DUP, under the same packet id."""
    sock = raw_connect(broker, b'redelivery', clean=False)
    sock.sendall(b'\x82\x0b\0\1\0\x06parcel\1')
    out = [read_packet(sock)[0] & 0xF0]
    tool_ok(broker, 'mosquitto_pub', '-t', 'parcel', '-m', 'fragile', '-q', '1')
    first = read_packet(sock)
    sock.close()  # no PUBACK
    sock = raw_connect(broker, b'redelivery', clean=False)
    second = read_packet(sock)
    out += [first[0] >> 3 & 1, second[0] >> 3 & 1, first[1] == second[1]]
    packet_id = second[1][8:10]
    sock.sendall(b'\x40\x02' + packet_id)
    sock.sendall(b'\xc0\0')
    out.append(read_packet(sock)[0])
    sock.close()
    sock = raw_connect(broker, b'redelivery', clean=False)
    sock.sendall(b'\xc0\0')
    out.append(read_packet(sock)[0])  # a PINGRESP: acknowledged is acknowledged
    sock.close()
    return out


def quality_two(broker):
    client = Client(broker)
    client.subscribe('twice/never')
    for number in range(20):
        client.publish('twice/never', str(number), qos=2)
    heard = [payload for _, payload in client.silence()]
    # By hand: PUBLISH twice (the second with DUP, as after a lost PUBREC), then PUBREL.
    sock = raw_connect(broker, b'two')
    body = b'\0\x0btwice/never\0\7once'
    sock.sendall(b'\x34' + bytes([len(body)]) + body)
    rec = read_packet(sock)
    sock.sendall(b'\x3c' + bytes([len(body)]) + body)
    again = read_packet(sock)
    sock.sendall(b'\x62\2\0\7')
    comp = read_packet(sock)
    sock.close()
    out = [heard, rec[0], again[0], comp[0], comp[1], [payload for _, payload in client.silence()]]
    client.close()
    return out


def takeover(broker):
    old = Client(broker, 'the-one')
    new = Client(broker, 'the-one')
    out = [old.gone.get(timeout=PATIENCE_S) != 0]
    new.subscribe('still/here')
    out.append(new.publish('still/here', 'yes'))
    out.append(new.take(1))
    old.paho.loop_stop()
    new.close()
    return out


def five_takeover(broker):
    old = raw_connect(broker, b'the-five', level=5)
    new = raw_connect(broker, b'the-five', level=5)
    first, rest = read_packet(old)
    out = [first, rest[0], ends(old)]
    old.close()
    new.close()
    return out


def five_properties(broker):
    hearer = Client(broker, version=paho.MQTTv5)
    identified = Properties(PacketTypes.SUBSCRIBE)
    identified.SubscriptionIdentifier = 7
    out = [hearer.subscribe('five/#', options=SubscribeOptions(qos=1), properties=identified)]
    sent = Properties(PacketTypes.PUBLISH)
    sent.ContentType = 'text/plain'
    sent.ResponseTopic = 'five/answer'
    sent.CorrelationData = b'\x01\x02'
    sent.UserProperty = [('a', '1'), ('a', '2')]
    sent.PayloadFormatIndicator = 1
    sent.MessageExpiryInterval = 600
    sender = Client(broker, version=paho.MQTTv5)
    sender.publish('five/question', 'how', properties=sent)
    message = hearer.messages.get(timeout=PATIENCE_S)
    heard = message.properties
    out.append([heard.ContentType, heard.ResponseTopic, heard.CorrelationData, sorted(heard.UserProperty),
                heard.PayloadFormatIndicator, 0 < heard.MessageExpiryInterval <= 600,
                list(heard.SubscriptionIdentifier)])
    hearer.close()
    sender.close()
    return out


def five_subscription_options(broker):
    client = Client(broker, version=paho.MQTTv5)
    client.publish('options/kept', 'before', retain=True)
    client.subscribe('options/#', options=SubscribeOptions(qos=1, noLocal=True, retainHandling=2))
    client.publish('options/own', 'not for me')
    other = Client(broker, version=paho.MQTTv5)
    other.publish('options/others', 'for you')
    out = [client.silence()]
    as_published = Client(broker, version=paho.MQTTv5)
    as_published.subscribe('options/#', options=SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=2))
    other.publish('options/kept', 'now', retain=True)
    out.append(as_published.take(1))
    other.publish('options/kept', '', retain=True)
    for each in (client, other, as_published):
        each.close()
    return out


def five_expiry(broker):
    """A session with an expiry is there again; one without is not."""
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 300
    out = []
    for properties in (kept, None):
        first = Client(broker, 'expiring', version=paho.MQTTv5, clean=True, properties=properties)
        first.subscribe('expiring/#', options=SubscribeOptions(qos=1))
        first.close()
        second = Client(broker, 'expiring', version=paho.MQTTv5, clean=False, properties=properties)
        out.append(second.connack[0]['session present'])
        second.close()
    return out


def five_assigned_id(broker):
    client = Client(broker, '', version=paho.MQTTv5)
    assigned = client.connack[2].AssignedClientIdentifier
    client.close()
    return [len(assigned) > 0]


def large(broker):
    client = Client(broker)
    client.subscribe('large')
    payload = 'x' * 200_000
    client.publish('large', payload)
    heard = client.messages.get(timeout=PATIENCE_S).payload.decode()
    client.close()
    return [heard == payload]


def keep_alive(broker):
    sock = raw_connect(broker, b'silent', keep_alive=1)
    ended = ends(sock)
    sock.close()
    return [ended]


DIALOGUES = {
    tools_and_retained: [0, 'cafe/lamp on 1 1\n', 'cafe/lamp on 0 1\n', 0, []],
    wildcards: [('a/b', 'a/b', ['a/b']), ('a/+', 'a/b', ['a/b']), ('a/+', 'a/b/c', []), ('a/#', 'a', ['a']),
                ('a/#', 'a/b/c', ['a/b/c']), ('+/b', 'a/b', ['a/b']), ('#', 'a/b', ['a/b']), ('+', '/a', []),
                ('/+', '/a', ['/a']), ('a/+/c', 'a//c', ['a//c']), ('#', '$x/y', []), ('+/y', '$x/y', []),
                ('a/b', 'A/b', []), ('a/+/#', 'a/b', ['a/b']), ('+/+', '/a', ['/a'])],
    bad_filters: [True, True, True, True],
    will: [('wills/mortal', 'gone', 1, False), []],
    persistent_session: [0, [1], 1, [(f'mail/{n}', f'letter {n}', 1, False) for n in range(5)] +
                         [('mail/fleeting', 'not kept, or kept', 1, False)], 0, 0, []],
    redelivery: [0x90, 0, 1, True, 0xD0, 0xD0],
    quality_two: [[str(n) for n in range(20)], 0x50, 0x50, 0x70, b'\0\7', ['once']],
    takeover: [True, True, [('still/here', 'yes', 1, False)]],
    five_properties: [[1], ['text/plain', 'five/answer', b'\x01\x02', [('a', '1'), ('a', '2')], 1, True, [7]]],
    five_subscription_options: [[('options/others', 'for you')], [('options/kept', 'now', 1, True)]],
    five_expiry: [1, 0],
    five_assigned_id: [True],
    large: [True],
    keep_alive: [True],
}


# ---- raw bytes ----

def read_exactly(sock, count):
    out = b''
    while len(out) < count:
        part = sock.recv(count - len(out))
        if not part:
            raise EOFError
        out += part
    return out


def read_packet(sock):
    """(first byte, rest)"""
    first = read_exactly(sock, 1)[0]
    length = shift = 0
    while True:
        digit = read_exactly(sock, 1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return first, read_exactly(sock, length)


def connect_bytes(client_id, clean=True, keep_alive=0, level=4):
    body = b'\0\4MQTT' + bytes([level, 2 if clean else 0]) + struct.pack('>H', keep_alive)
    body += (b'\0' if level == 5 else b'') + struct.pack('>H', len(client_id)) + client_id
    return b'\x10' + bytes([len(body)]) + body


def raw_connect(broker, client_id, **more):
    sock = socket.create_connection(('127.0.0.1', broker.port), timeout=PATIENCE_S)
    sock.sendall(connect_bytes(client_id, **more))
    packet = read_packet(sock)
    if packet[0] != 0x20 or packet[1][1] != 0:
        raise AssertionError(f'refused: {packet}')
    return sock


def ends(sock):
    """The peer closes; what it says before that is passed over.  False: it still answers a ping."""
    try:
        while True:
            if not sock.recv(4096):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def verdict(broker, packets, connected=True):
    """'closed' or 'open' after these bytes (and a PINGREQ, which an open connection answers)."""
    sock = socket.create_connection(('127.0.0.1', broker.port), timeout=PATIENCE_S)
    try:
        if connected:
            sock.sendall(connect_bytes(b'verdict'))
            read_packet(sock)
        sock.sendall(packets + b'\xc0\0')
        while True:
            if read_packet(sock)[0] == 0xD0:
                return 'open'
    except (EOFError, ConnectionError):
        return 'closed'
    finally:
        sock.close()


# What is wrong, the bytes, and whether a CONNECT went before.
MALFORMED = [
    ('publish before connect', b'\x30\x03\0\1a', False),
    ('ping before connect', b'', False),
    ('not mqtt', b'GET / HTTP/1.1\r\n\r\n', False),
    ('wrong protocol name', b'\x10\x0e\0\4MQTX\4\2\0\0\0\2ab', False),
    ('reserved connect flag', b'\x10\x0e\0\4MQTT\4\3\0\0\0\2ab', False),
    ('second connect', connect_bytes(b'again'), True),
    ('type 0', b'\0\0', True),
    ('length of five digits', b'\x30\xff\xff\xff\xff\x01', True),
    ('publish QoS 3', b'\x36\x06\0\1a\0\1x', True),
    ('publish without topic', b'\x30\x02\0\0', True),
    ('publish with a wildcard', b'\x30\x03\0\1#', True),
    ('publish QoS 1 with packet id 0', b'\x32\x05\0\1a\0\0', True),
    ('publish topic longer than the packet', b'\x30\x03\0\x09a', True),
    ('publish topic not UTF-8', b'\x30\x03\0\1\xff', True),
    ('subscribe with wrong flags', b'\x80\x06\0\1\0\1a\0', True),
    ('subscribe without a filter', b'\x82\x02\0\1', True),
    ('subscribe QoS 3', b'\x82\x06\0\1\0\1a\3', True),
    ('unsubscribe without a filter', b'\xa2\x02\0\1', True),
    ('pubrel with wrong flags', b'\x60\x02\0\1', True),
    ('connack from a client', b'\x20\x02\0\0', True),
    ('suback from a client', b'\x90\x03\0\1\0', True),
    ('pingresp from a client', b'\xd0\0', True),
    ('puback of nothing', b'\x40\x02\0\5', True),
    ('pubrel of nothing', b'\x62\x02\0\5', True),
    ('auth from a 3.1.1 client', b'\xf0\0', True),
]

# Packets only a server may send; Mosquitto 2.0.11 passes over them, here they end the connection (MQTT-4.8.0-1).
STRICTER = {'suback from a client', 'pingresp from a client'}


class Interop(harness.Case):
    def brokers(self):
        theirs = Mosquitto(self.folder)
        self.addCleanup(theirs.stop)
        return [theirs, Ours(self)]

    def test_verdicts(self):
        theirs, ours = self.brokers()
        for what, packets, connected in MALFORMED:
            with self.subTest(what):
                expected = 'closed' if what in STRICTER else verdict(theirs, packets, connected)
                self.assertEqual(verdict(ours, packets, connected), expected)

    def test_told_of_a_takeover(self):
        """MQTT 5.0 lets the server say it (3.14.2.1); Mosquitto 2.0.11 does not."""
        self.assertEqual(five_takeover(Ours(self)), [0xE0, 0x8E, True])


def add(dialogue, expected):
    def test(self):
        for broker in self.brokers():
            with self.subTest(broker=broker.name):
                self.assertEqual(dialogue(broker), expected)
    test.__doc__ = dialogue.__doc__
    setattr(Interop, f'test_{dialogue.__name__}', test)


for each, wanted in DIALOGUES.items():
    add(each, wanted)

if __name__ == '__main__':
    unittest.main(verbosity=2)
