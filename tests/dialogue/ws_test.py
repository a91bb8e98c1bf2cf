"""/ws: the events browsers live on, and clients that misbehave."""
import socket
import struct

import harness
from ws_client import BINARY, CLOSE, PING, PONG, TEXT, Refused, WebSocket


class Events(harness.Shared):
    def socket(self, client=None, **more):
        headers = dict(more.pop('headers', {}))
        if client is not False:
            headers.setdefault('Authorization', (client or self.admin).headers.get('Authorization'))
        ws = WebSocket(self.srv.port, headers, **more)
        self.addCleanup(ws.close)
        return ws

    def welcome(self, ws):
        event = ws.event()
        self.assertEqual(event['type'], 'welcome')
        return event

    def test_welcome_comes_first(self):
        first, second = self.welcome(self.socket()), self.welcome(self.socket())
        self.assertEqual(first['server_id'], second['server_id'])

    def test_one_caller_does_not_take_every_place(self):
        token = self.admin.post('/api/tokens', {'name': 'many', 'role': 'customer'}).json['token']
        greedy = self.srv.client(token)
        self.addCleanup(greedy.close)
        for _ in range(20):
            self.welcome(self.socket(greedy))
        with self.assertRaises(Refused):
            self.socket(greedy)
        self.welcome(self.socket())

    def test_a_brew_is_seen_from_first_to_last(self):
        board = self.board()
        ws = self.socket()
        self.welcome(ws)
        command = self.admin.order(self.name)
        mine = lambda event: event['type'] == 'command' and event['command']['command_id'] == command
        self.assertEqual(ws.find(mine)['command']['state'], 'pending')
        claim_id = board.run(command)
        self.assertEqual(ws.find(mine)['command']['state'], 'running')
        columns = ['t_ms', 'temperature_c', 'pressure_bar', 'flow_ml_s', 'current_a', 'volume_ml']
        board.post(f'/api/commands/progress/{command}', {'claim_id': claim_id, 'step': 'brewing', 'columns': columns,
                                                         'samples': [[0, 90, 1, 0, 0, 0]]})
        event = ws.find(lambda event: event['type'] == 'progress' and event['command_id'] == command)
        self.assertEqual((event['machine_id'], event['step'], event['samples']),
                         (self.name, 'brewing', [[0, 90, 1, 0, 0, 0]]))
        board.update(command, 'complete', claim_id=claim_id)
        self.assertEqual(ws.find(mine)['command'], self.admin.show(command))

    def test_machines_alerts_and_audit_are_seen(self):
        board = self.board()
        ws = self.socket()
        self.welcome(ws)
        board.post(f'/api/machines/{self.name}/progress', {'step': 'idle', 'sensors': {'water_ml': 10}})
        ws.find(lambda event: event['type'] == 'machine' and event['machine']['machine_id'] == self.name)
        self.admin.post(f'/api/machines/{self.name}/hold', {'reason': 'seen'})
        ws.find(lambda event: event['type'] == 'machine' and event['machine']['machine_id'] == self.name and
                event['machine']['hold']['held'])
        self.admin.post(f'/api/machines/{self.name}/release', {})
        command = self.admin.order(self.name)
        board.update(command, 'rejected', meta={'error': 'magazine_empty'})
        other = self.socket()
        self.welcome(other)
        ws.find(lambda event: event['type'] == 'alert' and event['alert']['machine_id'] == self.name)
        self.admin.create(self.name, {**harness.ESPRESSO, 'temperature_c': 500})
        other.find(lambda event: event['type'] == 'audit')

    def test_a_guest_and_a_device_are_not_served(self):
        board = self.board()
        for client in (False, board):
            with self.assertRaises(Refused) as caught:
                self.socket(client)
            self.assertIn(caught.exception.status, (401, 403))

    def test_a_customer_sees_only_their_own(self):
        self.board()
        tokens = [self.admin.post('/api/tokens', {'name': 'ws', 'role': 'customer'}).json['token'] for _ in range(2)]
        mine, yours = [self.srv.client(token) for token in tokens]
        ws = self.socket(mine)
        self.welcome(ws)
        theirs = yours.order(self.name)
        command = mine.order(self.name)
        for _ in range(200):
            event = ws.event()
            self.assertNotIn(event['type'], ('audit', 'alert'))
            if event['type'] == 'command':
                self.assertNotEqual(event['command']['command_id'], theirs)
                if event['command']['command_id'] == command:
                    return
        self.fail('its own did not come')

    def test_another_origin_is_refused(self):
        for origin in ('https://elsewhere.example', 'null', f'http://127.0.0.1:{self.srv.port + 1}',
                       f'http://127.0.0.1:{self.srv.port}.elsewhere.example', 'http://localhost.elsewhere.example'):
            with self.subTest(origin), self.assertRaises(Refused) as caught:
                self.socket(origin=origin)
            self.assertEqual(caught.exception.status, 403)

    def test_handshakes_that_are_none(self):
        for headers in ({'Sec-WebSocket-Key': 'short'}, {'Sec-WebSocket-Key': None}, {'Sec-WebSocket-Version': '8'},
                        {'Upgrade': 'h2c'}, {'Upgrade': None}, {'Connection': 'close'}):
            with self.subTest(headers), self.assertRaises(Refused) as caught:
                self.socket(headers=headers)
            self.assertIn(caught.exception.status, (400, 426))

    def test_ping_is_answered(self):
        ws = self.socket()
        self.welcome(ws)
        ws.send(PING, b'hello')
        while True:
            opcode, payload = ws.frame()
            if opcode == PONG:
                break
        self.assertEqual(payload, b'hello')

    def test_close_is_answered(self):
        ws = self.socket()
        self.welcome(ws)
        ws.send(CLOSE, struct.pack('>H', 1000))
        self.assertIn(ws.ends(), (1000, None))

    def test_garbage_closes_that_socket_and_no_other(self):
        watcher = self.socket()
        self.welcome(watcher)
        self.board()
        sends = (
            lambda ws: ws.send(TEXT, b'{}', mask=False),             # unmasked
            lambda ws: ws.send(TEXT, b'{}', rsv=4),                  # reserved bits
            lambda ws: ws.send(3, b'x'),                             # reserved opcode
            lambda ws: ws.send(PING, b'x' * 126),                    # control frame too long
            lambda ws: ws.send(PING, b'x', fin=False),               # control frame in parts
            lambda ws: ws.send(0, b'x'),                             # continues nothing
            lambda ws: ws.send(TEXT, b'\xff\xfe'),                   # not UTF-8
            lambda ws: ws.send(CLOSE, b'x'),                         # half a close code
            lambda ws: ws.send(CLOSE, struct.pack('>H', 1005)),      # a code nobody may send
            lambda ws: ws.sock.sendall(bytes([0x81, 0xFF]) + struct.pack('>Q', 1 << 62) + b'a' * 100),
            lambda ws: ws.send(TEXT, b'x' * 1_000_000),              # larger than anything a browser says here
            lambda ws: ws.sock.sendall(b'GET / HTTP/1.1\r\n\r\n' * 10),
        )
        for index, send in enumerate(sends):
            with self.subTest(index):
                ws = self.socket()
                self.welcome(ws)
                try:
                    send(ws)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                self.assertNotEqual(ws.ends(), 1000)
        command = self.admin.order(self.name)
        watcher.find(lambda event: event['type'] == 'command' and event['command']['command_id'] == command)

    def test_binary_is_not_spoken_here(self):
        ws = self.socket()
        self.welcome(ws)
        ws.send(BINARY, b'\0\1')
        # Ignored or closed; not a crash.
        self.assertEqual(self.srv.client().get('/healthz').status, 200)

    def test_a_slow_client_is_let_go_and_the_others_are_served(self):
        slow = self.socket(rcvbuf=4096)
        fast = self.socket()
        self.welcome(fast)
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        columns = ['t_ms', 'temperature_c', 'pressure_bar', 'flow_ml_s', 'current_a', 'volume_ml']
        rounds = 400
        for number in range(rounds):
            samples = [[number * 200 + index, 91.123, 9.123, 1.234, 4.321, 12.345] for index in range(200)]
            board.post(f'/api/commands/progress/{command}', {'claim_id': claim_id, 'step': 'brewing',
                                                             'columns': columns, 'samples': samples})
            if number % 20 == 0:
                fast.find(lambda event: event['type'] == 'progress' and event['command_id'] == command and
                          event['samples'] and event['samples'][0][0] == number * 200, most=1000)
        board.update(command, 'complete', claim_id=claim_id)
        fast.find(lambda event: event['type'] == 'command' and event['command']['command_id'] == command and
                  event['command']['state'] == 'complete', most=1000)
        # The slow one may have lost its socket, but not silently an event: what it gets is without a gap.
        slow.sock.settimeout(5)
        try:
            while slow.event() is not None:
                pass
        except (EOFError, ConnectionResetError, socket.timeout):
            pass

    def test_a_session_that_ends_takes_its_socket_with_it(self):
        self.admin.post('/api/accounts', {'name': self.name, 'role': 'staff', 'password': 'a long enough password'})
        client = self.srv.client()
        reply = client.post('/api/session', {'name': self.name, 'password': 'a long enough password'})
        cookie = reply.cookies[0].split(';')[0]
        ws = self.socket(False, headers={'Cookie': cookie})
        self.welcome(ws)
        client.delete('/api/session', headers={'Cookie': cookie, 'X-CSRF-Token': reply.json['csrf_token']})
        ws.ends()

    def test_a_cookie_without_an_origin_is_no_browser(self):
        self.admin.post('/api/accounts', {'name': self.name, 'role': 'staff', 'password': 'a long enough password'})
        reply = self.srv.client().post('/api/session', {'name': self.name, 'password': 'a long enough password'})
        cookie = reply.cookies[0].split(';')[0]
        with self.assertRaises(Refused) as caught:
            self.socket(False, headers={'Cookie': cookie}, origin='https://elsewhere.example')
        self.assertEqual(caught.exception.status, 403)


class Restart(harness.Case):
    def test_another_server_has_another_id(self):
        server = self.server()
        headers = {'Authorization': f'Bearer {server.admin_token}'}
        ws = WebSocket(server.port, headers)
        first = ws.event()
        server.stop()
        self.assertIsNotNone(first)
        ws.ends()
        server = self.server()
        ws = WebSocket(server.port, headers)
        self.assertNotEqual(ws.event()['server_id'], first['server_id'])
        ws.close()


if __name__ == '__main__':
    harness.main()
