"""A small WebSocket client (RFC 6455) for the tests: strict about what it gets, free in what it sends."""
import base64
import hashlib
import os
import socket
import struct
import time

from harness import SPEC, load_json

GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
EVENT_S = 45
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    def __init__(self, status, head):
        super().__init__(f'{status}: {head[:400]!r}')
        self.status = status


class WebSocket:
    def __init__(self, port, headers=None, path='/ws', timeout=60, origin='same', rcvbuf=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        self.sock.connect(('127.0.0.1', port))
        key = base64.b64encode(os.urandom(16)).decode()
        head = {'Host': f'127.0.0.1:{port}', 'Upgrade': 'websocket', 'Connection': 'Upgrade',
                'Sec-WebSocket-Key': key, 'Sec-WebSocket-Version': '13'}
        if origin:
            head['Origin'] = f'http://127.0.0.1:{port}' if origin == 'same' else origin
        head.update(headers or {})
        lines = [f'GET {path} HTTP/1.1'] + [f'{name}: {value}' for name, value in head.items() if value is not None]
        self.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
        self.data = b''
        while b'\r\n\r\n' not in self.data:
            part = self.sock.recv(4096)
            if not part:
                self.sock.close()
                raise Refused(None, self.data)
            self.data += part
        answer, self.data = self.data.split(b'\r\n\r\n', 1)
        status = int(answer.split()[1])
        if status != 101:
            self.sock.close()
            raise Refused(status, answer)
        fields = {name.strip().lower(): value.strip() for name, value in
                  (line.split(':', 1) for line in answer.decode().split('\r\n')[1:])}
        digest = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if fields.get('sec-websocket-accept') != digest or fields.get('upgrade', '').lower() != 'websocket':
            raise Refused(status, answer)
        self.seq = None

    def _take(self, count):
        while len(self.data) < count:
            part = self.sock.recv(65536)
            if not part:
                raise EOFError('closed')
            self.data += part
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def frame(self):
        """The next frame: (opcode, payload).  A server's frames are unmasked and, here, whole."""
        first, second = self._take(2)
        if not first & 0x80 or first & 0x70 or second & 0x80:
            raise AssertionError(f'a frame a server must not send: {first:02x} {second:02x}')
        size = second & 0x7F
        if size == 126:
            size = struct.unpack('>H', self._take(2))[0]
        elif size == 127:
            size = struct.unpack('>Q', self._take(8))[0]
        return first & 0x0F, self._take(size)

    def event(self):
        """The next event, held against the description; None when the server closes."""
        deadline = time.monotonic() + EVENT_S      # pings alone do not count as a sign of life
        while True:
            if time.monotonic() > deadline:
                raise AssertionError(f'no event within {EVENT_S} s')
            opcode, payload = self.frame()
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                return None
            elif opcode == TEXT:
                value = load_json(payload.decode('utf-8'))
                SPEC.check_value('Event', value)
                if self.seq is not None and value['seq'] != self.seq + 1:
                    raise AssertionError(f'after {self.seq} came {value["seq"]}')
                self.seq = value['seq']
                return value

    def find(self, wanted, most=500):
        """The first event for which `wanted` is true."""
        for _ in range(most):
            event = self.event()
            if event is None:
                raise AssertionError('closed before it came')
            if wanted(event):
                return event
        raise AssertionError(f'not among {most} events')

    def send(self, opcode, payload=b'', fin=True, mask=True, rsv=0):
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        size = len(payload)
        bit = 0x80 if mask else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + struct.pack('>H', size)
        else:
            head += bytes([bit | 127]) + struct.pack('>Q', size)
        if mask:
            key = os.urandom(4)
            head += key
            payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        self.sock.sendall(head + payload)

    def ends(self):
        """Read to the end, with a goodbye to a goodbye: the code of the close frame, None when there was none."""
        code = None
        try:
            while True:
                opcode, payload = self.frame()
                if opcode == CLOSE:
                    code = struct.unpack('>H', payload[:2])[0] if len(payload) >= 2 else None
                    self.send(CLOSE, payload[:2])
        except (EOFError, ConnectionResetError, BrokenPipeError):
            return code

    def close(self):
        self.sock.close()
