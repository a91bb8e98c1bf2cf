#!/usr/bin/env python3
"""Alert rules under promtool: each fires in a bad world, not before its time, and never in a good one."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

from deploy import DEPLOY
from samples import FAMILIES

RULES = DEPLOY / 'prometheus' / 'alerts.yml'
MINUTES = 90

# What makes each speak: series at one sample a minute.  'n+mxk' counts up, 'nxk' stays.
BAD = {
    'AutomatDown': {'up{job="automat"}': '0x90'},
    'AutomatMissing': {},
    'StoreFailing': {'automat_store_failing': '1x90'},
    'CommitsSlow': {'automat_store_commit_seconds_total': '0+60x90', 'automat_store_commits_total': '0+60x90'},
    'HttpErrors': {'automat_http_answers_total{class="5xx"}': '0+6x90',
                   'automat_http_answers_total{class="2xx"}': '0+60x90'},
    'ErrorsLogged': {'automat_log_lines_total{level="error"}': '0+1x90'},
    'MqttBacklog': {'automat_mqtt_pending': '30000x90'},
    'MqttDenied': {'automat_mqtt_denied_total': '0+20x90'},
    'MqttDropped': {'automat_mqtt_dropped_total': '0+20x90'},
    'ReadingsRefused': {'automat_telemetry_refused_total{reason="bad_number"}': '0+20x90',
                        'automat_telemetry_readings_total': '0+100x90'},
    'ClickHouseAway': {'automat_clickhouse_up': '0x90', 'automat_clickhouse_configured': '1x90'},
    'ClickHouseOutboxOld': {'automat_clickhouse_outbox_age_seconds': '4000x90'},
    'ClickHouseRowsLost': {'automat_clickhouse_dropped_rows_total': '0+10x90'},
    'DeviceSilent': {'automat_machines{state="inactive"}': '1x90'},
    'CommandUnknown': {'automat_commands_total{state="unknown"}': '0+1x90'},
    'AlertsUnattended': {'automat_alerts_open': '2x90'},
    'ModelWrong': {'automat_climate_model_error_percent': '25x90'},
    'InferenceSlow': {'automat_climate_latency_seconds_bucket{le="1"}': '0x90',
                      'automat_climate_latency_seconds_bucket{le="5"}': '0+60x90',
                      'automat_climate_latency_seconds_bucket{le="+Inf"}': '0+60x90'},
    'WindowSlow': {'automat_sensor_to_command_seconds_bucket{le="2"}': '0x90',
                   'automat_sensor_to_command_seconds_bucket{le="5"}': '0+60x90',
                   'automat_sensor_to_command_seconds_bucket{le="+Inf"}': '0+60x90'},
}
GOOD = {
    'up{job="automat"}': '1x90', 'automat_store_failing': '0x90',
    'automat_store_commit_seconds_total': '0+0.06x90', 'automat_store_commits_total': '0+60x90',
    'automat_http_answers_total{class="5xx"}': '0x90', 'automat_http_answers_total{class="2xx"}': '0+60x90',
    'automat_log_lines_total{level="error"}': '3x90', 'automat_mqtt_pending': '10x90',
    'automat_telemetry_pending': '10x90', 'automat_mqtt_denied_total': '5x90', 'automat_mqtt_dropped_total': '0x90',
    'automat_telemetry_refused_total{reason="bad_number"}': '0+1x90', 'automat_telemetry_readings_total': '0+100x90',
    'automat_clickhouse_up': '0x90', 'automat_clickhouse_configured': '0x90',  # none wanted: nothing to say
    'automat_clickhouse_outbox_age_seconds': '2x90', 'automat_clickhouse_dropped_rows_total': '7x90',
    'automat_machines{state="inactive"}': '0x90', 'automat_commands_total{state="unknown"}': '4x90',
    'automat_alerts_open': '0x90', 'automat_climate_model_error_percent': '4x90',
    'automat_climate_latency_seconds_bucket{le="1"}': '0+60x90',
    'automat_climate_latency_seconds_bucket{le="+Inf"}': '0+60x90',
    'automat_sensor_to_command_seconds_bucket{le="2"}': '0+60x90',
    'automat_sensor_to_command_seconds_bucket{le="+Inf"}': '0+60x90',
}


def rules():
    return {rule['alert']: rule for group in yaml.safe_load(RULES.read_text())['groups'] for rule in group['rules']}


def promtool(*arguments):
    return subprocess.run(['promtool', *map(str, arguments)], capture_output=True, text=True, timeout=120)


def world(series):
    return [{'series': name, 'values': values} for name, values in series.items()]


def labels(series):
    """What an alert of `expr` keeps of the labels of the series it came from."""
    return dict(re.findall(r'(\w+)="([^"]*)"', series)) if series else {}


class Alerts(unittest.TestCase):
    maxDiff = None

    def test_the_files_are_well_formed(self):
        found = promtool('check', 'rules', RULES)
        self.assertEqual(found.returncode, 0, found.stderr)
        with tempfile.TemporaryDirectory(prefix='automat-prometheus-') as name:  # the token's path is a container's
            folder = pathlib.Path(name)
            text = (DEPLOY / 'prometheus' / 'prometheus.yml').read_text()
            (folder / 'token').write_text('x')
            (folder / 'prometheus.yml').write_text(text.replace('/run/secrets/metrics_token', str(folder / 'token')))
            (folder / 'alerts.yml').write_text(RULES.read_text())
            found = promtool('check', 'config', folder / 'prometheus.yml')
            self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
            self.assertIn('SUCCESS: %d rules found' % len(rules()), found.stdout)

    def test_each_has_a_bad_world_and_words(self):
        self.assertEqual(set(rules()), set(BAD))
        for name, rule in rules().items():
            self.assertIn(rule['labels']['severity'], ('critical', 'warning', 'info'), name)
            self.assertEqual(set(rule['annotations']), {'summary', 'description'}, name)
            for word in re.findall(r'\bautomat_\w+', rule['expr']):
                self.assertIn(re.sub(r'_bucket$', '', word), FAMILIES, name)

    def test_each_fires_when_it_should_and_only_then(self):
        tests = [{'interval': '1m', 'input_series': world(GOOD),
                  'alert_rule_test': [{'alertname': name, 'eval_time': f'{at}m', 'exp_alerts': []}
                                      for name in rules() for at in (30, 85)]}]
        for name, rule in rules().items():
            wait = rule.get('for', '0m')
            ages = int(wait[:-1]) * {'m': 60, 's': 1, 'h': 3600}[wait[-1]]
            kept = {} if re.search(r'\bsum\b', rule['expr']) else labels(next(iter(BAD[name]), 'up{job="automat"}'))
            expected = {'exp_labels': dict(kept, **rule['labels']), 'exp_annotations': rule['annotations']}
            checks = [{'alertname': name, 'eval_time': '85m', 'exp_alerts': [expected]}]
            if ages > 60:
                checks.append({'alertname': name, 'eval_time': f'{ages // 60 - 1}m', 'exp_alerts': []})
            tests.append({'interval': '1m', 'input_series': world(BAD[name]), 'alert_rule_test': checks})
        with tempfile.TemporaryDirectory(prefix='automat-alerts-') as folder:
            path = pathlib.Path(folder) / 'alerts_test.yml'
            path.write_text(json.dumps({'rule_files': [str(RULES)], 'evaluation_interval': '30s', 'tests': tests}))
            found = promtool('test', 'rules', path)
            self.assertEqual(found.returncode, 0, (found.stdout + found.stderr)[:4000])


if __name__ == '__main__':
    sys.exit(unittest.main())
