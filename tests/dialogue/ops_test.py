"""Bad days of the process: two servers on one folder, a newer database, a full disk, orderly and disorderly ends."""
import http.client
import json
import re
import resource
import shutil
import signal
import sqlite3
import ssl
import subprocess
import threading
import warnings

import harness
from harness import binary, database, new_id, until


class Starting(harness.Case):
    def test_the_ready_line_is_all_there_is_on_stdout(self):
        server = self.server()
        self.assertEqual(set(server.ready), {'event', 'http'} | ({'mqtt'} & set(server.ready)))
        self.assertRegex(server.ready['http'], r'^http://127\.0\.0\.1:\d+$')
        self.assertNotEqual(server.port, 0)
        server.admin().get('/api/machines')
        server.terminate()
        status, out = server.wait()
        self.assertEqual((status, out.count('\n')), (0, 1))

    def test_the_log_is_json_lines(self):
        server = self.server('--log-level', 'debug')
        request = server.admin().get('/api/machines').headers['x-request-id']
        server.stop()
        lines = [json.loads(line) for line in server.log().splitlines()]
        self.assertTrue(lines)
        self.assertTrue([line for line in lines if request in line.values()], 'no line has the request id')

    def refuses(self, *args, env=None, name, data='data'):
        server = self.server(*args, env=env, data=data, expect_ready=False)
        status, out = server.wait()
        self.assertNotEqual(status, 0, f'{args} {env}')
        self.assertEqual(out, '')
        self.assertIn(name, server.log())
        return server

    def test_wrong_options_stop_the_start_with_their_name(self):
        for args, name in ((('--lisen', '127.0.0.1:0'), 'lisen'), (('--listen', 'nowhere'), 'listen'),
                           (('--listen', '127.0.0.1:99999'), 'listen'), (('--grace', 'soon'), 'grace'),
                           (('--grace', '-1'), 'grace'), (('--group-max', '0'), 'group-max'),
                           (('--log-level', 'loud'), 'log-level'), (('--rate-read', '10'), 'rate-read'),
                           (('--tls-cert', '/nonexistent'), 'tls'), (('stray',), 'stray'), (('--data',), 'data')):
            with self.subTest(args):
                self.refuses(*args, name=name)

    def test_wrong_variables_stop_the_start_with_their_name(self):
        for variable, value, name in (('AUTOMAT_GRACE', 'soon', 'grace'), ('AUTOMAT_RATE_WRITE', 'x', 'rate'),
                                      ('AUTOMAT_ADMIN_TOKEN', 'short', 'admin'), ('AUTOMAT_OPEN', 'perhaps', 'open')):
            with self.subTest(variable):
                server = self.server(env={variable: value}, expect_ready=False)
                self.assertNotEqual(server.wait()[0], 0)
                self.assertIn(name, server.log().lower())

    def test_a_dot_env_file_is_read_and_flags_go_before_it(self):
        (self.folder / '.env').write_text('# for this folder\nAUTOMAT_GRACE=nonsense\n')
        self.refuses(name='grace')
        (self.folder / '.env').write_text(f'AUTOMAT_ADMIN_TOKEN={new_id()}\nAUTOMAT_PENDING_MAX=1\n')
        server = self.server('--pending-max', '2', data='flag')
        server.board()
        admin = server.admin()               # the variable goes before the file
        statuses = [admin.create('m-1').status for _ in range(3)]
        self.assertEqual(statuses, [201, 201, 409])

    def test_a_config_file_is_read(self):
        path = self.folder / 'automat.conf'
        path.write_text('pending-max = 1\n')
        server = self.server('--config', str(path))
        server.board()
        admin = server.admin()
        self.assertEqual([admin.create('m-1').status for _ in range(2)], [201, 409])
        path.write_text('pending-maximum = 1\n')
        self.refuses('--config', str(path), name='pending-maximum', data='other')

    def test_env_example_lists_every_option(self):
        example = (harness.ROOT / '.env.example').read_text()
        usage = subprocess.run([binary(), 'serve', '--help'], capture_output=True, text=True, check=False,
                               timeout=60)
        names = set(re.findall(r'--([a-z][a-z-]+)', usage.stdout + usage.stderr)) - {'help', 'config'}
        self.assertTrue(names)
        for name in names:
            self.assertIn('AUTOMAT_' + name.upper().replace('-', '_'), example)

    def test_a_folder_that_cannot_be_made(self):
        (self.folder / 'file').write_text('x')
        server = self.server(expect_ready=False, data='file')
        self.assertNotEqual(server.wait()[0], 0)

    def test_a_port_that_is_taken(self):
        first = self.server()
        second = self.server('--listen', f'127.0.0.1:{first.port}', data='other', expect_ready=False)
        status, out = second.wait()
        self.assertNotEqual(status, 0)
        self.assertEqual(out, '')
        self.assertEqual(first.client().get('/healthz').status, 200)


