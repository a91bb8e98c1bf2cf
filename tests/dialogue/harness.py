"""Runs the real program for the dialogue tests: servers, twins, clients, and the closing lines.

    class Brewing(harness.Case):
        def test_create(self):
            server = self.server()                      # stopped, and its log read, after the test
            reply = server.admin().post('/api/machines', {'machine_id': 'm-1', 'kind': 'espresso'})
            self.assertEqual(reply.status, 201)

Every reply a Client gets is held against docs/openapi.yaml before the test sees it."""
import http.client
import json
import os
import pathlib
import queue
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

from openapi_check import ROOT, Spec, load_json

ADMIN_TOKEN = 'dialogue-admin-token-0123456789abcdef'
START_S = 60        # a start under sanitizers on a busy machine
STOP_S = 60
REPLY_S = 60
# Tests come in bursts that no person or board would; the limits have tests of their own.
RATES = {f'AUTOMAT_RATE_{name}': '1000000/60000000' for name in ('READ', 'WRITE', 'LOGIN', 'HELLO', 'ASK')}
SPEC = Spec()

ESPRESSO = {'volume_ml': 40, 'temperature_c': 92, 'pre_infusion_ms': 300, 'capsule_type': 'original',
            'capsule_variant': 'espresso'}


def binary():
    path = os.environ.get('AUTOMAT_BIN') or str(ROOT / 'build' / 'release' / 'automat')
    if not os.access(path, os.X_OK):
        raise RuntimeError(f'no program at {path}; name one with AUTOMAT_BIN')
    return path


def new_id():
    """128 random bits as the devices write them."""
    return secrets.token_hex(16)


def database(folder):
    """The SQLite file in a data folder."""
    for path in sorted(pathlib.Path(folder).rglob('*')):
        if path.is_file() and path.read_bytes()[:16] == b'SQLite format 3\0':
            return path
    raise AssertionError(f'no database in {folder}')


