#!/usr/bin/env python3
"""What a current ClickHouse makes of the new dialect: npm's chdb, an embedded one (its library has half a gigabyte), is
installed into a folder of this test's own.  Tables, rows in RowBinary, the token against duplicates, TTL, retention, and
every query of the dashboards; and the sink itself, over a door of our own in front of it.  Not tested, since no current
server is at hand: its own HTTP door, its users and rights, the query log."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from deploy import fill_in, until
from queries_test import HOUR, TABLES, dashboards, documented, questions
from stack_test import Automat

CHDB = 'chdb@3.4.0'
TOKEN = "SETTINGS async_insert = 0, insert_deduplicate = 1, insert_deduplication_token = '%s'"


class Embedded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory(prefix='automat-chdb-')
        cls.addClassCleanup(made.cleanup)
        cls.folder = pathlib.Path(made.name)
        (cls.folder / 'package.json').write_text('{"private": true}')
        subprocess.run(['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', CHDB], cwd=cls.folder,
                       check=True, capture_output=True, timeout=1800)
        cls.now = int(time.time())
        subprocess.run([os.environ['CLICKHOUSE_TEXT'], 'new', str(cls.now * 1000), str(cls.folder)], check=True)

    def run_all(self, statements):
        done = subprocess.run(['node', str(pathlib.Path(__file__).with_name('chdb.cjs')), str(self.folder),
                               tempfile.mkdtemp(dir=self.folder)], input=json.dumps(statements), capture_output=True,
                              text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = json.loads(done.stdout)
        for sql, answer in zip(statements, answers):
            self.assertNotIn('error', answer, sql)
        return [answer['text'] for answer in answers]

    def text(self, name):
        return (self.folder / name).read_text()

    def insert(self, table, token):
        rows = f" FROM INFILE '{self.folder}/{table}.rows' {TOKEN % token} FORMAT RowBinary"
        return self.text(f'{table}.insert').replace(' FORMAT RowBinary', rows)

    def begin(self):
        made = ['CREATE DATABASE automat', 'USE automat']
        for table in TABLES:
            made += [self.text(f'{table}.create'), self.insert(table, 'a-0')]
        return made

    def test_rows_arrive_and_a_token_keeps_them_single(self):
        counts = [f'SELECT count(), uniqExact(batch, row) FROM {table}' for table in TABLES]
        again = [self.insert(table, 'a-0') for table in TABLES]
        stored = ("SELECT uniqExact(row), max(row) FROM sensor_readings WHERE batch = "
                  f"toUUID('abcdef01-0203-0405-0607-08090a0b0c00') AND at >= toDateTime({self.now - 25 * HOUR}, 'UTC') "
                  f"AND at < toDateTime({self.now + HOUR}, 'UTC') FORMAT TabSeparated")
        answers = self.run_all([*self.begin(), 'SELECT version()', *counts, *again, *counts, stored,
                                'SELECT uniqExact(at_ms), any(provenance) FROM sensor_readings',
                                self.text('columns.select')])
        first = answers[2 + 2 * len(TABLES):]
        self.assertGreaterEqual(int(first[0].split('.')[0]), 25)
        expected = ['3468\t3468\n', '291\t291\n', '867\t867\n', '24\t24\n']
        self.assertEqual(first[1:5], expected)
        self.assertEqual(first[9:13], expected)
        self.assertEqual(first[13], '3468\t3467\n')
        self.assertEqual(first[14], '1\tsimulated\n')
        (self.folder / 'columns').write_text(first[15])
        told = subprocess.run([os.environ['CLICKHOUSE_TEXT'], 'columns', str(self.folder / 'columns')],
                              capture_output=True, text=True, check=True).stdout
        self.assertEqual(told.split(), ['new'] * 4)

    def test_retention(self):
        ages = [self.text(f'{table}.ttl') for table in TABLES[:3]]
        answers = self.run_all([*self.begin(), 'SET materialize_ttl_after_modify = 0', *ages,
                                'SHOW CREATE TABLE sensor_readings', self.text('expired.select')])
        self.assertIn('toIntervalDay(60)', answers[-2])
        found = re.fullmatch(r'sensor_readings\t(\d{8})\n', answers[-1])
        self.assertTrue(found, answers[-1])
        answers = self.run_all([*self.begin(), f'ALTER TABLE sensor_readings DROP PARTITION {found[1]}',
                                f'SELECT count() FROM sensor_readings WHERE toYYYYMMDD(at) = {found[1]}',
                                'SELECT count() > 0 FROM sensor_readings'])
        self.assertEqual(answers[-2:], ['0\n', '1\n'])

    def test_every_query_of_the_dashboards_finds_something(self):
        chosen = [variable['query'] for dashboard in dashboards().values()
                  for variable in dashboard['templating']['list']]
        machines = ["o'hara", 'window-1', 'window-2']
        asked = [(name, panel, target) for name, panel, target in questions('grafana-clickhouse-datasource')
                 if 'query_log' not in target['rawSql']]
        filled = [fill_in(target['rawSql'], self.now - 24 * HOUR, self.now, {'device': machines, 'machines': machines})
                  for _, _, target in asked]
        answers = self.run_all([*self.begin(), *documented(), *chosen, *filled])[-len(filled):]
        for (name, panel, _), answer in zip(asked, answers):
            self.assertTrue(answer.strip(), f"{name}: {panel['title']}")

    def test_the_sink_speaks_the_new_dialect(self):
        door = subprocess.Popen(['node', str(pathlib.Path(__file__).with_name('chdb_door.cjs')), str(self.folder),
                                 tempfile.mkdtemp(dir=self.folder)], stdout=subprocess.PIPE, text=True)
        self.addCleanup(door.stdout.close)
        self.addCleanup(door.wait)
        self.addCleanup(door.kill)
        url = f'http://127.0.0.1:{door.stdout.readline().strip()}'

        def ask(sql, path='/?database=automat'):
            with urllib.request.urlopen(url + path, sql.encode(), timeout=60) as reply:
                return reply.read().decode()

        automat = Automat('--clickhouse-url', url)
        self.addCleanup(automat.stop)
        for value in range(100):
            status, text = automat.ask('POST', '/api/machines/window-1/readings',
                                       {'readings': [{'type': 'temperature', 'value': value / 10}]})
            self.assertEqual(status, 200, text)
        until(lambda: automat.figure('automat_clickhouse_rows_total') >= 100, 'rows in ClickHouse', 120)
        self.assertEqual(ask("SELECT count(), uniqExact(value), toTypeName(any(at)) FROM sensor_readings WHERE type = "
                             "'temperature'"), "100\t100\tDateTime64(3, \\'UTC\\')\n")
        self.assertEqual(automat.figure('automat_clickhouse_up'), 1)
        until(lambda: automat.figure('automat_clickhouse_outbox_rows') == 0, 'an empty outbox')
        made = ask('SHOW CREATE TABLE sensor_readings')
        self.assertIn('TTL toDateTime(at) + toIntervalDay(730)', made)
        self.assertGreaterEqual(int(ask('', '/inserts')), 1)


if __name__ == '__main__':
    sys.exit(unittest.main())