class Folder(harness.Case):
    def test_two_servers_on_one_data_folder(self):
        first = self.server()
        second = self.server(expect_ready=False, log_name='second.log')
        status, out = second.wait()
        self.assertNotEqual(status, 0)
        self.assertEqual(out, '')
        self.assertIn('data', second.log())
        self.assertEqual(first.admin().get('/api/machines').status, 200)
        first.kill()                                     # the lock goes with the process
        self.assertEqual(self.server().admin().get('/api/machines').status, 200)

    def test_a_newer_database_is_refused_and_left_as_it_is(self):
        server = self.server()
        server.board()
        server.stop()
        path = database(self.data())
        connection = sqlite3.connect(path)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        ledger = next(name for name in tables if 'migration' in name)
        columns = [(row[1], row[2], row[3]) for row in connection.execute(f'PRAGMA table_info({ledger})')]
        newest = connection.execute(f'SELECT * FROM {ledger} ORDER BY 1 DESC LIMIT 1').fetchone()
        values = list(newest)
        values[0] = 9999
        connection.execute(f'INSERT INTO {ledger} VALUES ({",".join("?" * len(values))})', values)
        connection.commit()
        before = connection.execute('SELECT count(*) FROM sqlite_master').fetchone()
        connection.close()
        server = self.server(expect_ready=False)
        status, out = server.wait()
        self.assertNotEqual(status, 0, columns)
        self.assertEqual(out, '')
        self.assertRegex(server.log().lower(), 'newer')
        connection = sqlite3.connect(path)
        self.assertEqual(connection.execute('SELECT count(*) FROM sqlite_master').fetchone(), before)
        connection.close()

    def test_a_file_that_is_no_database(self):
        server = self.server()
        server.stop()
        path = database(self.data())
        for other in path.parent.glob(path.name + '-*'):
            other.unlink()
        path.write_bytes(b'this is no database, and was none before' * 400)
        server = self.server(expect_ready=False)
        self.assertNotEqual(server.wait()[0], 0)
        self.assertTrue(path.read_bytes().startswith(b'this is no database'))

    def test_everything_is_there_after_a_restart(self):
        server = self.server()
        admin, board = server.admin(), server.board()
        commands = [admin.order('m-1') for _ in range(3)]
        held = admin.order('m-1', execute_allowed=False)
        claim_id = board.run(commands[0])
        admin.post('/api/machines/m-1/hold', {'reason': 'closed'})
        shown = [admin.show(number) for number in commands + [held]]
        head = admin.get('/api/audit/verify').json
        server.stop()
        server = self.server()
        admin = server.admin()
        self.assertEqual([admin.show(number) for number in commands + [held]], shown)
        self.assertEqual(admin.machine('m-1')['hold']['reason'], 'closed')
        now = admin.get('/api/audit/verify').json
        self.assertTrue(now['intact'])
        self.assertGreaterEqual(now['entries'], head['entries'])
        board = harness.Board(server.port, 'm-1', None, headers=board.headers)
        self.assertEqual(board.update(commands[0], 'complete', claim_id=claim_id).status, 200)

    def test_a_changed_audit_entry_is_found(self):
        server = self.server()
        admin = server.admin()
        server.board()
        admin.order('m-1')
        self.assertTrue(admin.get('/api/audit/verify').json['intact'])
        server.stop()
        connection = sqlite3.connect(database(self.data()))
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = next(name for name in tables if name.startswith('audit'))
        number, = connection.execute(f'SELECT min(rowid) + 1 FROM {table}').fetchone()
        connection.execute(f"UPDATE {table} SET actor = 'somebody else' WHERE rowid = ?", (number,))
        connection.commit()
        connection.close()
        verdict = self.server().admin().get('/api/audit/verify').json
        self.assertFalse(verdict['intact'])
        self.assertEqual(verdict['first_broken'], number)


