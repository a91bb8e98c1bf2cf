#!/usr/bin/env python3
"""The dashboards against Grafana's own types (@grafana/schema): the whole document, and every panel's options and
field settings against those of its kind.  Written out as object literals, so that tsc also finds unknown keys."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from deploy import GRAFANA, npm_install

# kind of panel -> (module, type of options, type of fieldConfig.defaults.custom)
KINDS = {
    'timeseries': ('TimeSeriesPanelCfg', 'Options', 'FieldConfig'),
    'stat': ('StatPanelCfg', 'Options', None),
    'gauge': ('GaugePanelCfg', 'Options', None),
    'bargauge': ('BarGaugePanelCfg', 'Options', None),
    'barchart': ('BarChartPanelCfg', 'Options', 'FieldConfig'),
    'state-timeline': ('StateTimelinePanelCfg', 'Options', 'FieldConfig'),
    'table': ('TablePanelCfg', 'Options', 'FieldConfig'),
}

# Enums of TypeScript are taken by the values that stand in a file.
HEAD = '''import type { Dashboard, Panel, RowPanel } from '@grafana/schema';
type Plain<T> = T extends string ? (string extends T ? T : `${T}`)
  : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
'''


def module(kind):
    name = KINDS[kind][0]
    folder = name.removesuffix('PanelCfg').lower()
    return f'@grafana/schema/dist/esm/raw/composable/{folder}/panelcfg/x/{name}_types.gen'


def source(dashboard):
    """A program of literals with types on them."""
    text = [HEAD]
    kinds = sorted({panel['type'] for panel in dashboard['panels']} - {'row'})
    for index, kind in enumerate(kinds):
        text.append(f"import type * as kind{index} from '{module(kind)}';")
    frame = dict(dashboard, panels=[])
    text.append(f"export const frame: Plain<Omit<Dashboard, 'panels'>> & {{ panels: [] }} = {json.dumps(frame)};")
    for panel in dashboard['panels']:
        number = panel['id']
        if panel['type'] == 'row':
            text.append(f'export const row{number}: Plain<RowPanel> = {json.dumps(panel)};')
            continue
        prefix = f"kind{kinds.index(panel['type'])}"
        _, options, custom = KINDS[panel['type']]
        text.append(f'export const panel{number}: Plain<Panel> = {json.dumps(panel)};')
        text.append(f"export const options{number}: Plain<Partial<{prefix}.{options}>> = "
                    f"{json.dumps(panel['options'])};")
        if custom:
            given = panel['fieldConfig']['defaults']['custom']
            text.append(f'export const custom{number}: Plain<Partial<{prefix}.{custom}>> = {json.dumps(given)};')
    return '\n'.join(text) + '\n'


def check(folder, dashboards):
    """The complaints of tsc."""
    for name, dashboard in dashboards.items():
        (folder / f'{name}.ts').write_text(source(dashboard))
    (folder / 'tsconfig.json').write_text(json.dumps({
        'compilerOptions': {'strict': True, 'noEmit': True, 'skipLibCheck': True, 'module': 'esnext', 'types': [],
                            'moduleResolution': 'bundler', 'target': 'es2022', 'lib': ['es2022', 'dom']},
        'include': ['*.ts']}))
    done = subprocess.run(['node', str(GRAFANA / 'node_modules' / 'typescript' / 'bin' / 'tsc'), '-p', str(folder)],
                          capture_output=True, text=True, timeout=240)
    return done.stdout + done.stderr


class Types(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        npm_install(GRAFANA)
        cls.dashboards = {path.stem: json.loads(path.read_text())
                          for path in sorted((GRAFANA / 'dashboards').glob('*.json'))}

    def run_tsc(self, dashboards):
        with tempfile.TemporaryDirectory(prefix='automat-types-') as name:
            folder = pathlib.Path(name)
            (folder / 'node_modules').symlink_to(GRAFANA / 'node_modules')
            return check(folder, dashboards)

    def test_dashboards_are_what_grafana_reads(self):
        self.assertEqual(self.run_tsc(self.dashboards), '')

    def test_a_wrong_one_is_noticed(self):
        wrong = json.loads(json.dumps(self.dashboards['system-health']))
        first = wrong['panels'][1]
        first['gridPos']['x'] = '0'
        first['options']['colorMode'] = 'rainbow'
        first['fieldConfig']['defaults']['colour'] = {}
        wrong['graphTooltip'] = 'shared'
        complaints = self.run_tsc({'wrong': wrong})
        for part in ("'string' is not assignable to type 'number'", 'rainbow', 'colour', 'DashboardCursorSync'):
            self.assertIn(part, complaints)


if __name__ == '__main__':
    sys.exit(unittest.main())
