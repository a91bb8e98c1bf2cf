"""Bytes on the port: what is no request, what is slow, what is many.  Whole requests that proxies and servers read
differently are in nginx_verdicts.py."""
import os
import random
import re
import resource
import select
import socket

import harness
from harness import read_status, run_threads, until
from openapi_check import SPEC_PATH


class Shape(harness.Shared):
    def alive(self):
        self.assertEqual(self.srv.client().get('/healthz').status, 200)

    def talk(self, data, end=True):
        """Send, half-close, and read all that comes."""
        sock = self.srv.raw(timeout=60)
        answer = b''
        try:
            sock.sendall(data)
            if end:
                sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        sock.close()
        return answer

    def test_garbage(self):
        seed = int(os.environ.get('AUTOMAT_SEED', '1'))
        rng = random.Random(seed)
        for size in (1, 2, 7, 60, 300, 5_000, 100_000):
            for _ in range(5):
                data = rng.randbytes(size)
                answer = self.talk(data)
                self.assertFalse(answer.startswith(b'HTTP/1.1 2'), (seed, data[:40]))
        for data in (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + rng.randbytes(500),   # TLS to a plain port
                     b'SSH-2.0-OpenSSH_9.2\r\n', b'\r\n' * 10_000, b'\0' * 10_000, b'GET' * 10_000,
                     b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\x10\x10\0\4MQTT\4\2\0\x3c\0\4test',
                     b'*1\r\n$4\r\nPING\r\n'):
            answer = self.talk(data)
            self.assertFalse(answer.startswith(b'HTTP/1.1 2'), data[:40])
        self.alive()

    def test_good_requests_with_one_byte_changed(self):
        rng = random.Random(2)
        good = (b'GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n'
                b'Content-Length: 0\r\n\r\n')
        for _ in range(300):
            data = bytearray(good)
            data[rng.randrange(len(data))] = rng.randrange(256)
            answer = self.talk(bytes(data))
            if answer:
                self.assertRegex(answer, rb'^HTTP/1\.[01] \d{3} ')
        self.alive()

    def test_every_prefix_of_a_request(self):
        body = b'{"machine_id":"nobody","recipe":{}}'
        good = (b'POST /api/commands/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                b'Content-Length: %d\r\n\r\n' % len(body)) + body
        for size in range(0, len(good), 3):
            answer = self.talk(good[:size])
            self.assertFalse(answer.startswith(b'HTTP/1.1 2'), size)
        self.alive()

    def test_a_request_in_single_bytes(self):
        sock = self.srv.raw()
        for byte in b'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n':
            sock.sendall(bytes([byte]))
        self.assertEqual(read_status(sock), 200)
        sock.close()

    def test_pipelined_requests_are_answered_in_order(self):
        board = self.board()
        token = board.headers['Authorization'].encode()
        paths = [b'/healthz', b'/api/commands/check/' + self.name.encode(), b'/api/nothing', b'/healthz'] * 10
        data = b''.join(b'GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n' % (path, token) for path in paths)
        data += b'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
        answer = self.talk(data, end=False)
        statuses = [int(one) for one in re.findall(rb'HTTP/1\.1 (\d{3}) ', answer)]
        self.assertEqual(statuses, [200, 204, 404, 200] * 10 + [200])

    def test_head_is_get_without_a_body(self):
        for path in ('/healthz', '/api/openapi.yaml', '/api/session', '/api/nothing'):
            get, head = self.admin.get(path), self.admin.call('HEAD', path)
            self.assertEqual((head.status, head.body), (get.status, b''))
            self.assertEqual(head.headers.get('content-type'), get.headers.get('content-type'))
            self.assertEqual(head.headers.get('content-length'), get.headers.get('content-length'))

    def test_the_description_is_served_with_an_etag(self):
        reply = self.admin.get('/api/openapi.yaml')
        self.assertEqual(reply.body, SPEC_PATH.read_bytes())
        again = self.admin.get('/api/openapi.yaml', headers={'If-None-Match': reply.headers['etag']})
        self.assertEqual((again.status, again.body), (304, b''))

    def test_options_and_other_origins(self):
        reply = self.admin.call('OPTIONS', '/api/commands/create', check=False, headers={
            'Origin': 'https://elsewhere.example', 'Access-Control-Request-Method': 'POST'})
        self.assertNotIn('access-control-allow-origin', reply.headers)
        self.assertIn(reply.status, (200, 204, 403, 404, 405))

    def test_answers_carry_the_headers_that_protect_a_page(self):
        for path in ('/healthz', '/api/session', '/'):
            reply = self.admin.call('GET', path, check=False)
            self.assertEqual(reply.headers.get('x-content-type-options'), 'nosniff', path)

    def test_limits_of_a_header(self):
        lead = b'GET /healthz HTTP/1.1\r\nHost: x\r\n'
        for data, statuses in ((b'GET /' + b'a' * 100_000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', (414, 431)),
                               (lead + b'X-A: ' + b'a' * 100_000 + b'\r\n\r\n', (431,)),
                               (lead + b''.join(b'X-%d: 1\r\n' % n for n in range(2_000)) + b'\r\n', (431,)),
                               (lead + b'X' * 100_000 + b': 1\r\n\r\n', (431, 400))):
            answer = self.talk(data)
            if answer:                                   # a reset may overtake the answer
                self.assertIn(int(answer.split()[1]), statuses, data[:30])
        self.alive()

    def test_chunked_bodies(self):
        board = self.board()
        body = (b'{"machine_id":"%s","recipe":{"volume_ml":40,"temperature_c":92,"pre_infusion_ms":300,'
                b'"capsule_type":"original","capsule_variant":"espresso"}}' % self.name.encode())
        head = (b'POST /api/commands/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: '
                b'application/json\r\nTransfer-Encoding: chunked\r\n\r\n' % self.srv.admin_token.encode())
        chunks = b''.join(b'%x\r\n%s\r\n' % (len(body[at:at + 7]), body[at:at + 7]) for at in range(0, len(body), 7))
        sock = self.srv.raw(head + chunks + b'0\r\n\r\n')
        self.assertEqual(read_status(sock), 201)
        sock.close()
        for bad in (b'5\r\nabc', b'g\r\nabc\r\n0\r\n\r\n', b'-1\r\n\r\n', b'fffffffffffffffff\r\n',
                    b'5 \r\nabcde\r\n0\r\n\r\n',
                    b'5\nabcde\n0\n\n', b'0x5\r\nabcde\r\n0\r\n\r\n', b'5\r\nabcdefg\r\n0\r\n\r\n'):
            answer = self.talk(head + bad)
            self.assertFalse(answer.startswith(b'HTTP/1.1 2'), bad)
        self.assertEqual(board.check().status, 200)
        self.assertEqual(len(self.admin.pages(f'/api/commands?machine_id={self.name}')), 1)

    def test_100_continue(self):
        sock = self.srv.raw(b'POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                            b'Content-Length: 2\r\nExpect: 100-continue\r\n\r\n')
        status = read_status(sock)
        if status == 100:
            sock.sendall(b'{}')
            status = read_status(sock)
        self.assertIn(status, (400, 417))
        sock.close()

    def test_http_1_0_closes(self):
        answer = self.talk(b'GET /healthz HTTP/1.0\r\n\r\n', end=False)
        self.assertIn(int(answer.split()[1]), (200, 400, 505))

    def test_a_client_that_never_reads(self):
        socks = []
        for _ in range(20):
            sock = self.srv.raw()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.setblocking(False)
            request = b'GET /api/openapi.yaml HTTP/1.1\r\nHost: x\r\n\r\n' * 500
            try:
                while request:
                    request = request[sock.send(request):]
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                pass
            socks.append(sock)
        self.alive()
        for sock in socks:
            sock.close()
        self.alive()


class Slow(harness.Case):
    """The deadlines are the server's own and absolute: a byte now and then does not move them."""

    def trickle(self, server, start, byte):
        """How many bytes, five a second, it takes before something comes back; None: it never did."""
        sock = server.raw(start)
        self.addCleanup(sock.close)
        for sent in range(600):
            if select.select([sock], [], [], 0.2)[0]:
                break
            try:
                sock.sendall(byte)
            except (ConnectionResetError, BrokenPipeError):
                break
        else:
            return None
        self.assertIn(read_status(sock), (408, None))
        return sent

    def test_a_trickled_header_and_a_trickled_body_are_closed(self):
        server = self.server()
        starts = ((b'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ', b'a'),
                  (b'GE', b'T'),
                  (b'POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                   b'Content-Length: 5000\r\n\r\n', b' '),
                  (b'POST /api/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                   b'Transfer-Encoding: chunked\r\n\r\n100\r\n', b' '))
        sent = run_threads([lambda pair=pair: self.trickle(server, *pair) for pair in starts], seconds=300)
        self.assertNotIn(None, sent)


class Many(harness.Case):
    PARKED = 1_000

    def test_a_thousand_parked_polls_wake_each_for_its_own(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 2_200:
            self.skipTest(f'only {hard} descriptors')
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_200), hard))
        server = self.server('--open')
        admin = server.client()
        socks = []
        for number in range(self.PARKED):
            sock = server.raw((f'GET /api/commands/check/p-{number}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}'
                               '\r\n\r\n').encode())
            self.addCleanup(sock.close)
            socks.append(sock)
        until(lambda: self.parked(admin) == self.PARKED, what='a thousand parked polls')
        for number in range(0, self.PARKED, 100):
            command = admin.order(f'p-{number}')
            answer = b''
            while b'"command_id"' not in answer:
                part = socks[number].recv(65536)
                self.assertTrue(part)
                answer += part
            self.assertIn(b'"command_id":%d' % command, answer.replace(b' ', b''))
        server.terminate()
        self.assertEqual(server.wait()[0], 0)
        statuses = {read_status(sock) for number, sock in enumerate(socks) if number % 100}
        self.assertLessEqual(statuses, {204, 503})

    @staticmethod
    def parked(client):
        for line in client.get('/metrics').body.decode().splitlines():
            if 'parked' in line and not line.startswith('#'):
                return int(float(line.split()[-1]))
        raise AssertionError('the metrics do not say how many polls are parked')

    def test_more_connections_than_it_takes(self):
        server = self.server('--connections-max', '50')
        socks = []
        for _ in range(80):
            try:
                socks.append(server.raw(timeout=30))
            except OSError:
                break
        statuses = []
        for sock in socks:
            try:
                sock.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
                statuses.append(read_status(sock))
            except OSError:
                statuses.append(None)
        self.assertEqual(statuses.count(200), 50)
        self.assertLessEqual(set(statuses), {200, 503, None})
        for sock in socks:
            sock.close()
        until(lambda: self.answers(server), what='room again')

    def test_more_parked_polls_than_it_takes(self):
        server = self.server('--parked-max', '10', '--open')
        socks = [server.raw((f'GET /api/commands/check/p-{n}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}'
                             '\r\n\r\n').encode()) for n in range(15)]
        ready = []
        until(lambda: len(select.select(socks, [], [], 0)[0]) >= 5, what='the refusals')
        for sock in select.select(socks, [], [], 0)[0]:
            ready.append(read_status(sock))
        self.assertEqual(set(ready), {503})
        for sock in socks:
            sock.close()

    @staticmethod
    def answers(server):
        try:
            return server.client(timeout=5).get('/healthz').status == 200
        except OSError:
            return False


if __name__ == '__main__':
    harness.main()
