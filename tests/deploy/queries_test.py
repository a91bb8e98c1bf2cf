#!/usr/bin/env python3
"""Every query of the dashboards, executed: against Debian's ClickHouse with a day of rows that the sink's own code
wrote, and against Debian's Prometheus with three hours of samples.  A query that finds nothing in them fails."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

from deploy import GRAFANA, ROOT, ClickHouse, Prometheus, fill_in, interval_s
from samples import FAMILIES, open_metrics

TABLES = ('sensor_readings', 'window_actions', 'ml_predictions', 'device_registry')
HOUR = 3600


def dashboards():
    return {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / 'dashboards').glob('*.json'))}


def questions(source):
    """(dashboard, panel, target) for every target of this kind of source."""
    return [(name, panel, target) for name, dashboard in dashboards().items() for panel in dashboard['panels']
            for target in panel.get('targets', []) if target['datasource']['type'] == source]


def documented():
    """The SQL of docs/queries.md."""
    found = re.findall(r'```sql\n(.*?)```', (ROOT / 'docs' / 'queries.md').read_text(), re.S)
    assert len(found) >= 8
    return found


def columns_named(panel):
    """The columns that overrides of this panel expect."""
    return {override['matcher']['options'] for override in panel['fieldConfig']['overrides']}


class Shape(unittest.TestCase):
    def test_the_files_are_what_the_generator_makes(self):
        done = subprocess.run([sys.executable, '-B', str(GRAFANA / 'build.py'), '--check'], capture_output=True,
                              text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ''))

    def test_four_dashboards_with_forty_questions_or_more(self):
        found = dashboards()
        self.assertEqual(set(found), {'system-overview', 'device-detail', 'ml-metrics', 'system-health'})
        self.assertEqual({dashboard['uid'] for dashboard in found.values()},
                         {f'automat-{name}' for name in found})
        panels = [panel for dashboard in found.values() for panel in dashboard['panels'] if panel['type'] != 'row']
        self.assertGreaterEqual(len(panels), 40)
        for panel in panels:
            self.assertTrue(panel['title'].endswith('?'), panel['title'])
            self.assertGreater(len(panel['description']), 10, panel['title'])
            self.assertTrue(panel['targets'], panel['title'])

    def test_no_two_panels_overlap_and_none_sticks_out(self):
        for name, dashboard in dashboards().items():
            taken = set()
            ids = [panel['id'] for panel in dashboard['panels']]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in dashboard['panels']:
                place = panel['gridPos']
                self.assertLessEqual(place['x'] + place['w'], 24, (name, panel['title']))
                cells = {(x, y) for x in range(place['x'], place['x'] + place['w'])
                         for y in range(place['y'], place['y'] + place['h'])}
                self.assertFalse(cells & taken, (name, panel['title']))
                taken |= cells

    def test_sources_are_the_provisioned_ones(self):
        import yaml
        provisioned = yaml.safe_load((GRAFANA / 'provisioning' / 'datasources' / 'automat.yml').read_text())
        known = {(source['type'], source['uid']) for source in provisioned['datasources']}
        used = {(target['datasource']['type'], target['datasource']['uid'])
                for source in known for _, _, target in questions(source[0])}
        self.assertEqual(known, used)


class AskClickHouse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.time_to = int(time.time())
        cls.time_from = cls.time_to - 24 * HOUR
        cls.server = ClickHouse()
        cls.addClassCleanup(cls.server.stop)
        cls.server.ask('CREATE DATABASE automat', 'default')
        with tempfile.TemporaryDirectory(prefix='automat-text-') as name:
            subprocess.run([os.environ['CLICKHOUSE_TEXT'], 'old', str(cls.time_to * 1000), name], check=True)
            folder = pathlib.Path(name)
            for table in TABLES:
                cls.server.ask((folder / f'{table}.create').read_text())
                sql = urllib.parse.urlencode({'database': 'automat', 'query': (folder / f'{table}.insert').read_text()})
                status, text = cls.server.get('/?' + sql, (folder / f'{table}.rows').read_bytes())
                assert status == 200, text
        cls.variables = {}
        for dashboard in dashboards().values():
            for variable in dashboard['templating']['list']:
                values = cls.server.ask(variable['query'] + ' FORMAT TabSeparatedRaw').split('\n')[:-1]
                cls.variables[variable['name']] = values
                assert values == ["o'hara", 'window-1', 'window-2'], values

    def answer(self, target):
        """(column names, rows) of one target."""
        sql = fill_in(target['rawSql'], self.time_from, self.time_to, self.variables)
        found = json.loads(self.server.ask(sql + ' FORMAT JSONCompact'))
        return [column['name'] for column in found['meta']], found['data']

    def check(self, name, panel, target):
        columns, rows = self.answer(target)
        where = f"{name}: {panel['title']}"
        self.assertTrue(rows, where)
        for index, column in enumerate(columns):
            values = [row[index] for row in rows]
            self.assertTrue(any(value not in (None, 'nan', 'inf') for value in values), f'{where}: {column} is empty')
        self.assertLessEqual(columns_named(panel) - {'Value', 'corrected'} - self.optional(panel), set(columns), where)
        if target['queryType'] == 'timeseries':
            self.assertEqual(columns[0], 'time', where)
            self.assertEqual([row[0] for row in rows], sorted(row[0] for row in rows), where)
            self.assertLessEqual(len(rows), 40 * (24 * HOUR // interval_s(24 * HOUR)), where)
        if panel['type'] == 'barchart':
            self.assertIn(panel['options']['xField'], columns, where)

    def optional(self, panel):
        """Columns that several tables share an override for."""
        return {'position_pct', 'confidence', 'temperature_c', 'humidity_pct', 'sound_volume', 'latency_ms',
                'said_pct', 'said_confidence', 'requested_pct'} if panel['type'] == 'table' else set()

    def test_every_query_finds_something(self):
        asked = questions('grafana-clickhouse-datasource')
        self.assertGreater(len(asked), 30)
        own_log = [one for one in asked if 'query_log' in one[2]['rawSql']]
        for name, panel, target in asked:
            if 'query_log' not in target['rawSql']:
                with self.subTest(f"{name}: {panel['title']}"):
                    self.check(name, panel, target)
        self.assertEqual(self.server.get('/?query=SELECT+nothing')[0], 404)
        self.server.ask('SYSTEM FLUSH LOGS')
        type(self).time_to = int(time.time()) + 60  # what was just asked is in the log
        self.assertGreater(len(own_log), 1)
        for name, panel, target in own_log:
            with self.subTest(f"{name}: {panel['title']}"):
                self.check(name, panel, target)

    def test_a_device_shows_its_own_readings_only(self):
        for name, panel, target in questions('grafana-clickhouse-datasource'):
            if name == 'device-detail':
                sql = fill_in(target['rawSql'], self.time_from, self.time_to, {'device': ['nobody']})
                found = json.loads(self.server.ask(sql + ' FORMAT JSONCompact'))
                self.assertEqual(found['data'], [], panel['title'])

    def test_the_queries_of_the_documentation_run(self):
        for sql in documented():
            rows = json.loads(self.server.ask(sql + ' FORMAT JSONCompact'))['data']
            self.assertEqual(bool(rows), 'gap_s > 600' not in sql, sql)  # every five minutes there is one
            if not rows:
                text = self.server.ask(sql.replace('gap_s > 600', 'gap_s > 200'))
                self.assertIn(len(text.splitlines()), (287, 288), text[:200])

    def test_values_are_right(self):
        """The figures behind a few panels, counted by hand: 289 steps of 5 minutes, 3 machines."""
        by_title = {panel['title']: target for _, panel, target in questions('grafana-clickhouse-datasource')}
        self.assertEqual(self.answer(by_title['How many readings were stored in this range?'])[1],
                         [[str(289 * 3 * 4)]])
        self.assertEqual(self.answer(by_title['How many predictions were made?'])[1],
                         [[str((289 - 57) * 3)]])  # nobody answered every fifth question
        held = self.answer(by_title['How often is a prediction held back?'])[1][0][0]
        self.assertAlmostEqual(held, (58 + 58) / (289 - 57), places=6)
        slow = [max(row[1:]) for row in self.answer(by_title['How long does an answer take?'])[1]]
        self.assertLess(max(slow), 1)  # 2 s of waiting for nothing is no latency
        self.assertIn('max(received_at)', by_title['How long ago was it heard of?']['rawSql'])
        features = dict((row[0], row[1:]) for row in self.answer(by_title['What does the position depend on?'])[1])
        self.assertAlmostEqual(features['temperature_c'][0], 1, places=6)
        versions = self.answer(by_title['Which version was better?'])[1]
        self.assertEqual([row[:2] for row in versions], [['1', str(116 * 3)], ['2', str(116 * 3)]])
        # A person set it at every sixth step from the third, i % 17 - 8 points from what had been said.
        set_at = range(3, 289, 6)
        apart = [abs(step % 17 - 8) for step in set_at]
        first = [far for far, step in zip(apart, set_at) if step < 144]
        self.assertEqual([int(row[2]) for row in versions], [3 * len(first), 3 * (len(apart) - len(first))])
        self.assertAlmostEqual(versions[0][3], sum(first) / len(first), places=6)
        self.assertEqual(self.answer(by_title['How often do people agree?'])[1], [[1]])


class AskPrometheus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.time_to = int(time.time()) // 60 * 60
        cls.time_from = cls.time_to - 3 * HOUR
        cls.server = Prometheus(open_metrics(cls.time_from, cls.time_to))
        cls.addClassCleanup(cls.server.stop)

    def ask(self, path, **parameters):
        status, text = self.server.get(f'/api/v1/{path}?' + urllib.parse.urlencode(parameters))
        self.assertEqual(status, 200, text)
        return json.loads(text)['data']['result']

    def test_every_query_finds_something(self):
        asked = questions('prometheus')
        self.assertGreater(len(asked), 20)
        for name, panel, target in asked:
            where = f"{name}: {panel['title']}"
            expr = fill_in(target['expr'], self.time_from, self.time_to, {})
            with self.subTest(where):
                if target['instant']:
                    found = self.ask('query', query=expr, time=self.time_to)
                    values = [float(one['value'][1]) for one in found]
                else:
                    found = self.ask('query_range', query=expr, start=self.time_from + 600, end=self.time_to, step=60)
                    values = [float(value) for one in found for _, value in one['values']]
                self.assertTrue(any(value == value for value in values), where)
                for label in re.findall(r'\{\{(\w+)\}\}', target['legendFormat']):
                    self.assertTrue(all(label in one['metric'] for one in found), (where, label))

    def test_the_queries_of_the_documentation_run(self):
        text = (ROOT / 'docs' / 'queries.md').read_text()
        found = text.rsplit('```', 2)[1].strip().splitlines()
        self.assertGreaterEqual(len(found), 5)
        for expr in found:
            self.ask('query', query=expr, time=self.time_to)
            for word in re.findall(r'\bautomat_\w+', expr):
                self.assertIn(re.sub(r'_bucket$', '', word), FAMILIES, expr)

    def test_only_figures_that_the_server_has(self):
        for _, panel, target in questions('prometheus'):
            for word in re.findall(r'\bautomat_\w+', target['expr']):
                self.assertIn(re.sub(r'_bucket$', '', word), FAMILIES, panel['title'])


if __name__ == '__main__':
    sys.exit(unittest.main())
