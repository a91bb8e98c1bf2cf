"""What the tests of deploy/ share: where things are, Debian's servers started for a test, and what Grafana does to a
query before it sends it."""
import ctypes
import fcntl
import http.client
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / 'deploy'
GRAFANA = DEPLOY / 'grafana'


def npm_install(folder):
    """Installs what package-lock.json names, once."""
    done = folder / 'node_modules' / '.installed'
    (folder / 'node_modules').mkdir(exist_ok=True)
    with open(folder / 'node_modules' / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.stat().st_mtime >= (folder / 'package-lock.json').stat().st_mtime:
            return
        subprocess.run(['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund'], cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=280)
        done.touch()


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def until(ready, what, seconds=60):
    """The first true answer; the bound is a guard against hanging."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f'waited {seconds} s for {what}')
        pause.wait(0.02)


class Server:
    """A program of Debian's in a folder of its own, as the package's user, gone when the test is."""

    def __init__(self, user):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f'automat-{user}-'))
        self.user = pwd.getpwnam(user)
        self.port = free_port()
        self.process = None

    def start(self, *command):
        for path in [self.folder, *self.folder.rglob('*')]:
            if os.getuid() == 0:
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        libc = ctypes.CDLL(None)
        drop = {'user': self.user.pw_uid, 'group': self.user.pw_gid, 'extra_groups': []} if os.getuid() == 0 else {}
        self.log = open(self.folder / 'out', 'wb')
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self.log, stderr=self.log,
                                        preexec_fn=lambda: libc.prctl(1, signal.SIGKILL), **drop)

    def get(self, path, body=None, headers=None):
        """(status, text), or None while nobody listens."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        try:
            connection.request('POST' if body is not None else 'GET', path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        except OSError:
            if self.process.poll() is not None:
                raise AssertionError((self.folder / 'out').read_text()[-2000:]) from None
            return None
        finally:
            connection.close()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.log.close()
            self.process = None

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class ClickHouse(Server):
    def __init__(self):
        super().__init__('clickhouse')
        for name in ('data', 'tmp'):
            (self.folder / name).mkdir()
        (self.folder / 'config.xml').write_text(
            f'<yandex><logger><level>error</level><log>{self.folder}/log</log>'
            f'<errorlog>{self.folder}/err</errorlog></logger><http_port>{self.port}</http_port>'
            f'<listen_host>127.0.0.1</listen_host><path>{self.folder}/data/</path>'
            f'<tmp_path>{self.folder}/tmp/</tmp_path><users_config>users.xml</users_config>'
            '<default_profile>default</default_profile><default_database>default</default_database>'
            '<mark_cache_size>16777216</mark_cache_size><query_log><database>system</database>'
            '<table>query_log</table><flush_interval_milliseconds>1000</flush_interval_milliseconds></query_log>'
            '</yandex>\n')
        (self.folder / 'users.xml').write_text(
            '<yandex><profiles><default><log_queries>1</log_queries></default></profiles><quotas><default/></quotas>'
            '<users><default><password></password><networks><ip>127.0.0.1</ip></networks>'
            '<profile>default</profile><quota>default</quota></default></users></yandex>\n')
        self.again()

    def again(self):
        """Start, also after kill()."""
        self.start('/usr/sbin/clickhouse-server', '--config-file=config.xml')
        until(lambda: self.get('/ping') == (200, 'Ok.\n'), 'ClickHouse')

    def ask(self, sql, database='automat'):
        """The answer, as text."""
        status, text = self.get('/?' + urllib.parse.urlencode({'database': database}), sql.encode())
        if status != 200:
            raise AssertionError(f'{text}\n{sql}')
        return text


class Prometheus(Server):
    """Over samples in a file (OpenMetrics), or scraping `targets`."""

    def __init__(self, samples=None, configuration=None):
        super().__init__('prometheus')
        (self.folder / 'data').mkdir()
        (self.folder / 'prometheus.yml').write_text(configuration or 'scrape_configs: []\n')
        if samples:
            (self.folder / 'samples').write_text(samples)
            subprocess.run(['promtool', 'tsdb', 'create-blocks-from', 'openmetrics', str(self.folder / 'samples'),
                            str(self.folder / 'data')], check=True, capture_output=True, text=True)
        self.start('prometheus', '--config.file=prometheus.yml', '--storage.tsdb.path=data',
                   f'--web.listen-address=127.0.0.1:{self.port}', '--log.level=warn',
                   '--storage.tsdb.retention.time=3650d')
        until(lambda: (self.get('/-/ready') or (0,))[0] == 200, 'Prometheus')


# ---- what Grafana does to a query ----

def interval_s(seconds, points=500):
    """About what a panel of 500 points asks for."""
    return max(1, seconds // points)


def fill_in(text, time_from, time_to, variables):
    """The macros and variables that our queries use, as Grafana and its ClickHouse plugin write them out."""
    step = interval_s(time_to - time_from)

    def time_filter(match):
        return f'{match[1]} >= toDateTime({time_from}) AND {match[1]} <= toDateTime({time_to})'

    def variable(match):
        values = variables[match[1]]
        if match[2] == ':sqlstring':
            return ','.join("'" + value.replace("'", "''") + "'" for value in values)
        assert match[2] is None, match[0]
        return values[0]

    text = re.sub(r'\$__timeFilter\(([^)]*)\)', time_filter, text)
    text = text.replace('$__interval_s', str(step)).replace('$__rate_interval', f'{max(4 * 15, step + 15)}s')
    text = re.sub(r'\$\{(\w+)(:\w+)?\}', variable, text)
    left = re.search(r'\$\w+|\$\{', text)
    assert not left, f'nobody fills in {left[0]}: {text}'
    return text