def until(ready, seconds=30, what='it'):
    """Ask `ready` again and again until it answers something true; its answer.  The bound is a guard against
    hanging: no test depends on how long it took."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f'waited {seconds} s for {what}')
        pause.wait(0.02)


# ---- replies and clients ----

class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case; Set-Cookie as a list in .cookies
        self.cookies = []
        self.body = body

    @property
    def json(self):
        return load_json(self.body.decode('utf-8'))

    @property
    def code(self):
        """The stable code of a problem document; None when it is none."""
        if self.headers.get('content-type', '').startswith('application/problem+json'):
            return self.json['code']
        return None

    def __repr__(self):
        return f'<{self.status} {self.body[:300]!r}>'


class Client:
    """One connection, kept open.  Not for several threads at once."""

    def __init__(self, port, token=None, headers=None, timeout=REPLY_S):
        self.port = port
        self.headers = dict(headers or {})
        if token:
            self.headers['Authorization'] = f'Bearer {token}'
        self.timeout = timeout
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def __del__(self):
        if getattr(self, 'connection', None):
            self.connection.close()

    def call(self, method, path, body=None, headers=None, raw=None, check=True):
        """`body`: a value sent as JSON.  `raw`: bytes sent as they are."""
        head = dict(self.headers)
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            head['Content-Type'] = 'application/json'
        head.update(headers or {})
        head = {name: value for name, value in head.items() if value is not None}
        if self.connection is None:
            self.connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=self.timeout)
        try:
            self.connection.request(method, path, body=raw, headers=head)
            answer = self.connection.getresponse()
            content = answer.read()
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        reply = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)
        reply.cookies = answer.msg.get_all('Set-Cookie') or []
        if check and method != 'HEAD':
            SPEC.check_reply(method, path, reply.status, reply.headers, content)
        return reply

    def get(self, path, **more):
        return self.call('GET', path, **more)

    def post(self, path, body=None, **more):
        return self.call('POST', path, body, **more)

    def put(self, path, body=None, **more):
        return self.call('PUT', path, body, **more)

    def patch(self, path, body=None, **more):
        return self.call('PATCH', path, body, **more)

    def delete(self, path, **more):
        return self.call('DELETE', path, **more)

    # What most tests say.

    def create(self, machine, recipe=None, key=None, **more):
        body = {'machine_id': machine, 'recipe': dict(ESPRESSO if recipe is None else recipe), **more}
        return self.post('/api/commands/create', body, headers={'Idempotency-Key': key} if key else None)

    def order(self, machine, **more):
        """Create a command that must be accepted; its number."""
        reply = self.create(machine, **more)
        if reply.status != 201:
            raise AssertionError(f'not created: {reply}')
        return reply.json['command_id']

    def show(self, command_id):
        reply = self.get(f'/api/commands/{command_id}')
        if reply.status != 200:
            raise AssertionError(f'not shown: {reply}')
        return reply.json

    def state(self, command_id):
        return self.show(command_id)['state']

    def machine(self, machine):
        reply = self.get(f'/api/machines/{machine}')
        if reply.status != 200:
            raise AssertionError(f'not shown: {reply}')
        return reply.json

    def settle(self, command_id, outcome='failed', evidence='seen'):
        """Settle an unknown command, which must succeed once no board can begin it any more."""
        def ask():
            reply = self.post(f'/api/commands/{command_id}/settle', {'outcome': outcome, 'evidence': evidence})
            return reply if reply.code != 'too_early' else None
        reply = until(ask, what='the last moment for a board to begin')
        if reply.status != 200:
            raise AssertionError(f'not settled: {reply}')
        return reply

    def history(self, command_id):
        return self.get(f'/api/commands/{command_id}/history').json['items']

    def pages(self, path):
        """All items of a list."""
        items, cursor = [], None
        joiner = '&' if '?' in path else '?'
        while True:
            more = f'{joiner}cursor={urllib.parse.quote(cursor)}' if cursor else ''
            page = self.get(path + more).json
            items += page['items']
            cursor = page.get('next')
            if cursor is None:
                return items


class Board(Client):
    """A board that knows the rules; its token is the machine's."""

    def __init__(self, port, machine, token, headers=None):
        super().__init__(port, token, headers)
        self.name = machine
        self.boot_id = new_id()
        self.journal_id = new_id()

    def hello(self, journal=(), **more):
        body = {'boot_id': self.boot_id, 'journal_id': self.journal_id, 'firmware': 'test-1',
                'capabilities': {'kind': 'espresso'}, 'journal': list(journal), **more}
        return self.post(f'/api/machines/{self.name}/hello', body)

    def check(self, wait=None, journal=True):
        query = f'?wait={wait}' if wait else ''
        return self.get(f'/api/commands/check/{self.name}{query}',
                        headers={'X-Journal-Id': self.journal_id} if journal else None)

    def update(self, command_id, status, **more):
        return self.post(f'/api/commands/update/{command_id}', {'status': status, **more})

    def claim(self, command_id, claim_id=None, status='brewing', **more):
        return self.update(command_id, status, claim_id=claim_id or new_id(), journal_id=self.journal_id, **more)

    def run(self, command_id):
        """Claim it, which must be granted; the claim's id."""
        claim_id = new_id()
        reply = self.claim(command_id, claim_id)
        if reply.status != 200:
            raise AssertionError(f'not granted: {reply}')
        return claim_id


# ---- the server ----

