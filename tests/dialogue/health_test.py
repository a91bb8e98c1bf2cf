#!/usr/bin/env python3
"""The server about itself and its machines: readiness with reasons, metrics, the registry, silence, correlation, and the
other doors of MQTT."""
import json
import re
import shutil
import socket
import subprocess
import unittest

import harness
import ws_client
from harness import until
from mqtt_client import Mqtt, MqttBoard, port_of

CONTRACT = '''automat_mqtt_messages_total automat_mqtt_connections automat_mqtt_sessions automat_mqtt_retained
automat_mqtt_denied_total automat_mqtt_dropped_total automat_mqtt_duplicates_total automat_mqtt_pending
automat_mqtt_malformed_total automat_mqtt_bytes_total automat_telemetry_messages_total automat_telemetry_readings_total
automat_telemetry_refused_total automat_telemetry_series automat_telemetry_pending automat_clickhouse_up
automat_clickhouse_rows_total automat_clickhouse_batches_total automat_clickhouse_retries_total
automat_clickhouse_dropped_rows_total automat_clickhouse_outbox_rows automat_clickhouse_outbox_bytes
automat_clickhouse_outbox_age_seconds automat_climate_requests_total automat_climate_answers_total
automat_climate_decisions_total automat_climate_latency_seconds automat_climate_confidence automat_climate_model_version
automat_climate_model_error_percent automat_sensor_to_command_seconds automat_machines automat_machine_last_seen_seconds
automat_store_commits_total automat_store_commit_seconds_total automat_store_waiting automat_store_failing
automat_log_lines_total automat_alerts_open automat_http_request_seconds automat_http_errors_total
automat_http_answers_total automat_commands_total'''.split()


def metric(client, line):
    """The value of this line of /metrics, or None."""
    for row in client.get('/metrics').body.decode().splitlines():
        if row.startswith(line + ' '):
            return float(row.rsplit(' ', 1)[1])
    return None