class Ending(harness.Case):
    def test_sigterm_answers_parked_polls_and_exits_0(self):
        server = self.server()
        token = server.board().headers['Authorization'].split()[1]
        boards = [harness.Board(server.port, 'm-1', token) for _ in range(20)]
        replies = []
        threads = [threading.Thread(target=lambda b=b: replies.append(b.check(wait=60)), daemon=True) for b in boards]
        for thread in threads:
            thread.start()
        metrics = server.admin()
        until(lambda: parked(metrics) == 20, what='twenty parked polls')
        server.terminate()
        status, out = server.wait()
        for thread in threads:
            thread.join(30)
        self.assertEqual((status, out.count('\n')), (0, 1))
        self.assertEqual({reply.status for reply in replies} - {204, 503}, set())
        self.assertEqual(len(replies), 20)

    def test_sigterm_under_load_loses_nothing_that_was_acknowledged(self):
        server = self.server()
        server.board()
        acknowledged = []

        def load():
            client = server.admin()
            while True:
                try:
                    reply = client.create('m-1', key=new_id())
                except (OSError, http.client.HTTPException):
                    return
                if reply.status != 201:
                    return
                acknowledged.append(reply.json['command_id'])
        threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 100, what='load')
        server.stop()
        for thread in threads:
            thread.join(30)
        rows = {row['command_id'] for row in self.server().admin().pages('/api/commands?limit=200')}
        self.assertLessEqual(set(acknowledged), rows)

    def test_a_second_sigterm_and_sigint(self):
        server = self.server()
        server.terminate()
        server.terminate()
        self.assertEqual(server.wait()[0], 0)
        server = self.server()
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(server.wait()[0], 0)

    def test_sigpipe_does_not_end_it(self):
        server = self.server()
        server.process.send_signal(signal.SIGPIPE)
        self.assertEqual(server.client().get('/healthz').status, 200)


def parked(client):
    """How many polls the server says are parked."""
    for line in client.get('/metrics').body.decode().splitlines():
        if 'parked' in line and not line.startswith('#'):
            return float(line.split()[-1])
    raise AssertionError('the metrics do not say how many polls are parked')


class Secure(harness.Case):
    def certificate(self):
        program = shutil.which('openssl')
        if not program:
            self.skipTest('no openssl to make a certificate with')
        subprocess.run([program, 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                        '-keyout', str(self.folder / 'key.pem'), '-out', str(self.folder / 'cert.pem'), '-days', '2',
                        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
                       check=True, capture_output=True, timeout=60)
        return '--tls-cert', str(self.folder / 'cert.pem'), '--tls-key', str(self.folder / 'key.pem')

    def test_the_same_over_tls(self):
        server = self.server(*self.certificate())
        self.assertRegex(server.ready['http'], r'^https://127\.0\.0\.1:\d+$')
        context = ssl.create_default_context(cafile=str(self.folder / 'cert.pem'))
        connection = http.client.HTTPSConnection('127.0.0.1', server.port, context=context, timeout=60)
        connection.request('GET', '/healthz')
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())['status']), (200, 'ok'))
        connection.close()
        with self.assertRaises((OSError, http.client.HTTPException)):
            server.client(timeout=10).get('/healthz', check=False)   # plain, to a port that speaks TLS
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError), server.raw(timeout=30) as sock:
            old.wrap_socket(sock)

    def test_a_key_that_does_not_belong_to_the_certificate(self):
        first = self.certificate()
        (self.folder / 'other.pem').write_bytes((self.folder / 'key.pem').read_bytes())
        self.certificate()
        server = self.server(*first[:2], '--tls-key', str(self.folder / 'other.pem'), expect_ready=False)
        self.assertNotEqual(server.wait()[0], 0)


