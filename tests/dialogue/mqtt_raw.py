"""MQTT by hand, for what a good client does not send: packets as bytes, a plain socket, and what a process holds."""
import os
import socket
import struct
import threading

import harness
from mqtt_client import PATIENCE_S, Mqtt, port_of

CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, PINGRESP = 0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xD0
PING = b'\xc0\0'


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack('>H', len(value)) + value


def length(number):
    out = b''
    while True:
        number, digit = number >> 7, number & 127
        out += bytes([digit | (128 if number else 0)])
        if not number:
            return out


def packet(first, *parts):
    body = b''.join(parts)
    return bytes([first]) + length(len(body)) + body


def props(level, content=b''):
    return length(len(content)) + content if level == 5 else b''


def connect(client_id, level=4, clean=True, keep=0, user=None, token=None, will=None, properties=b''):
    """`will`: (topic, payload, qos, retain)"""
    flags = 2 if clean else 0
    rest = text(client_id)
    if will:
        flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
        rest += props(level) + text(will[0]) + text(will[1])
    if user is not None:
        flags |= 128
        rest += text(user)
    if token is not None:
        flags |= 64
        rest += text(token)
    return packet(0x10, text('MQTT'), bytes([level, flags]), struct.pack('>H', keep), props(level, properties), rest)


def publish(topic, payload=b'', qos=0, number=0, dup=False, retain=False, level=4, properties=b''):
    payload = payload.encode() if isinstance(payload, str) else payload
    return packet(0x30 | (8 if dup else 0) | qos << 1 | retain, text(topic),
                  struct.pack('>H', number) if qos else b'', props(level, properties), payload)


def answer(first, number, level=4):
    return packet(first, struct.pack('>H', number), b'\0' + props(level) if level == 5 else b'')


def subscribe(number, *filters, qos=1, level=4):
    return packet(0x82, struct.pack('>H', number), props(level), *(text(one) + bytes([qos]) for one in filters))


def unsubscribe(number, *filters, level=4):
    return packet(0xA2, struct.pack('>H', number), props(level), *(text(one) for one in filters))


class Closed(Exception):
    pass


class Raw:
    """A connection; with `first`, what is sent at once."""

    def __init__(self, port, first=b'', timeout=PATIENCE_S, rcvbuf=None):
        self.sock = socket.socket()
        self.sock.settimeout(timeout)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            self.sock.connect(('127.0.0.1', port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        if first:
            self.send(first)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (ConnectionError, BrokenPipeError) as fault:
            raise Closed from fault

    def _fill(self):
        try:
            part = self.sock.recv(65536)
        except ConnectionError as fault:
            raise Closed from fault
        if not part:
            raise Closed
        self.data += part

    def read(self):
        """The next packet: (first byte, body)."""
        while True:
            size = shift = 0
            for at in range(1, min(len(self.data), 5)):
                size |= (self.data[at] & 127) << shift
                shift += 7
                if self.data[at] < 128:
                    if len(self.data) < at + 1 + size:
                        break
                    first, body = self.data[0], bytes(self.data[at + 1:at + 1 + size])
                    del self.data[:at + 1 + size]
                    return first, body
            self._fill()

    def expect(self, first):
        got, body = self.read()
        if got & 0xF0 != first & 0xF0:
            raise AssertionError(f'{got:02x} {body.hex()} in place of {first:02x}')
        return body

    def ping(self):
        """Everything before it is done; what came meanwhile."""
        self.send(PING)
        came = []
        while True:
            one = self.read()
            if one[0] == PINGRESP:
                return came
            came.append(one)

    def ends(self):
        """It is closed, whatever it says before."""
        try:
            while True:
                self._fill()
        except Closed:
            return True
        except TimeoutError:
            return False
        finally:
            self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.sock.close()


def parse_publish(first, body, level=4):
    """(topic, packet id or None, payload)"""
    size = struct.unpack('>H', body[:2])[0]
    topic, rest, number = body[2:2 + size].decode(), body[2 + size:], None
    if first & 6:
        number, rest = struct.unpack('>H', rest[:2])[0], rest[2:]
    if level == 5:
        rest = rest[1 + rest[0]:]     # short properties only
    return topic, number, rest


def metric(server, line):
    """The value of this line of /metrics, or None."""
    client = server.admin()
    try:
        rows = client.get('/metrics').body.decode().splitlines()
    finally:
        client.close()
    return next((float(row.rsplit(' ', 1)[1]) for row in rows if row.startswith(line + ' ')), None)


def held_kb(server):
    """Resident memory."""
    with open(f'/proc/{server.process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def lean_env():
    """Sanitizers keep freed memory back, which would hide what the program itself holds."""
    return {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1'}


class Healthy:
    """A client that does nothing wrong: it publishes to itself, and is not to notice what others do."""

    def __init__(self, server, name='healthy', **more):
        self.client = Mqtt(port_of(server), client_id=name, **more)
        self.topic = f'{name}/own'
        self.client.subscribe(self.topic)
        self.count = 0
        self.fault = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.is_set():
                self.count += 1
                self.client.publish(self.topic, str(self.count))
                came = self.client.take().json
                if came != self.count:
                    raise AssertionError(f'{came} came in place of {self.count}')
        except BaseException as fault:   # raised by check
            self.fault = fault

    def check(self):
        """It still does, as ever."""
        before = self.count
        harness.until(lambda: self.count > before + 2 or self.fault, what='the healthy client')
        if self.fault:
            raise self.fault
        if not self.client.ends.empty():
            raise AssertionError('the healthy client was disconnected')

    def close(self):
        self.over.set()
        self.thread.join(PATIENCE_S)
        self.client.drop()
        if self.fault:
            raise self.fault