class Server(harness.Shared):
    ARGS = ('--mqtt', '127.0.0.1:0')

    def test_ready_and_why(self):
        page = self.srv.client().get('/readyz').json
        checks = {check['name']: check for check in page['checks']}
        self.assertEqual(list(checks), ['store', 'disk', 'mqtt', 'clickhouse', 'outbox', 'climate_model'])
        self.assertEqual((checks['store']['status'], checks['mqtt']['status']), ('ok', 'ok'))
        self.assertEqual(page['status'], 'degraded' if any(c['status'] == 'degraded' for c in checks.values()) else 'ready')
        self.assertEqual(self.srv.client().get('/healthz').json, {'status': 'ok'})

    def test_metrics_are_what_the_dashboards_ask_for(self):
        text = self.admin.get('/metrics').body.decode()
        shown = set(re.findall(r'^# TYPE (\S+) ', text, re.M))
        self.assertEqual([name for name in CONTRACT if name not in shown], [])

    @unittest.skipUnless(shutil.which('promtool'), 'promtool is not installed')
    def test_metrics_are_clean(self):
        text = self.admin.get('/metrics').body
        checked = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, check=False, timeout=60)
        self.assertEqual((checked.returncode, checked.stderr.decode()), (0, ''))

    def test_what_people_note(self):
        self.board()
        path = f'/api/machines/{self.name}'
        reply = self.admin.patch(path, {'name': 'By the door', 'metadata': {'floor': 2, 'tags': ['north']}})
        self.assertEqual(reply.json['machine']['metadata'], {'floor': 2, 'tags': ['north']})
        self.assertEqual(self.admin.patch(path, {'metadata': {}}).json['machine']['name'], 'By the door')
        self.assertEqual(self.admin.patch(path, {'name': ''}).json['machine']['name'], None)
        self.refused(self.admin.patch(path, {}), 400, 'missing_field')
        self.refused(self.admin.patch(path, {'name': 1}), 400, 'wrong_type', 'name')
        self.refused(self.admin.patch(path, {'metadata': []}), 400, 'wrong_type', 'metadata')
        self.refused(self.admin.patch(path, {'metadata': {'x': 'y' * 5000}}), 413, 'too_large')
        self.refused(self.admin.patch('/api/machines/nobody', {'name': 'x'}), 404, 'unknown_machine')
        customer = self.srv.client(self.admin.post('/api/tokens', {'name': 'c', 'role': 'customer'}).json['token'])
        self.refused(customer.patch(path, {'name': 'x'}), 403, 'forbidden')
        self.admin.patch(path, {'metadata': {'key': 'under the mat'}})
        self.assertEqual(customer.machine(self.name)['metadata'], {})

    def test_over_websocket(self):
        token = self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'}).json['token']
        board = MqttBoard(self.srv.port, self.name, token, kind='window', transport='websockets')
        self.addCleanup(board.drop)
        self.assertEqual(board.hello()['admission'], 'admitted')
        board.publish(f'sensor/{self.name}/temperature', '20.5')
        board.publish(f'machines/{self.name}/state', {'state': 'online', 'sensors': {'x': 'y' * 3000}})
        latest = self.admin.get(f'/api/telemetry/latest?machine_id={self.name}').json['items']
        self.assertEqual([item['value'] for item in latest], [20.5])
        watch = Mqtt(self.srv.port, 'x', self.srv.admin_token, transport='websockets')
        self.addCleanup(watch.drop)
        watch.subscribe('notes/#')
        other = Mqtt(port_of(self.srv), 'y', self.srv.admin_token)
        self.addCleanup(other.drop)
        for size in (0, 1, 125, 126, 65535, 65536, 200000):
            other.publish('notes/large', json.dumps('z' * size))
            self.assertEqual(len(watch.take('notes/large').json), size)

    def test_a_websocket_that_is_none(self):
        for headers, status in (({}, 400), ({'Sec-WebSocket-Protocol': 'chat'}, 400),
                                ({'Sec-WebSocket-Protocol': 'mqtt', 'Origin': 'http://elsewhere.example'}, 403)):
            with self.assertRaises(ws_client.Refused) as caught:
                ws_client.WebSocket(self.srv.port, headers=headers, path='/mqtt')
            self.assertEqual(caught.exception.status, status)
        socket_ = ws_client.WebSocket(self.srv.port, headers={'Sec-WebSocket-Protocol': 'chat, mqtt'}, path='/mqtt')
        socket_.send(ws_client.TEXT, b'hello')                   # MQTT is binary
        self.assertTrue(socket_.ends())

    def test_correlation(self):
        """One id from the request to the command and its record."""
        self.admin.post('/api/machines', {'machine_id': self.name, 'kind': 'window'})
        reply = self.admin.call('POST', '/api/commands/create',
                                {'machine_id': self.name, 'command': 'set_position', 'payload': {'position': 5}},
                                headers={'X-Request-Id': f'corr-{self.name}'})
        self.assertEqual(reply.status, 201)
        self.assertEqual(self.admin.show(reply.json['command_id'])['request_id'], f'corr-{self.name}')
        rows = [row for row in self.admin.get('/api/audit').json['items'] if row['request_id'] == f'corr-{self.name}']
        self.assertTrue(rows)
        self.assertTrue(any(f'corr-{self.name}' in line for line in self.srv.log().splitlines()))


class Silence(harness.Case):
    def test_a_machine_that_falls_silent(self):
        server = self.server('--mqtt', '127.0.0.1:0', '--inactive-s', '1', '--online-s', '1', '--climate', 'off')
        admin = server.admin()
        board = server.board('m-1', kind='window')
        board.hello()
        self.assertTrue(admin.machine('m-1')['active'])

        def alerts(state='open'):
            return [alert['code'] for alert in admin.get(f'/api/alerts?state={state}').json['items']
                    if alert['resolved_at'] is None]
        until(lambda: 'machine_inactive' in alerts(), what='the alert')
        machine = admin.machine('m-1')
        self.assertEqual((machine['active'], machine['online']), (False, False))
        self.assertEqual(metric(admin, 'automat_machines{state="inactive"}'), 1)
        self.assertGreaterEqual(metric(admin, 'automat_machine_last_seen_seconds{machine="m-1"}'), 1)
        self.assertEqual(metric(admin, 'automat_alerts_open'), 1)
        mqtt = MqttBoard(port_of(server), 'm-1', board.headers['Authorization'].split()[1], kind='window')
        self.addCleanup(mqtt.drop)
        until(lambda: 'machine_inactive' not in alerts(), what='its end')
        # There, but its sensors are not.
        mqtt.publish('sensor/m-1/temperature', '20')
        until(lambda: 'telemetry_silent' in alerts(), what='the second alert')
        self.assertTrue(admin.machine('m-1')['active'])
        until(lambda: mqtt.publish('sensor/m-1/temperature', '20') and 'telemetry_silent' not in alerts(),
              what='its end')


