#!/usr/bin/env python3
"""Readings: in over MQTT and HTTP, refused with a reason, kept, asked for again."""
import base64
import csv
import io
import math
import struct

import harness
import ws_client
from harness import until
from mqtt_client import Mqtt, port_of


def tone(seconds=2.0, rate=16000, volume=0.5):
    """A sine of this share of full scale as 16-bit PCM in base64."""
    samples = [int(volume * 32767 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(int(seconds * rate))]
    return base64.b64encode(struct.pack(f'<{len(samples)}h', *samples)).decode()


class Telemetry(harness.Shared):
    ARGS = ('--mqtt', '127.0.0.1:0', '--climate', 'off')

    def setUp(self):
        super().setUp()
        reply = self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'})
        self.assertEqual(reply.status, 201, reply)
        self.token = reply.json['token']

    def mqtt(self, user=None, token=None, **more):
        client = Mqtt(port_of(self.srv), user or self.name, token or self.token, **more)
        self.addCleanup(client.drop)
        return client

    def latest(self):
        items = self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items']
        return {item['type']: item for item in items}

    def refusals(self):
        return {row['code']: row for row in self.admin.get('/api/telemetry/refusals').json['items']
                if row['machine_id'] == self.name}

    # ---- in ----

    def test_numbers_objects_and_sound(self):
        device = self.mqtt()
        device.publish(f'sensor/{self.name}/temperature', '21.5')
        device.publish(f'sensor/{self.name}/co2', {'value': 800, 'provenance': 'simulated'})
        device.publish(f'sensor/{self.name}/readings', {'humidity': 48.5, 'pressure': 1013, 'provenance': 'estimated'})
        device.publish(f'sensor/{self.name}/audio', tone())
        latest = self.latest()
        self.assertEqual((latest['temperature']['value'], latest['temperature']['unit']), (21.5, 'C'))
        self.assertEqual(latest['temperature']['provenance'], 'measured')
        self.assertEqual((latest['co2']['value'], latest['co2']['provenance']), (800, 'simulated'))
        self.assertEqual((latest['humidity']['value'], latest['humidity']['provenance']), (48.5, 'estimated'))
        self.assertAlmostEqual(latest['sound_volume']['value'], 0.5 / math.sqrt(2), places=3)
        self.assertAlmostEqual(latest['sound_dbfs']['value'], 20 * math.log10(0.5 / math.sqrt(2)), places=1)
        self.assertTrue(self.admin.machine(self.name)['active'])

    def test_refused_with_a_reason_and_counted(self):
        device = self.mqtt()
        for type_, payload in (('temperature', 'warm'), ('temperature', 'NaN'), ('temperature', '1e999'),
                               ('temperature', '5000'), ('Temperature', '20'), ('audio', 'AAAA'), ('readings', '{'),
                               ('humidity', '{"value": 50, "at": "2100-01-01T00:00:00Z"}'),
                               ('humidity', '{"value": 50, "at": "1999-01-01T00:00:00Z"}')):
            device.publish(f'sensor/{self.name}/{type_}', payload)              # acknowledged: refused for good
        found = self.refusals()
        self.assertLessEqual({'bad_number', 'out_of_range', 'bad_type', 'bad_audio', 'from_the_future', 'too_old'},
                             set(found))
        self.assertEqual(self.latest(), {})
        self.assertTrue(all(row['why'] for row in found.values()))

    def test_over_http(self):
        board = harness.Board(self.srv.port, self.name, self.token)
        reply = board.post(f'/api/machines/{self.name}/readings',
                           {'readings': [{'type': 'temperature', 'value': 22, 'provenance': 'simulated'},
                                         {'type': 'humidity', 'value': 40}, {'type': 'audio', 'pcm': tone(), 'rate': 16000}]})
        self.assertEqual((reply.status, reply.json['status'], reply.json['count']), (200, 'stored', 4))
        self.assertEqual(set(self.latest()), {'temperature', 'humidity', 'sound_volume', 'sound_dbfs'})
        # All or none.
        reply = board.post(f'/api/machines/{self.name}/readings',
                           {'readings': [{'type': 'temperature', 'value': 10}, {'type': 'humidity', 'value': 400}]})
        self.refused(reply, 422, 'out_of_range', 'readings[1]')
        self.assertEqual(self.latest()['temperature']['value'], 22)
        self.assertEqual(self.refusals()['out_of_range']['count'], 1)
        for body, status in (({}, 400), ({'readings': []}, 400), ({'readings': [1]}, 400),
                             ({'readings': [{'value': 1}]}, 400), ({'readings': [{'type': 'x', 'value': 1}] * 17}, 400),
                             ({'readings': [{'type': 'temperature', 'value': '20'}]}, 422),
                             ({'readings': [{'type': 'x'}], 'more': 1}, 400)):
            with self.subTest(str(body)[:60]):
                self.assertEqual(board.post(f'/api/machines/{self.name}/readings', body).status, status)
        self.refused(self.admin.post(f'/api/machines/{self.name}/readings', {'readings': []}), 403, 'forbidden')
        other = self.board(f'{self.name}-b')
        self.refused(other.post(f'/api/machines/{self.name}/readings', {'readings': [{'type': 'x', 'value': 1}]}),
                     403, 'foreign_machine')

    # ---- out ----

    def fill(self, count=20):
        device = self.mqtt()
        for i in range(count):
            device.publish(f'sensor/{self.name}/temperature',
                           {'value': 20 + i, 'at': f'{self.hour(i)}'}, qos=1)
        return device

    def hour(self, i):
        """Minutes of the last full hour."""
        now = self.admin.get('/api/telemetry/latest').headers['date']
        import email.utils
        import datetime
        at = email.utils.parsedate_to_datetime(now).replace(minute=0, second=0) - datetime.timedelta(hours=1)
        return (at + datetime.timedelta(minutes=i)).strftime('%Y-%m-%dT%H:%M:%SZ')

    def test_a_range_and_its_rollups(self):
        self.fill()
        base = f'/api/telemetry/series?machine_id={self.name}&type=temperature'
        raw = self.admin.get(f'{base}&resolution=raw').json
        self.assertEqual((raw['unit'], raw['resolution'], len(raw['rows'])), ('C', 'raw', 20))
        self.assertEqual([row[1] for row in raw['rows']], [20 + i for i in range(20)])
        five = self.admin.get(f'{base}&resolution=5m').json
        self.assertEqual([row[1:] for row in five['rows']],
                         [[22, 20, 24, 5], [27, 25, 29, 5], [32, 30, 34, 5], [37, 35, 39, 5]])
        hour = self.admin.get(f'{base}&resolution=1h').json['rows']
        self.assertEqual(hour[0][1:], [29.5, 20, 39, 20])
        page = self.admin.get(f'{base}&resolution=raw&points=7').json
        self.assertEqual((len(page['rows']), page['more']), (7, True))
        self.assertIn(self.admin.get(f'{base}&points=5').json['resolution'], ('5m', '1h'))
        part = self.admin.get(f'{base}&resolution=raw&from={self.hour(5)}&to={self.hour(8)}').json
        self.assertEqual([row[1] for row in part['rows']], [25, 26, 27])

    def test_export(self):
        self.fill(6)
        reply = self.admin.get(f'/api/telemetry/export?machine_id={self.name}&type=temperature')
        self.assertEqual(reply.status, 200)
        self.assertIn(f'{self.name}-temperature.csv', reply.headers['content-disposition'])
        rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
        self.assertEqual([float(row['avg']) for row in rows], [20, 21, 22, 23, 24, 25])
        self.assertEqual(rows[0]['machine_id'], self.name)
        self.assertEqual(rows[0]['at'], self.hour(0).replace('Z', '.000Z'))
        rolled = self.admin.get(f'/api/telemetry/export?machine_id={self.name}&type=temperature&resolution=5m')
        self.assertEqual(rolled.body.count(b'\n'), 3)

    def test_questions_that_cannot_be_meant(self):
        self.fill(1)
        ask = f'machine_id={self.name}&type=temperature'
        for query, field in (('type=temperature', 'machine_id'), (f'machine_id={self.name}', 'type'),
                             (f'{ask}&resolution=2h', 'resolution'), (f'{ask}&points=0', 'points'),
                             (f'{ask}&points=5001', 'points'), (f'{ask}&from=yesterday', 'from'),
                             (f'{ask}&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'from'),
                             ('machine_id=.x&type=y', 'machine_id')):
            with self.subTest(query):
                self.refused(self.admin.get(f'/api/telemetry/series?{query}'), 400, 'bad_value', field)
        self.refused(self.admin.get(f'/api/telemetry/series?machine_id={self.name}&type=nothing'), 404, 'unknown_series')
        self.refused(self.admin.get(f'/api/telemetry/export?machine_id={self.name}&type=nothing'), 404, 'unknown_series')
        self.refused(self.admin.get(f'/api/telemetry/series?{ask}&more=1'), 400, 'bad_request', 'more')

    def test_who_may_ask(self):
        self.fill(1)
        guest = self.srv.client()
        customer = self.srv.client(self.admin.post('/api/tokens', {'name': 'c', 'role': 'customer'}).json['token'])
        staff = self.srv.client(self.admin.post('/api/tokens', {'name': 's', 'role': 'staff'}).json['token'])
        ask = f'machine_id={self.name}&type=temperature'
        for path, statuses in (('/api/telemetry/latest', (200, 200, 200)),
                               (f'/api/telemetry/series?{ask}', (200, 200, 200)),
                               (f'/api/telemetry/export?{ask}', (200, 200, 200)),
                               ('/api/climate', (200, 200, 200)),
                               ('/api/climate/model', (200, 200, 200)),
                               (f'/api/climate/{self.name}/predictions', (200, 200, 200)),
                               ('/api/telemetry/refusals', (401, 403, 200)),
                               ('/api/telemetry/policy', (401, 403, 200))):
            for caller, status in zip((guest, customer, staff), statuses):
                with self.subTest(f'{path} {status}'):
                    self.assertEqual(caller.get(path).status, status)
        for path, body in ((f'/api/climate/{self.name}', {'mode': 'auto'}),
                           ('/api/telemetry/policy', {'raw_days': 14, 'minutes5_days': 90, 'hour_days': 730,
                                                      'day_days': 3650})):
            self.assertEqual([caller.put(path, body).status for caller in (guest, customer, staff)], [401, 403, 200])

    def test_how_long_they_are_kept(self):
        policy = {'raw_days': 7, 'minutes5_days': 30, 'hour_days': 0, 'day_days': 0}
        self.assertEqual(self.admin.put('/api/telemetry/policy', policy).json, policy)
        self.assertEqual(self.admin.get('/api/telemetry/policy').json, policy)
        self.refused(self.admin.put('/api/telemetry/policy', {**policy, 'raw_days': -1}), 422, 'out_of_limits')
        self.refused(self.admin.put('/api/telemetry/policy', {'raw_days': 1}), 400, 'missing_field')
        self.assertIn('telemetry.policy', [row['action'] for row in self.admin.get('/api/audit').json['items']])

    def test_events(self):
        token = self.admin.post('/api/tokens', {'name': 'w', 'role': 'customer'}).json['token']
        watch = ws_client.WebSocket(self.srv.port, headers={'Authorization': f'Bearer {token}'})
        self.addCleanup(watch.close)
        device = self.mqtt()
        for i in range(30):
            device.publish(f'sensor/{self.name}/temperature', str(20 + i))
        events = []
        while not events or events[-1]['items'][-1]['value'] != 49:
            event = watch.event()
            if event['type'] == 'reading' and event['machine_id'] == self.name:
                events.append(event)
        self.assertLess(len(events), 30)                      # not one for each
        self.assertEqual(events[-1]['items'][-1]['unit'], 'C')


class Durable(harness.Case):
    def test_what_was_acknowledged_is_there_after_a_kill(self):
        server = self.server('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')
        device = Mqtt(port_of(server), client_id='d')
        self.addCleanup(device.drop)
        infos = [device.client.publish('sensor/r-1/temperature', str(i / 10), qos=1) for i in range(300)]
        infos[150].wait_for_publish(30)
        server.kill()
        device.drop()
        acknowledged = [i for i, info in enumerate(infos) if info.is_published()]
        self.assertGreaterEqual(len(acknowledged), 151)
        server = self.server('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')
        rows = server.client().get('/api/telemetry/series?machine_id=r-1&type=temperature&resolution=raw'
                                   '&points=5000').json['rows']
        stored = {round(row[1] * 10) for row in rows} | {round(row[2] * 10) for row in rows} | \
                 {round(row[3] * 10) for row in rows}
        if all(row[4] == 1 for row in rows):
            self.assertLessEqual(set(acknowledged), stored)
        self.assertGreaterEqual(sum(row[4] for row in rows), len(acknowledged))

    def test_a_redelivery_is_stored_once(self):
        server = self.server('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')
        device = Mqtt(port_of(server), client_id='d', clean=False, expiry=600)
        for i in range(5):
            device.publish('sensor/r-1/count', str(i))
        # The same packet again, as a client sends it that did not see the PUBACK.
        packet = bytes([0x32 | 8]) + bytes([0])
        body = struct.pack('>H', 18) + b'sensor/r-1/counter'[:18] + struct.pack('>H', 900) + b'\x00' + b'7'
        device.client.loop_stop()
        sock = device.client.socket()
        for first in (0x32, 0x3a, 0x3a):
            sock.sendall(bytes([first, len(body)]) + body)
        del packet
        until(lambda: [item for item in server.client().get('/api/telemetry/latest').json['items']
                       if item['type'] == 'counter'], what='the reading')
        metrics = server.client().get('/metrics').body.decode()
        until(lambda: 'automat_mqtt_duplicates_total 2' in server.client().get('/metrics').body.decode(),
              what=f'the duplicates in {metrics}')
        rows = server.client().get('/api/telemetry/series?machine_id=r-1&type=counter&resolution=raw').json['rows']
        self.assertEqual(sum(row[4] for row in rows), 1)
        sock.close()


if __name__ == '__main__':
    harness.main()