class Server:
    """`automat serve` on a port the kernel chose.  Its stderr goes to a file."""

    def __init__(self, folder, args=(), env=None, preexec=None, expect_ready=True, admin_token=ADMIN_TOKEN,
                 log_name='server.log'):
        self.folder = pathlib.Path(folder)
        self.log_path = self.folder.parent / f'{self.folder.name}.{log_name}'
        self.env = {name: value for name, value in os.environ.items() if not name.startswith('AUTOMAT_')}
        self.env.update(RATES, AUTOMAT_DOCS=str(ROOT / 'docs'))
        if admin_token:
            self.env['AUTOMAT_ADMIN_TOKEN'] = admin_token
        self.env.update(env or {})
        self.env = {name: value for name, value in self.env.items() if value is not None}
        self.admin_token = admin_token
        self.stdout = ''
        self.ready = None
        self.port = None
        command = [binary(), 'serve', '--listen', '127.0.0.1:0', '--mqtt', 'off', '--data', str(folder), *args]
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                            env=self.env, cwd=str(self.folder.parent), preexec_fn=preexec)
        if expect_ready:
            self.wait_ready()

    def wait_ready(self):
        line = self._line(START_S)
        try:
            self.ready = json.loads(line)
            address = urllib.parse.urlsplit(self.ready['http'])
            self.port = address.port
            if self.ready['event'] != 'ready' or not self.port:
                raise ValueError(line)
        except (ValueError, KeyError, TypeError) as fault:
            raise AssertionError(f'no ready line but {line!r} ({fault}); log:\n{self.log()[-4000:]}') from fault

    def _line(self, seconds):
        deadline = time.monotonic() + seconds
        while '\n' not in self.stdout:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                break
            part = os.read(self.process.stdout.fileno(), 4096)
            if not part:
                break
            self.stdout += part.decode()
        return self.stdout

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            file.seek(self.log_start)
            return file.read()

    def client(self, token=None, **more):
        return Client(self.port, token, **more)

    def admin(self):
        return Client(self.port, self.admin_token)

    def board(self, machine='m-1', token=None, register=True, kind='espresso', **more):
        """A board for a machine, which is registered here unless it has a token already."""
        if token is None and register:
            reply = self.admin().post('/api/machines', {'machine_id': machine, 'kind': kind, **more})
            if reply.status != 201:
                raise AssertionError(f'not registered: {reply}')
            token = reply.json['token']
        return Board(self.port, machine, token)

    def raw(self, data=b'', timeout=REPLY_S):
        """A plain socket, with these bytes sent."""
        sock = socket.create_connection(('127.0.0.1', self.port), timeout=timeout)
        if data:
            sock.sendall(data)
        return sock

    def kill(self):
        """SIGKILL: no goodbye."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=STOP_S):
        """Its exit status and what else it wrote on stdout."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f'it did not end within {seconds} s; log:\n{self.log()[-4000:]}') from None
        rest = self.process.stdout.read().decode()
        self.process.stdout.close()
        self.stdout += rest
        return status, self.stdout

    def stop(self):
        """SIGTERM: it must end well, having said nothing but the ready line, with a clean log."""
        self.terminate()
        status, out = self.wait()
        if status != 0:
            raise AssertionError(f'it ended with {status}; log:\n{self.log()[-6000:]}')
        if self.ready and out.count('\n') != 1:
            raise AssertionError(f'more on stdout than the ready line: {out!r}')
        self.check_log()

    def check_log(self):
        log = self.log()
        for sign in ('AddressSanitizer', 'LeakSanitizer', 'runtime error:', 'ThreadSanitizer', 'Assertion'):
            if sign in log:
                raise AssertionError(f'{sign} in the log:\n{log[log.index(sign) - 200:][:6000]}')
        for secret in (self.admin_token,):
            if secret and secret in log:
                raise AssertionError('the admin token is in the log')


# ---- twins ----

class Twin:
    def __init__(self, server_port, machine, token, log_path, args=(), speed=20):
        command = [binary(), 'twin', '--kind', 'espresso', '--id', machine, '--server',
                   f'http://127.0.0.1:{server_port}', '--token', token, '--speed', str(speed), *args]
        env = {name: value for name, value in os.environ.items() if not name.startswith('AUTOMAT_')}
        self.log_path = log_path
        with open(log_path, 'ab') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        return self.process.wait()

    def stop(self, seconds=STOP_S):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('the twin did not end on SIGTERM') from None

    def log(self):
        return pathlib.Path(self.log_path).read_text(encoding='utf-8', errors='replace')


