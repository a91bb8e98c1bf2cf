#!/usr/bin/env python3
"""The real server between a real ClickHouse and a real Prometheus: readings that were acknowledged arrive once, also
when ClickHouse was away, and every figure that dashboards and alerts rely on is there."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

from deploy import ClickHouse, Prometheus, until
from samples import FAMILIES

SCRAPE = '''global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: automat
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
'''


class Automat:
    def __init__(self, *arguments):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='automat-stack-'))
        self.log = open(self.folder / 'log', 'wb')
        self.process = subprocess.Popen(
            [os.environ['AUTOMAT_BIN'], 'serve', '--listen', '127.0.0.1:0', '--data', str(self.folder / 'data'),
             '--open', *arguments], stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError((self.folder / 'log').read_text()[-3000:])
        self.port = urllib.parse.urlsplit(json.loads(line)['http']).port

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        headers = {'Content-Type': 'application/json'} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    def metrics(self):
        status, text = self.ask('GET', '/metrics')
        assert status == 200, text
        return text

    def figure(self, name):
        return float(re.search(rf'^{name} (\S+)$', self.metrics(), re.M)[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
        text = (self.folder / 'log').read_text()
        shutil.rmtree(self.folder)
        assert status == 0, text[-3000:]


class Stack(unittest.TestCase):
    def send(self, automat, first, count):
        readings = [{'type': 'temperature', 'value': value / 100} for value in range(first, first + count)]
        for at in range(0, count, 10):
            status, text = automat.ask('POST', '/api/machines/window-1/readings', {'readings': readings[at:at + 10]})
            self.assertEqual(status, 200, text)

    def test_readings_arrive_once_and_figures_are_there(self):
        clickhouse = ClickHouse()
        self.addCleanup(clickhouse.stop)
        automat = Automat('--clickhouse-url', f'http://127.0.0.1:{clickhouse.port}', '--clickhouse-database', 'cafe')
        self.addCleanup(automat.stop)
        self.send(automat, 0, 200)
        until(lambda: automat.figure('automat_clickhouse_rows_total') >= 200, 'rows in ClickHouse')
        clickhouse.kill()
        self.send(automat, 200, 300)
        until(lambda: automat.figure('automat_clickhouse_up') == 0, 'ClickHouse is missed')
        until(lambda: automat.figure('automat_clickhouse_outbox_rows') >= 300, 'rows that wait')
        clickhouse.again()
        until(lambda: automat.figure('automat_clickhouse_outbox_rows') == 0, 'an empty outbox', 120)
        self.assertEqual(clickhouse.ask('SELECT count(), uniqExact(value), round(sum(value), 2) FROM sensor_readings '
                                        "WHERE type = 'temperature'", 'cafe').split(), ['500', '500', '1247.5'])
        self.assertEqual(automat.figure('automat_clickhouse_up'), 1)
        self.assertEqual(automat.figure('automat_clickhouse_dropped_rows_total'), 0)
        self.check_families(automat.metrics())
        self.check_scrape(automat)

    def board(self, automat):
        """A board that does what it is told, once."""
        status, text = automat.ask('GET', '/api/commands/check/window-1')
        if status == 204:
            return
        self.assertEqual(status, 200, text)
        number = json.loads(text)['command_id']
        for word in ('brewing', 'complete'):
            status, text = automat.ask('POST', f'/api/commands/update/{number}', {'status': word})
            self.assertEqual(status, 200, text)

    def test_what_a_person_sets_arrives_with_what_the_model_had_said(self):
        clickhouse = ClickHouse()
        self.addCleanup(clickhouse.stop)
        automat = Automat('--clickhouse-url', f'http://127.0.0.1:{clickhouse.port}', '--clickhouse-database', 'cafe')
        self.addCleanup(automat.stop)
        readings = [{'type': 'temperature', 'value': 23}, {'type': 'humidity', 'value': 45},
                    {'type': 'sound_volume', 'value': 0.03}]
        status, text = automat.ask('POST', '/api/machines/window-1/readings', {'readings': readings})
        self.assertEqual(status, 200, text)

        def predictions():
            status, text = automat.ask('GET', '/api/climate/window-1/predictions')
            self.assertEqual(status, 200, text)
            return json.loads(text)['items']

        said = until(predictions, 'a prediction')[0]
        self.board(automat)
        status, text = automat.ask('POST', '/api/commands/create', {
            'machine_id': 'window-1', 'command': 'set_position', 'payload': {'position': 17}})
        self.assertEqual(status, 201, text)
        self.board(automat)
        self.assertEqual(until(lambda: predictions()[-1]['actual'], 'the setting beside the prediction'), 17)

        def arrived():
            try:
                text = clickhouse.ask('SELECT position_pct, said_pct, said_confidence, said_version FROM window_actions '
                                      "WHERE source = 'person' FORMAT JSONCompact", 'cafe')
            except AssertionError:
                return None  # its tables are not made yet
            return json.loads(text)['data']

        row, = until(arrived, 'the setting in ClickHouse')
        self.assertEqual([row[0], row[3]], [17, said['model_version']])
        self.assertAlmostEqual(row[1], said['position'], 4)
        self.assertAlmostEqual(row[2], said['confidence'], 4)
        until(lambda: automat.figure('automat_clickhouse_outbox_rows') == 0, 'an empty outbox')
        self.assertEqual(clickhouse.ask('SELECT count() FROM ml_predictions', 'cafe').strip(), '1')
        self.assertEqual(clickhouse.ask("SELECT countIf(isNotNull(said_pct)) FROM window_actions "
                                        "WHERE source != 'person'", 'cafe').strip(), '0')

    def check_families(self, text):
        found = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stdout + found.stderr), (0, ''))
        kinds = dict(re.findall(r'^# TYPE (\w+) (\w+)$', text, re.M))
        for name, (kind, labels) in FAMILIES.items():
            self.assertEqual(kinds.get(name), kind, name)
            sample = re.search(rf'^{name}(?:_count)?(?:\{{(.*)\}})? ', text, re.M)
            if sample:
                self.assertEqual(set(re.findall(r'(\w+)="', sample[1] or '')), set(labels[0]), name)

    def check_scrape(self, automat):
        prometheus = Prometheus(configuration=SCRAPE.format(port=automat.port))
        self.addCleanup(prometheus.stop)

        def scraped():
            _, text = prometheus.get('/api/v1/query?' + urllib.parse.urlencode({'query': 'up{job="automat"} == 1'}))
            return json.loads(text)['data']['result']

        until(scraped, 'a scrape')


if __name__ == '__main__':
    sys.exit(unittest.main())