class Readiness(harness.Case):
    def checks(self, reply):
        return {check['name']: check for check in reply.json['checks']}

    def test_a_service_that_does_not_answer(self):
        server = self.server('--mqtt', '127.0.0.1:0', '--climate', 'external')
        admin = server.admin()
        token = admin.post('/api/machines', {'machine_id': 'w-1', 'kind': 'window'}).json['token']
        look = server.client()

        def climate():
            return self.checks(look.get('/readyz'))['climate_model']
        self.assertEqual(climate()['status'], 'ok')
        device = Mqtt(port_of(server), 'w-1', token)
        self.addCleanup(device.drop)
        device.publish('sensor/w-1/readings', {'temperature': 29.5, 'humidity': 60, 'sound_volume': 0.01})
        until(lambda: climate()['status'] == 'degraded', what='the silence to be noticed')
        self.assertIn('did not answer', climate()['why'])
        service = Mqtt(port_of(server), 'ml', server.admin_token)
        self.addCleanup(service.drop)
        service.publish('window/w-1/control', {'position': 80, 'confidence': 0.9})
        until(lambda: climate()['status'] == 'ok', what='the answer to be noticed')


class Doors(harness.Case):
    def certificate(self):
        key, cert = self.folder / 'key.pem', self.folder / 'cert.pem'
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                        '-keyout', str(key), '-out', str(cert), '-days', '2', '-subj', '/CN=127.0.0.1',
                        '-addext', 'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)
        return key, cert

    def test_tls(self):
        key, cert = self.certificate()
        server = self.server('--mqtt-tls', '127.0.0.1:0', '--tls-cert', str(cert), '--tls-key', str(key))
        self.assertIsNone(server.ready['mqtt'])
        address = until(lambda: re.search(r'"what":"mqtt_tls","address":"127\.0\.0\.1:(\d+)"', server.log()), what='the port')
        client = Mqtt(int(address.group(1)), 'x', server.admin_token, tls=str(cert))
        client.subscribe('notes/#')
        client.publish('notes/a', '1')
        self.assertEqual(client.take('notes/a').json, 1)
        client.close()

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            server = self.server('--mqtt', f'127.0.0.1:{port}', expect_ready=False)
            self.assertNotEqual(server.wait()[0], 0)
            self.assertIn('--mqtt (AUTOMAT_MQTT)', server.log())

    def test_off(self):
        server = self.server()
        self.assertIsNone(server.ready['mqtt'])
        self.assertEqual(server.client().get('/readyz').status, 200)

    def test_a_stop_with_clients(self):
        server = self.server('--open', '--mqtt', '127.0.0.1:0')
        clients = [Mqtt(port_of(server), client_id=f'c-{i}') for i in range(5)]
        clients.append(Mqtt(server.port, client_id='ws', transport='websockets'))
        infos = [clients[0].client.publish('sensor/r-1/temperature', '20', qos=1) for _ in range(50)]
        server.stop()
        for client in clients:
            client.drop()
        acknowledged = sum(info.is_published() for info in infos)
        server = self.server('--open')
        rows = server.client().get('/api/telemetry/series?machine_id=r-1&type=temperature&resolution=raw')
        stored = sum(row[4] for row in rows.json['rows']) if rows.status == 200 else 0
        self.assertGreaterEqual(stored, acknowledged)


if __name__ == '__main__':
    harness.main()