class FullDisk(harness.Case):
    """RLIMIT_FSIZE in place of a full disk: SQLite's writes fail in the same call, with EFBIG for ENOSPC."""

    def limit(self, server, size):
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    @staticmethod
    def quiet():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)    # an error, as on a full disk; Python's default already

    def test_writes_are_503_nothing_is_half_written_and_it_recovers(self):
        server = self.server(preexec=self.quiet)
        admin, board = server.admin(), server.board()
        running = admin.order('m-1')
        waiting = admin.order('m-1')
        claim_id = board.run(running)
        good = {row['command_id'] for row in admin.pages('/api/commands')}
        key = new_id()

        # No file may grow by as much as a page; the log, which is smaller, may.
        sizes = {path: path.stat().st_size for path in self.data().rglob('*') if path.is_file()}
        wal = [size for path, size in sizes.items() if path.name.endswith('-wal')]
        self.limit(server, max([4096] + wal))
        refused = []
        for number in range(200):                        # what is preallocated may take a few more
            reply = admin.create('m-1', key=key if number == 199 else new_id())
            if reply.status == 503:
                refused.append(reply)
            else:
                self.assertEqual(reply.status, 201, reply)
                good.add(reply.json['command_id'])
        self.assertTrue(refused, 'nothing was refused')
        self.refused(refused[-1], 503, 'store_failed')
        self.assertEqual(admin.create('m-1', key=key).status, 503)
        self.assertEqual(board.update(running, 'complete', claim_id=claim_id).status, 503)
        self.assertIn(board.claim(waiting).status, (409, 503))
        # Looking still works, and shows the old state.
        self.assertEqual({row['command_id'] for row in admin.pages('/api/commands?limit=200')}, good)
        self.assertEqual(admin.state(running), 'running')
        self.assertEqual(server.client().get('/healthz').status, 200)
        reply = server.client().get('/readyz')
        self.refused(reply, 503, 'store_failed')
        checks = {check['name']: check['status'] for check in reply.json['checks']}
        self.assertEqual((checks['store'], checks['mqtt'], len(checks)), ('failed', 'ok', 6))

        self.limit(server, resource.RLIM_INFINITY)       # room again: no restart is needed
        reply = until(lambda: next((one for one in [admin.create('m-1', key=key)] if one.status == 201), None),
                      what='recovery')
        good.add(reply.json['command_id'])
        self.assertEqual(board.update(running, 'complete', claim_id=claim_id).status, 200)
        self.assertEqual({row['command_id'] for row in admin.pages('/api/commands?limit=200')}, good)
        self.assertTrue(admin.get('/api/audit/verify').json['intact'])
        server.kill()
        admin = self.server().admin()
        self.assertEqual({row['command_id'] for row in admin.pages('/api/commands?limit=200')}, good)
        self.assertEqual(admin.state(running), 'complete')
        connection = sqlite3.connect(database(self.data()))
        self.assertEqual(connection.execute('PRAGMA integrity_check').fetchone(), ('ok',))
        connection.close()

    def test_a_claim_that_cannot_be_written_is_not_granted(self):
        server = self.server(preexec=self.quiet)
        admin, board = server.admin(), server.board()
        command = admin.order('m-1')
        self.limit(server, 4096)
        claim_id = new_id()
        reply = board.claim(command, claim_id)
        self.refused(reply, 503, 'store_failed')
        self.assertEqual(admin.state(command), 'pending')
        self.limit(server, resource.RLIM_INFINITY)
        until(lambda: board.claim(command, claim_id).status == 200, what='recovery')

    def test_a_start_without_room_is_refused(self):
        def no_room():
            self.quiet()
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        server = self.server(preexec=no_room, expect_ready=False)
        self.assertNotEqual(server.wait()[0], 0)

    def test_out_of_descriptors(self):
        server = self.server()
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (60, 60))
        held = []
        for _ in range(120):
            try:
                held.append(server.raw(timeout=5))
            except OSError:
                break
        for sock in held:
            sock.close()
        self.assertTrue(until(lambda: alive(server), what='an answer after the crowd has gone'))