# ---- tests ----

class Case(unittest.TestCase):
    """Servers and twins started through it end with the test, also when it fails."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='automat-dialogue-'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self._twins = 0
        self._running = []

    def data(self, name='data'):
        return self.folder / name

    def server(self, *args, data='data', env=None, **more):
        server = Server(self.data(data), args, env, **more)
        self.addCleanup(self._end_server, server)
        return server

    def _end_server(self, server):
        if server.process.poll() is not None:
            if not server.process.stdout.closed:
                server.process.stdout.close()
            server.check_log()
            return
        try:
            server.stop()
        finally:
            if server.process.poll() is None:
                server.kill()

    def twin(self, server, machine, token, *args, **more):
        self._twins += 1
        twin = Twin(server.port, machine, token, self.folder / f'twin-{self._twins}.log', args, **more)
        self.addCleanup(twin.kill)
        return twin

    def refused(self, reply, status, code, field=None):
        """It is this problem and no other."""
        self.assertEqual((reply.status, reply.code), (status, code), reply)
        if field is not None:
            self.assertEqual(reply.json.get('field'), field, reply)


class Shared(Case):
    """One server for all tests of a class, since a start under sanitizers is not cheap; each test has machines of its
    own (self.name is new for each)."""

    ARGS = ()
    ENV = {}

    @classmethod
    def setUpClass(cls):
        cls.shared_folder = pathlib.Path(tempfile.mkdtemp(prefix='automat-dialogue-'))
        cls.addClassCleanup(shutil.rmtree, cls.shared_folder, ignore_errors=True)
        cls.srv = Server(cls.shared_folder / 'data', cls.ARGS, cls.ENV)
        cls.addClassCleanup(cls._stop_shared)
        cls._count = 0

    @classmethod
    def _stop_shared(cls):
        try:
            if cls.srv.process.poll() is None:
                cls.srv.stop()
            else:
                raise AssertionError(f'the server died: {cls.srv.log()[-6000:]}')
        finally:
            if cls.srv.process.poll() is None:
                cls.srv.kill()

    def setUp(self):
        super().setUp()
        type(self)._count += 1
        self.name = f'm-{type(self).__name__.lower()}-{type(self)._count}'
        self.admin = self.srv.admin()
        self.addCleanup(self.admin.close)

    def board(self, name=None, **more):
        board = self.srv.board(name or self.name, **more)
        self.addCleanup(board.close)
        return board


def run_threads(functions, seconds=120):
    """Start all at once; their results in order.  The first exception is raised here."""
    results = queue.Queue()
    gate = threading.Barrier(len(functions))

    def go(index, function):
        try:
            gate.wait(seconds)
            results.put((index, function(), None))
        except BaseException as fault:  # handed to the caller's thread
            results.put((index, None, fault))
    threads = [threading.Thread(target=go, args=pair, daemon=True) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    got = {}
    for _ in threads:
        index, value, fault = results.get(timeout=seconds)
        if fault:
            raise fault
        got[index] = value
    for thread in threads:
        thread.join()
    return [got[index] for index in range(len(functions))]


def read_status(sock):
    """The status of the next reply on a plain socket; None when it closes without one."""
    data = b''
    while b'\r\n' not in data:
        try:
            part = sock.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if not part:
            return None
        data += part
    found = re.match(rb'HTTP/1\.[01] (\d{3}) ', data)
    return int(found.group(1)) if found else None


def main():
    """unittest's own report, then one line a machine can read."""
    program = unittest.main(module='__main__', exit=False, verbosity=1)
    result = program.result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    skipped = len(result.skipped)
    for test, why in result.skipped:
        print(f'skipped: {test}: {why}', flush=True)
    passed = max(result.testsRun - failed - skipped, 0)
    print(f'{passed} passed, {failed} failed' + (f', {skipped} skipped' if skipped else ''), flush=True)
    sys.exit(1 if failed or result.testsRun == 0 else 0)
