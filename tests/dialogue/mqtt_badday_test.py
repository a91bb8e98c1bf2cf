#!/usr/bin/env python3
"""Bad days over MQTT: readings that cannot be, two devices of one name, topics of others, a full disk, a column store
that is not there or talks nonsense, and kills at every stage of a command."""
import base64
import json
import re
import resource
import secrets
import signal
import socket
import struct
import threading

import paho.mqtt.client as paho

import harness
import mqtt_crash
import mqtt_raw as raw
from harness import new_id, until
from mqtt_client import Mqtt, MqttBoard, port_of
from mqtt_raw import Raw, metric

ARGS = ('--mqtt', '127.0.0.1:0', '--climate', 'off')


class Readings(harness.Shared):
    ARGS = ARGS

    # What is wrong with it: (type, payload, code)
    BAD = [
        ('temperature', 'NaN', 'bad_number'),
        ('temperature', 'nan', 'bad_number'),
        ('temperature', 'Infinity', 'bad_number'),
        ('temperature', '-inf', 'bad_number'),
        ('temperature', '1e400', 'bad_number'),
        ('temperature', '', 'bad_number'),
        ('temperature', '0x10', 'bad_number'),
        ('temperature', '21,5', 'bad_number'),
        ('temperature', '21.5 C', 'bad_number'),
        ('temperature', '--5', 'bad_number'),
        ('temperature', '5' * 400, None),
        ('temperature', b'\xff\xfe', 'bad_number'),
        ('temperature', b'\x00', 'bad_number'),
        ('temperature', '1e308', 'out_of_range'),
        ('temperature', '-273.2', 'out_of_range'),
        ('temperature', '85.01', 'out_of_range'),
        ('humidity', '100.1', 'out_of_range'),
        ('humidity', '-0.1', 'out_of_range'),
        ('whatever', '1e19', 'out_of_range'),
        ('temperature', '{"value":NaN}', None),
        ('temperature', '{"value":null}', None),
        ('temperature', '{"value":"21"}', None),
        ('temperature', '{"value":21', 'bad_json'),
        ('temperature', '{}', None),
        ('temperature', '[21]', None),
        ('temperature', '{"value":21,"value":22}', None),
        ('temperature', '{"value":21,"at":1e30}', None),
        ('temperature', '{"value":21,"at":"yesterday"}', None),
        ('temperature', '{"value":21,"at":"2999-01-01T00:00:00Z"}', 'from_the_future'),
        ('temperature', '{"value":21,"at":"2001-01-01T00:00:00Z"}', 'too_old'),
        ('temperature', '{"value":21,"at":-1}', None),
        ('temperature', '{"value":21,"at":"2026-02-30T00:00:00Z"}', None),
        ('temperature', '{"value":21,"provenance":"guessed"}', None),
        ('temperature', '{"value":21,"provenanse":"simulated"}', None),
        ('temperature', '{"value":' + '[' * 5000 + ']' * 5000 + '}', None),
        ('temperature', '{"value":21,"unit":"F"}', None),
        ('readings', '{"temperature":21,"humidity":400}', 'out_of_range'),
        ('readings', '{}', None),
        ('readings', '21', None),
        ('readings', json.dumps({f't{n}': n for n in range(17)}), None),
        ('readings', json.dumps({f't{n}': n for n in range(10000)}), None),
        ('Temperature', '21', 'bad_type'),
        ('tempe rature', '21', 'bad_type'),
        ('t' * 33, '21', 'bad_type'),
        ('audio', '', 'bad_audio'),
        ('audio', 'AAA', 'bad_audio'),
        ('audio', 'A' * 200_000, 'bad_audio'),
        ('audio', '!' * 85336, 'bad_audio'),
        ('audio', base64.b64encode(bytes(64002)), 'bad_audio'),
        ('audio', base64.b64encode(bytes(63999)), 'bad_audio'),
        ('audio', json.dumps({'pcm': base64.b64encode(bytes(64000)).decode(), 'rate': 0}), 'bad_audio'),
        ('audio', json.dumps({'pcm': base64.b64encode(bytes(64000)).decode(), 'rate': 1e9}), 'bad_audio'),
        ('audio', '{"pcm":1}', None),
    ]

    def test_each_is_refused_counted_and_shown_and_the_connection_stays(self):
        token = self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'}).json['token']
        device = Raw(port_of(self.srv), raw.connect('dev', 5, user=self.name, token=token))
        device.expect(raw.CONNACK)

        def counted():
            return {row['code']: row['count'] for row in self.admin.get('/api/telemetry/refusals').json['items']
                    if row['machine_id'] == self.name}
        for number, (type_, payload, code) in enumerate(self.BAD, 1):
            with self.subTest(f'{type_} {payload[:60]}'):
                before = counted()
                device.send(raw.publish(f'sensor/{self.name}/{type_}', payload, 1, number, level=5))
                body = device.expect(raw.PUBACK)
                self.assertEqual(body[:2], struct.pack('>H', number))
                self.assertEqual(body[2], 0x99, 'it is told: payload format invalid')
                after = counted()
                self.assertEqual(sum(after.values()), sum(before.values()) + 1)
                if code:
                    self.assertEqual(after[code], before.get(code, 0) + 1)
        self.assertEqual(self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items'], [])
        device.send(raw.publish(f'sensor/{self.name}/temperature', '21', 1, 999, level=5))
        self.assertLess(device.expect(raw.PUBACK)[2:3] or b'\0', b'\x80')
        items = self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items']
        self.assertEqual([item['value'] for item in items], [21])
        self.assertTrue(any(alert['code'] == 'bad_readings' and alert['machine_id'] == self.name
                            for alert in self.admin.get('/api/alerts').json['items']))
        device.close()

    def test_the_edges_are_right(self):
        token = self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'}).json['token']
        device = Raw(port_of(self.srv), raw.connect('dev', 5, user=self.name, token=token))
        device.expect(raw.CONNACK)
        good = [('temperature', '-40'), ('temperature', '85'), ('temperature', '8.5e1'), ('humidity', '0'), ('humidity', '100'),
                ('x', '-1e18'), ('x', '1E18'), ('temperature', '{"value":-0.0}'), ('temperature', ' 21 '), ('t' * 32, '1'),
                ('audio', base64.b64encode(bytes(64000)))]
        for number, (type_, payload) in enumerate(good, 1):
            with self.subTest(f'{type_} {payload[:60]}'):
                device.send(raw.publish(f'sensor/{self.name}/{type_}', payload, 1, number, level=5))
                body = device.expect(raw.PUBACK)
                self.assertLess(body[2] if len(body) > 2 else 0, 0x80)
        silence = {item['type']: item['value'] for item in
                   self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items']}
        self.assertEqual(silence['sound_volume'], 0)
        self.assertAlmostEqual(silence['sound_dbfs'], -96.3, places=1)    # less than one step of 16 bits nobody can tell
        device.close()

    def test_no_more_series_than_a_machine_may_have(self):
        token = self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'}).json['token']
        device = Mqtt(port_of(self.srv), self.name, token)
        self.addCleanup(device.drop)
        for number in range(70):
            device.publish(f'sensor/{self.name}/t{number}', '1')
        rows = {row['code']: row['count'] for row in self.admin.get('/api/telemetry/refusals').json['items']
                if row['machine_id'] == self.name}
        self.assertEqual(rows, {'too_many_series': 6})
        self.assertEqual(len(self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items']), 64)


class Named(harness.Shared):
    ARGS = ARGS

    def machine(self, suffix='', kind='window'):
        name = self.name + suffix
        return name, self.admin.post('/api/machines', {'machine_id': name, 'kind': kind}).json['token']

    def raw(self, client_id, user=None, token=None, **more):
        conn = Raw(port_of(self.srv), raw.connect(client_id, user=user, token=token, **more))
        self.addCleanup(conn.close)
        return conn


class Names(Named):
    def test_the_same_board_twice(self):
        """The newer one has the session; they may fight for ever, and nothing is lost or stored twice."""
        name, token = self.machine()
        last = None
        for number in range(30):
            conn = self.raw('same', name, token, clean=False)
            self.assertEqual(conn.expect(raw.CONNACK), bytes([number > 0, 0]))
            conn.send(raw.publish(f'sensor/{name}/count', str(number), 1, 7))
            if last:
                self.assertTrue(last.ends())
            conn.expect(raw.PUBACK)
            last = conn
        rows = self.admin.get(f'/api/telemetry/series?machine_id={name}&type=count&resolution=raw').json['rows']
        self.assertEqual(sum(row[4] for row in rows), 30)
        self.assertTrue(self.admin.machine(name)['mqtt'])

    def test_one_client_id_two_tokens(self):
        """Another board that calls itself the same does not get its session, nor end it."""
        (first, token), (second, other) = self.machine('-a'), self.machine('-b')
        one = self.raw('twin', first, token, clean=False)
        self.assertEqual(one.expect(raw.CONNACK), b'\0\0')
        one.send(raw.subscribe(1, f'machines/{first}/#'))
        one.expect(raw.SUBACK)
        two = self.raw('twin', second, other, clean=False)
        self.assertEqual(two.expect(raw.CONNACK), b'\0\0', 'it has a session of its own')
        self.assertEqual(one.ping(), [])
        hello = {'boot_id': new_id(), 'journal_id': new_id(), 'firmware': 'x', 'capabilities': {'kind': 'window'},
                 'journal': []}
        one.send(raw.publish(f'machines/{first}/hello', json.dumps(hello), 1, 2))
        until(lambda: [p for p in one.ping() if p[0] & 0xF0 == 0x30], what='the answer to its hello')
        self.assertEqual(two.ping(), [])

    def test_a_board_with_a_new_client_id_at_each_start(self):
        """The sessions that it leaves behind do not pile up until nobody else gets one."""
        name, token = self.machine()
        before = metric(self.srv, 'automat_mqtt_sessions')

        def visit(number):
            conn = self.raw(f'boot-{number}', name, token, clean=False)
            present = conn.expect(raw.CONNACK)
            conn.send(raw.subscribe(1, f'machines/{name}/#'))
            conn.expect(raw.SUBACK)
            conn.send(b'\xe0\0')
            self.assertTrue(conn.ends())
            return present[0]
        self.assertEqual([visit(number) for number in range(20)], [0] * 20)
        self.assertLessEqual(metric(self.srv, 'automat_mqtt_sessions') - before, 9)
        self.assertEqual((visit(19), visit(18), visit(0)), (1, 1, 0))

    def test_two_tokens_of_one_machine(self):
        """The same machine with another token is the same client; a revoked one ends only its own connection."""
        name, token = self.machine()
        made = self.admin.post(f'/api/machines/{name}/tokens').json
        one, two = self.raw('one', name, token), self.raw('two', name, made['token'])
        one.expect(raw.CONNACK)
        two.expect(raw.CONNACK)
        for number, conn in enumerate((one, two), 1):
            conn.send(raw.publish(f'sensor/{name}/count', '1', 1, number))
            conn.expect(raw.PUBACK)
        rows = self.admin.get(f'/api/machines/{name}/tokens').json['items']
        newest = max(row['token_id'] for row in rows)
        self.assertEqual(self.admin.delete(f'/api/machines/{name}/tokens/{newest}').status, 204)
        self.assertTrue(two.ends())
        self.assertEqual(one.ping(), [])
        again = self.raw('two', name, made['token'])
        self.assertEqual(again.expect(raw.CONNACK)[1], 4)

    def test_revoked_while_it_floods(self):
        name, token = self.machine()
        conn = self.raw('flood', name, token)
        conn.expect(raw.CONNACK)
        stop = threading.Event()

        def flood():
            number = 0
            try:
                while not stop.is_set():
                    number += 1
                    conn.send(raw.publish(f'sensor/{name}/count', str(number), 1, number % 60000 + 1))
            except (raw.Closed, OSError):            # the reader has seen the end first
                return True
            return False

        def read():
            return conn.ends()

        def block():
            until(lambda: self.admin.get(f'/api/telemetry/latest?machine_id={name}').json['items'], what='the first')
            self.assertEqual(self.admin.post(f'/api/machines/{name}/block').status, 200)
        try:
            harness.run_threads([read, flood, block])
        finally:
            stop.set()
        again = self.raw('flood', name, token)
        self.assertIn(again.expect(raw.CONNACK)[1], (4, 5))

    def test_topics_of_others(self):
        name, token = self.machine()
        other, _ = self.machine('-other')
        admin = self.raw('watch', 'admin', self.srv.admin_token)
        admin.expect(raw.CONNACK)
        admin.send(raw.subscribe(1, '#', '$SYS/#'))
        admin.expect(raw.SUBACK)
        conn = self.raw('dev', name, token, level=5)
        conn.expect(raw.CONNACK)
        number = 0
        for topic in (f'sensor/{other}/temperature', f'machines/{other}/state', f'machines/{other}/hello',
                      f'machines/{name}/offer', f'machines/{name}/stop', f'machines/{name}/claim/result',
                      f'machines/{name}/config', f'window/{name}/control', f'window/{other}/control',
                      f'ml/inference/request/{name}', '$SYS/x', '$share/x/y', 'anything', f'sensor/{name}',
                      f'sensor/{name}/a/b', f'/sensor/{name}/temperature', f'machines/{name}', 'machines',
                      f'machines/{name}/state/x', f'$queue/machines/{name}/state', f'machines/{name.upper()}/state'):
            for qos in (0, 1, 2):
                number += 1
                conn.send(raw.publish(topic, '20', qos, number, retain=True, level=5))
                if qos:
                    first, body = conn.read()
                    self.assertEqual(first, (raw.PUBACK, raw.PUBREC)[qos - 1], topic)
                    self.assertEqual(body[:3], struct.pack('>HB', number, 0x87), topic)
        self.assertEqual(conn.ping(), [], 'it is still there')
        conn.send(raw.publish(f'sensor/{name}/temperature', '21', 1, 999, level=5))
        conn.expect(raw.PUBACK)
        came = [raw.parse_publish(*one)[0] for one in admin.ping() if one[0] & 0xF0 == 0x30]
        self.assertNotIn('$SYS/x', came)
        came = [topic for topic in came if not topic.startswith('$SYS/broker/')]
        self.assertEqual(came, [f'sensor/{name}/temperature'])
        late = self.raw('late', 'admin', self.srv.admin_token)
        late.expect(raw.CONNACK)
        late.send(raw.subscribe(1, f'machines/{other}/#', f'sensor/{other}/#', 'anything'))
        late.expect(raw.SUBACK)
        self.assertEqual(late.ping(), [], 'something was retained')

    def test_wills(self):
        name, token = self.machine()
        other, _ = self.machine('-other')
        for topic in (f'machines/{other}/state', f'sensor/{other}/temperature', f'window/{name}/control', '$SYS/x',
                      'anything', f'machines/{name}/offer', f'ml/inference/request/{name}'):
            for level, code in ((4, 5), (5, 0x87)):
                conn = self.raw('willing', name, token, level=level, will=(topic, 'gone', 1, True))
                self.assertEqual(conn.expect(raw.CONNACK)[1], code, topic)
                self.assertTrue(conn.ends())
        for topic in ('#', 'a/+', '', 'a\0b'):
            self.assertTrue(self.raw('willing', name, token, will=(topic, 'gone', 1, True)).ends())
        admin = self.raw('watch', 'admin', self.srv.admin_token)
        admin.expect(raw.CONNACK)
        admin.send(raw.subscribe(1, f'machines/{name}/state'))
        admin.expect(raw.SUBACK)
        mortal = self.raw('mortal', name, token, will=(f'machines/{name}/state', '{"state":"offline"}', 1, True))
        mortal.expect(raw.CONNACK)
        mortal.reset()
        first, body = admin.read()
        self.assertEqual(raw.parse_publish(first, body)[2], b'{"state":"offline"}')

    def test_a_waiting_machine(self):
        name, token = self.name, secrets.token_hex(24)
        admin = self.raw('watch', 'admin', self.srv.admin_token)
        admin.expect(raw.CONNACK)
        admin.send(raw.subscribe(1, '#'))
        admin.expect(raw.SUBACK)
        conn = self.raw('new', name, token, level=5, will=(f'machines/{name}/state', '{"state":"offline"}', 1, True))
        self.assertEqual(conn.expect(raw.CONNACK)[1], 0)
        conn.send(raw.subscribe(1, f'machines/{name}/#', f'window/{name}/#', level=5))
        conn.expect(raw.SUBACK)
        for number, topic in enumerate((f'sensor/{name}/temperature', f'machines/{name}/state', f'machines/{name}/claim',
                                        f'machines/{name}/report'), 1):
            conn.send(raw.publish(topic, '{}', 1, number, retain=True, level=5))
            self.assertEqual(conn.expect(raw.PUBACK)[2], 0x87, topic)
        there = metric(self.srv, 'automat_mqtt_connections')
        conn.reset()
        until(lambda: metric(self.srv, 'automat_mqtt_connections') < there, what='it to be gone')
        self.assertEqual([one for one in admin.ping() if one[0] & 0xF0 == 0x30], [], 'its will, too')


class Crowd(Named):
    def test_a_crowd_that_waits(self):
        """Who may not be let in cannot fill the registry, nor keep others out."""
        for number in range(300):
            conn = self.raw('crowd', f'{self.name}-{number}', secrets.token_hex(24))
            if number % 2:
                conn.close()
        name, token = self.machine('-real')
        conn = self.raw('real', name, token)
        self.assertEqual(conn.expect(raw.CONNACK), b'\0\0')
        self.assertLess(len(self.admin.pages('/api/machines?limit=200')), 300)


class FullDisk(harness.Case):
    """RLIMIT_FSIZE in place of a full disk."""

    def limit(self, server, size):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_no_acknowledgement_without_storage(self):
        town = mqtt_crash.Town(self)
        town.start(preexec=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        town.publish('kept', 2, 1, False, 'sensor/{}/count')
        town.publish('exact', 1, 2, False, 'sensor/{}/count')
        town.publish('clean', 1, 1, True, 'sensor/{}/count')
        town.publish('letters', 1, 1, False, 'letters/{}', retain=True)
        try:
            for _ in range(3):
                town.wait(200)
                connects = sum(one.connects for one in town.publishers)
                sizes = [path.stat().st_size for path in self.data().rglob('*') if path.name.endswith('-wal')]
                self.limit(town.server, max([4096] + sizes))
                # Who is not acknowledged is sent away, and is not the worse for coming again.
                until(lambda before=connects: sum(one.connects for one in town.publishers) > before + 20 or
                      any(one.fault for one in town.publishers), what='the disk to be full', seconds=60)
                town.faults()
                self.assertEqual(town.server.client().get('/healthz').status, 200)
                self.limit(town.server, resource.RLIM_INFINITY)
                town.wait(200)
            town.end()
            town.server.stop()
            town.check_readings()
        finally:
            for one in town.publishers:
                one.ending.set()
            town.deadline = 0


class Nonsense(threading.Thread):
    """A column store that takes connections and then hangs, or says something."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.sock = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.sock.getsockname()[1]
        self.held = []
        self.start()

    def run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.held.append(conn)
            if self.answer is not None:
                try:
                    conn.recv(65536)
                    conn.sendall(self.answer)
                    conn.close()
                except OSError:
                    pass

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for conn in self.held:
            conn.close()


class ColumnStore(harness.Case):
    ANSWERS = {'hangs': None, 'closes': b'', 'garbage': b'\0\xff' * 500, 'half an answer': b'HTTP/1.1 200 OK\r\nContent-Le',
               'error': b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry',
               'no': b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n',
               'a flood': b'HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n' + b'x' * 4_000_000,
               'endless head': b'HTTP/1.1 200 OK\r\n' + b'X-Y: z\r\n' * 100_000}

    def with_url(self, port):
        server = self.server('--open', *ARGS, '--clickhouse-url', f'http://127.0.0.1:{port}', data=f'data-{port}',
                             env=raw.lean_env())
        held = raw.held_kb(server)
        device = Raw(port_of(server), raw.connect('dev', clean=False))
        device.expect(raw.CONNACK)
        for start in range(0, 1000, 100):
            for number in range(start, start + 100):
                device.send(raw.publish('sensor/room-1/count', str(number), 1, number + 1))
            for _ in range(100):
                device.expect(raw.PUBACK)
        until(lambda: (metric(server, 'automat_clickhouse_outbox_rows') or 0) >= 1000, what='the outbox')
        check = until(lambda: next((one for one in server.client().get('/readyz').json['checks']
                                    if one['name'] == 'clickhouse' and one['status'] == 'degraded'), None),
                      what='it to be noticed', seconds=45)
        self.assertTrue(check['why'])
        reply = server.client().get('/readyz')
        self.assertEqual((reply.status, reply.json['status']), (200, 'degraded'))
        self.assertEqual(metric(server, 'automat_clickhouse_up'), 0)
        self.assertLess(raw.held_kb(server) - held, 64 * 1024)
        device.send(raw.publish('sensor/room-1/count', '1000', 1, 2000))
        device.expect(raw.PUBACK)
        device.close()
        server.stop()

    def test_nobody_listens(self):
        with socket.socket() as probe:                   # bound and not listening: refused, and nobody else gets it
            probe.bind(('127.0.0.1', 0))
            self.with_url(probe.getsockname()[1])

    def test_somebody_else_listens(self):
        def one(what, answer):
            other = Nonsense(answer)
            try:
                self.with_url(other.port)
            except BaseException as fault:
                raise AssertionError(what) from fault
            finally:
                other.close()
        harness.run_threads([lambda pair=pair: one(*pair) for pair in self.ANSWERS.items()])


class Commands(harness.Case):
    """A board that follows the rules, and a server that is killed at every stage."""

    def begin(self, kind='espresso'):
        self.srv = self.server(*ARGS, '--grace', '1')
        self.admin = self.srv.admin()
        self.token = self.admin.post('/api/machines', {'machine_id': 'm-1', 'kind': kind}).json['token']

    def again(self):
        self.srv.kill()
        self.srv = self.server(*ARGS, '--grace', '1')
        self.admin = self.srv.admin()

    def connect(self, old=None):
        if old is not None:
            old.drop()
        board = MqttBoard(port_of(self.srv), 'm-1', self.token, client_id='board', clean=False, expiry=600)
        self.addCleanup(board.drop)
        if old is not None:
            board.boot_id, board.journal_id = old.boot_id, old.journal_id
        return board

    def test_killed_at_every_stage(self):
        self.begin()
        board = self.connect()
        board.hello()

        def send(topic, body):
            """Published, and the process dies at some moment around it."""
            board.client.publish(f'machines/m-1/{topic}', json.dumps(body), qos=1)

        for stage in ('ordered', 'offered', 'claim sent', 'claimed', 'granted', 'report sent', 'reported') * 3:
            with self.subTest(stage):
                command, claim_id = self.admin.order('m-1'), new_id()
                claim = {'claim_id': claim_id, 'journal_id': board.journal_id}
                kills = 0

                def kill(when, stage=stage):
                    nonlocal board, kills
                    if when != stage:
                        return False
                    kills += 1
                    self.again()
                    board = self.connect(board)
                    return True
                kill('ordered')
                offer = board.offer()
                while offer['command_id'] != command:
                    offer = board.offer()
                kill('offered')
                claim.update(command_id=command, uid=offer['uid'])
                if stage == 'claim sent':
                    send('claim', claim)
                    kill('claim sent')
                elif stage == 'claimed':
                    send('claim', claim)
                    until(lambda: self.admin.state(command) == 'running', what='the claim')
                    kill('claimed')
                result = board.claim(offer, claim_id)
                self.assertIs(result['granted'], True, result)
                kill('granted')
                rival = board.claim(offer)
                self.assertIs(rival['granted'], False, 'granted twice')
                if stage == 'report sent':
                    send('report', {**claim, 'status': 'complete'})
                    kill('report sent')
                board.report(offer, claim_id)
                kill('reported')
                self.assertEqual(kills, 1)
                self.assertEqual(self.admin.state(command), 'complete')
                steps = [(row['old_status'], row['new_status']) for row in self.admin.history(command)]
                self.assertEqual(steps, [(None, 'pending'), ('pending', 'running'), ('running', 'complete')])
        self.assertTrue(self.admin.get('/api/audit/verify').json['intact'])

    def test_a_plain_device_is_never_told_twice(self):
        """Killed between the order and the acknowledgement, anywhere: what it heard of a command it heard once."""
        self.begin('window')
        count = 12
        tokens = [self.admin.post('/api/machines', {'machine_id': f'w-{n}', 'kind': 'window'}).json['token']
                  for n in range(count)]
        told, acknowledged = {}, set()

        def connect(number):
            conn = Raw(port_of(self.srv), raw.connect('plain', clean=False, user=f'w-{number}', token=tokens[number]))
            self.addCleanup(conn.close)
            conn.expect(raw.CONNACK)
            conn.send(raw.subscribe(1, f'window/w-{number}/control'))
            return conn

        def hear(conn, answer):
            """What is there now; the connection may be lost meanwhile."""
            try:
                for first, body in conn.ping():
                    if first & 0xF0 != 0x30:
                        continue
                    _, packet_id, payload = raw.parse_publish(first, body)
                    command = json.loads(payload)['command_id']
                    if not first & 8:                    # not the same packet once more
                        told[command] = told.get(command, 0) + 1
                    if answer:
                        conn.send(raw.answer(raw.PUBACK, packet_id))
                        acknowledged.add(command)
            except raw.Closed:
                pass
        commands = []
        for number in range(count):
            conn = connect(number)
            hear(conn, True)
            reply = self.admin.post('/api/commands/create', {'machine_id': f'w-{number}', 'command': 'set_position',
                                                             'payload': {'position': number}, 'max_duration_s': 1})
            self.assertEqual(reply.status, 201, reply)
            command = reply.json['command_id']
            commands.append(command)
            stage = number % 4
            if stage == 1:
                until(lambda command=command: self.admin.state(command) != 'pending', what='the claim')
            elif stage == 2:
                until(lambda conn=conn, command=command: hear(conn, False) or command in told, what='control')
            elif stage == 3:
                until(lambda conn=conn, command=command: hear(conn, True) or command in acknowledged, what='control')
            self.srv.kill()
            hear(conn, True)
            self.srv = self.server(*ARGS, '--grace', '1')
            self.admin = self.srv.admin()
        conns = [connect(number) for number in range(count)]

        def over():
            for conn in conns:
                hear(conn, True)
            return all(self.admin.state(command) not in ('pending', 'running') for command in commands)
        until(over, what='all to be settled')
        self.assertEqual({command: times for command, times in told.items() if times > 1}, {}, 'told twice')
        for command in commands:
            steps = [row['new_status'] for row in self.admin.history(command)]
            self.assertLessEqual(steps.count('running'), 1, steps)
            if self.admin.state(command) == 'complete':
                self.assertIn(command, acknowledged, 'complete, and it never said so')


if __name__ == '__main__':
    harness.main()