def alive(server):
    try:
        return server.client(timeout=5).get('/healthz').status == 200
    except OSError:
        return False


class Twins(harness.Case):
    """The whole main job once: order, claim, brew, report."""

    def brew(self, *args, speed=20, name='data'):
        server = self.server('--grace', '5', data=name)
        admin = server.admin()
        token = server.board().headers['Authorization'].split()[1]
        actuations = self.folder / f'{name}.actuations'
        twin = self.twin(server, 'm-1', token, '--journal', str(self.folder / f'{name}.journal'), '--actuations',
                         str(actuations), *args, speed=speed)
        command = admin.order('m-1')
        until(lambda: admin.state(command) not in ('pending', 'running'), seconds=90, what='the brew')
        return server, admin, twin, command, actuations

    def test_a_brew_to_the_end(self):
        server, admin, twin, command, actuations = self.brew()
        shown = admin.show(command)
        self.assertEqual(shown['state'], 'complete', twin.log()[-3000:])
        self.assertIn(shown['uid'], actuations.read_text())
        curve = admin.get(f'/api/commands/{command}/curve').json
        self.assertGreater(len(curve['samples']), 10)
        kind = admin.get('/api/kinds').json['items'][0]
        self.assertLessEqual({one['step'] for one in curve['steps']}, set(kind['steps']))
        self.assertTrue(curve['steps'])
        machine = admin.machine('m-1')
        self.assertTrue(machine['online'])
        self.assertTrue(machine['sensors'])
        self.assertEqual(twin.stop(), 0)
        server.stop()

    def test_a_jam_fails_by_name_and_stops_the_machine(self):
        _, admin, twin, command, _ = self.brew('--fault', 'jam_pick')
        shown = admin.show(command)
        self.assertEqual((shown['state'], shown['reason']), ('failed', 'pick_failed'), twin.log()[-3000:])
        self.assertTrue(admin.machine('m-1')['hold']['held'])

    def test_an_empty_magazine_is_refused_before_anything_moves(self):
        _, admin, twin, command, actuations = self.brew('--fault', 'magazine_empty')
        shown = admin.show(command)
        self.assertEqual((shown['state'], shown['reason']), ('rejected', 'magazine_empty'), twin.log()[-3000:])
        self.assertFalse(actuations.exists() and shown['uid'] in actuations.read_text())
        self.assertTrue([one for one in admin.pages('/api/alerts') if one['machine_id'] == 'm-1'])

    def test_a_reboot_at_any_step_is_accounted_for_and_nothing_starts_again(self):
        for step in ('picking', 'closing_head', 'brewing', 'ejecting'):
            with self.subTest(step):
                _, admin, twin, command, actuations = self.brew('--fault', f'reboot_at={step}:once', name=step)
                shown = admin.show(command)
                self.assertEqual((shown['state'], shown['reason']), ('failed', 'interrupted'), twin.log()[-3000:])
                self.assertEqual(actuations.read_text().count('"what":"motion"'), 1)
                self.assertTrue(admin.machine('m-1')['hold']['held'] or admin.machine('m-1')['failures_in_row'])
                twin.kill()

    def test_an_emergency_stop_fails_by_name(self):
        _, admin, twin, command, _ = self.brew('--fault', 'estop')
        shown = admin.show(command)
        self.assertIn(shown['state'], ('failed', 'rejected'))
        self.assertEqual(shown['reason'], 'estop', twin.log()[-3000:])


if __name__ == '__main__':
    harness.main()
