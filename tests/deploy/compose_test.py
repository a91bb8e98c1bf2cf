#!/usr/bin/env python3
"""The files of the stack against each other.  There is no container engine where the tests run: what is mounted,
named, published and asked for is held together here; that the images start is not tested."""
import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree

import yaml

from deploy import DEPLOY, GRAFANA, ROOT

STACK = yaml.safe_load((DEPLOY / 'compose.yml').read_text())
SERVICES = STACK['services']
# The part of the compose specification that is used here.
TOP = {'name', 'services', 'secrets', 'volumes'}
SERVICE = {'build', 'image', 'restart', 'stop_grace_period', 'environment', 'ports', 'volumes', 'ulimits', 'healthcheck',
           'command', 'secrets', 'depends_on'}


class Compose(unittest.TestCase):
    def test_keys_are_those_of_the_specification(self):
        self.assertLessEqual(set(STACK), TOP)
        for name, service in SERVICES.items():
            self.assertLessEqual(set(service), SERVICE, name)
            self.assertRegex(service['image'], r'^[a-z/-]+:[\w.-]+$', name)
            self.assertNotIn(':latest', service['image'])
            for key, value in service.get('environment', {}).items():
                self.assertIsInstance(value, str, (name, key))  # YAML's true is not "true"

    def test_what_is_mounted_is_there(self):
        for name, service in SERVICES.items():
            for mount in service.get('volumes', []):
                source, target = mount.split(':')[:2]
                self.assertTrue(target.startswith('/'), mount)
                if source.startswith('.'):
                    self.assertTrue((DEPLOY / source).exists(), (name, mount))
                    self.assertTrue(mount.endswith(':ro'), mount)
                else:
                    self.assertIn(source, STACK['volumes'], mount)
            for secret in service.get('secrets', []):
                self.assertIn(secret, STACK['secrets'])

    def test_services_that_are_named_exist(self):
        for name, service in SERVICES.items():
            self.assertLessEqual(set(service.get('depends_on', [])), set(SERVICES), name)
            for value in service.get('environment', {}).values():
                for host in re.findall(r'^http://(\w+):', value):
                    self.assertIn(host, SERVICES)
        self.assertIn(SERVICES['grafana']['environment']['CLICKHOUSE_HOST'], SERVICES)
        scraped = (DEPLOY / 'prometheus' / 'prometheus.yml').read_text()
        self.assertIn('"automat:8000"', scraped)
        for secret in re.findall(r'/run/secrets/(\w+)', scraped):
            self.assertIn(secret, SERVICES['prometheus']['secrets'])

    def test_only_loopback_is_published(self):
        for service in SERVICES.values():
            for port in service.get('ports', []):
                self.assertTrue(port.startswith('127.0.0.1:'), port)

    def test_every_secret_is_asked_for_and_none_is_written_down(self):
        text = (DEPLOY / 'compose.yml').read_text()
        asked = set(re.findall(r'\$\{(\w+):\?', text))
        self.assertEqual(asked, set(re.findall(r'\$\{(\w+)', text)))  # none has a preset
        example = (DEPLOY / 'env.example').read_text()
        self.assertEqual(asked, set(re.findall(r'^(\w+)=$', example, re.M)))
        ignored = subprocess.run(['git', 'check-ignore', 'deploy/.env', 'deploy/metrics_token'], cwd=ROOT,
                                 capture_output=True, text=True)
        if ignored.returncode != 128:  # not a checkout
            self.assertEqual(ignored.stdout.split(), ['deploy/.env', 'deploy/metrics_token'])

    def test_grafana_gets_what_its_sources_ask_for(self):
        sources = (GRAFANA / 'provisioning' / 'datasources' / 'automat.yml').read_text()
        given = SERVICES['grafana']['environment']
        self.assertLessEqual(set(re.findall(r'\$\{(\w+)\}', sources)), set(given))
        provider = yaml.safe_load((GRAFANA / 'provisioning' / 'dashboards' / 'automat.yml').read_text())
        path = provider['providers'][0]['options']['path']
        self.assertIn(f'./grafana/dashboards:{path}:ro', SERVICES['grafana']['volumes'])
        self.assertEqual(given['GF_INSTALL_PLUGINS'], 'grafana-clickhouse-datasource')

    def test_the_reader_of_clickhouse(self):
        tree = xml.etree.ElementTree.parse(DEPLOY / 'clickhouse' / 'reader.xml')
        name = SERVICES['grafana']['environment']['CLICKHOUSE_READER']
        self.assertIsNotNone(tree.find(f'users/{name}/password'))
        variable = tree.find(f'users/{name}/password').get('from_env')
        self.assertIn(variable, SERVICES['clickhouse']['environment'])


class Image(unittest.TestCase):
    text = (DEPLOY / 'Dockerfile').read_text()

    def test_what_is_copied_is_there_and_not_ignored(self):
        allowed = re.findall(r'^!(\S+)$', (DEPLOY / 'Dockerfile.dockerignore').read_text(), re.M)
        for sources in re.findall(r'^COPY (?!--from)(.+) \S+$', self.text, re.M):
            for source in sources.split():
                self.assertTrue((ROOT / source).exists(), source)
                self.assertTrue(any(source.rstrip('/') == one or source.startswith(one + '/') for one in allowed),
                                source)

    def test_options_are_those_of_the_program(self):
        names = set(re.findall(r'\bAUTOMAT_(\w+)=', self.text))
        names |= {key.removeprefix('AUTOMAT_') for key in SERVICES['automat']['environment']}
        program = os.environ.get('AUTOMAT_BIN')
        if not program:
            self.skipTest('no program to ask')
        told = subprocess.run([program, 'serve', '--help'], capture_output=True, text=True)
        for name in names:  # a secret is never a flag
            flag = '--' + name.lower().replace('_', '-')
            self.assertRegex(told.stdout + told.stderr, rf'({flag} |{flag}\n|AUTOMAT_{name}=)', name)

    def test_libraries_are_those_the_program_needs(self):
        program = os.environ.get('AUTOMAT_BIN')
        if not program:
            self.skipTest('no program to ask')
        needed = subprocess.run(['objdump', '-p', program], capture_output=True, text=True, check=True).stdout
        packages = {'libcurl': 'libcurl4', 'libjansson': 'libjansson4', 'libsodium': 'libsodium23', 'libuv': 'libuv1',
                    'libsqlite3': 'libsqlite3-0', 'libssl': 'libssl3', 'libcrypto': 'libssl3', 'libwslay': 'libwslay1'}
        for library in re.findall(r'NEEDED +(\w+)[.-]', needed):
            if library not in ('libc', 'libm', 'libasan', 'libubsan', 'libtsan', 'libgcc_s'):
                self.assertIn(packages[library], self.text, library)


if __name__ == '__main__':
    sys.exit(unittest.main())
