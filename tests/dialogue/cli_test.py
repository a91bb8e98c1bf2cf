"""The other subcommands: machine add, account add, audit verify, backup, restore, and the demo cafe."""
import json
import re
import socket
import sqlite3
import subprocess

import harness
from harness import ADMIN_TOKEN, Board, binary, until


class Cli(harness.Case):
    def run_cli(self, *args, server=None, stdin='', status=0):
        """Run it; its stdout.  It must end with `status`."""
        env = {'AUTOMAT_ADMIN_TOKEN': ADMIN_TOKEN, 'PATH': '/usr/bin:/bin'}
        if server:
            args += ('--server', f'http://127.0.0.1:{server.port}')
        done = subprocess.run([binary(), *args], input=stdin, capture_output=True, text=True, env=env, check=False,
                              cwd=self.folder, timeout=120)
        self.assertEqual(done.returncode, status, done)
        for sign in ('Sanitizer', 'runtime error'):
            self.assertNotIn(sign, done.stderr)
        self.stderr = done.stderr
        return done.stdout


class Settings(Cli):
    def test_one_name_means_each_command_its_own(self):
        """AUTOMAT_MQTT is where the server serves, and where a tool finds it; one file may say both."""
        server = self.server('--mqtt', '127.0.0.1:0')
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            nobody = f'127.0.0.1:{free.getsockname()[1]}'
            settings = self.folder / 'settings'
            settings.write_text(f'AUTOMAT_MQTT = {nobody}\n')
            (self.folder / '.env').write_text('AUTOMAT_MQTT=here\n')        # the named file goes before it
            said = self.run_cli('validate', '--seconds', '1', '--config', str(settings), server=server, status=1)
            self.assertIn(f'STOPPED  {nobody} does not answer', said)
            self.run_cli('load', '--devices', '1', '--seconds', '1', server=server, status=2)
            self.assertIn('--mqtt', self.stderr)

    def test_off_is_no_address(self):
        server = self.server('--mqtt', '127.0.0.1:0')
        (self.folder / '.env').write_text('AUTOMAT_MQTT=off\nAUTOMAT_MQTTS=off\n')
        self.assertIn('machines 0', self.run_cli('monitor', '--count', '1', '--interval', '1', server=server))
        self.assertIn('over HTTP', self.run_cli('load', '--devices', '1', '--rate', '50', '--seconds', '2', server=server))
        self.run_cli('validate', '--seconds', '1', server=server, status=2)
        self.assertIn('HOST:PORT is needed', self.stderr)

    def test_the_example_names_every_option_with_its_preset(self):
        words = re.findall(r'^  automat (\w+) .*$', self.run_cli('--help'), re.M)
        presets = {}
        for word in words:
            for line in self.run_cli(word, '--help').splitlines():
                row = re.match(r'  (?:--([a-z0-9-]+)|AUTOMAT_([A-Z0-9_]+)=)', line)
                if row:
                    preset = re.search(r' \((?!PEM|preset|10\))([^() ]+)\)$', line)
                    name = row.group(2) or row.group(1).upper().replace('-', '_')
                    presets.setdefault(name, []).append(preset.group(1) if preset else '')
        self.assertGreater(len(presets), 50)
        example = dict(re.findall(r'^#AUTOMAT_([A-Z0-9_]+)=(\S*)', (harness.ROOT / '.env.example').read_text(), re.M))
        self.assertEqual(sorted(example), sorted(presets))
        for name, known in presets.items():
            if any(known):
                self.assertIn(example[name], known, name)


class Remote(Cli):
    def test_machine_add_prints_a_token_that_works(self):
        server = self.server()
        token = self.run_cli('machine', 'add', 'espresso-7', '--kind', 'espresso', '--name', 'Seven', server=server)
        self.assertEqual(token.count('\n'), 1)
        self.assertEqual(Board(server.port, 'espresso-7', token.strip()).check().status, 204)
        self.assertEqual(server.admin().machine('espresso-7')['name'], 'Seven')
        self.assertEqual(self.run_cli('machine', 'add', 'espresso-7', '--kind', 'espresso', server=server, status=1), '')
        self.run_cli('machine', 'add', 'x', '--kind', 'toaster', server=server, status=1)

    def test_account_add_reads_the_password_from_stdin(self):
        server = self.server()
        password = 'nine plain words and then some'
        self.run_cli('account', 'add', 'alice', '--role', 'staff', server=server, stdin=password + '\n')
        reply = server.client().post('/api/session', {'name': 'alice', 'password': password})
        self.assertEqual((reply.status, reply.json['account']['role']), (200, 'staff'))
        self.run_cli('account', 'add', 'bob', '--role', 'staff', server=server, stdin='short\n', status=1)
        self.run_cli('account', 'add', 'bob', '--role', 'king', server=server, stdin=password + '\n', status=1)

    def test_without_a_server(self):
        self.run_cli('machine', 'add', 'x', '--server', 'http://127.0.0.1:1', status=1)

    def test_words_that_are_none(self):
        for args in ((), ('brew',), ('machine',), ('machine', 'remove', 'x'), ('backup',), ('restore',),
                     ('audit', 'sing'), ('demo',), ('serve', '--no-such-flag'), ('twin', 'stray')):
            with self.subTest(args):
                self.run_cli(*args, status=2)
        self.assertIn('automat', self.run_cli('--version'))
        self.assertIn('serve', self.run_cli('--help'))


class Copies(Cli):
    def test_audit_verify(self):
        server = self.server()
        server.board()
        self.assertRegex(self.run_cli('audit', 'verify', server=server), r'^intact: \d+ entries\n$')
        server.stop()
        self.assertRegex(self.run_cli('audit', 'verify', '--data', str(self.data())), r'^intact: \d+ entries\n$')

    def test_what_comes_after_a_backup_survives_a_kill(self):
        """The copying process once took itself for the last one and deleted the log under the server."""
        server = self.server()
        server.board('before')
        for number in range(3):
            self.run_cli('backup', '--data', str(self.data()), '--to', f'{self.folder}/copy-{number}.db')
            with sqlite3.connect(f'{self.data()}/automat.db') as other:  # somebody else's tool
                other.execute('SELECT COUNT(*) FROM commands').fetchone()
            other.close()
            server.board(f'after-{number}')
        server.kill()
        again = self.server()
        names = {machine['machine_id'] for machine in again.admin().get('/api/machines').json['items']}
        self.assertEqual(names, {'before', 'after-0', 'after-1', 'after-2'})

    def test_what_was_pending_in_a_backup_does_not_simply_go_on(self):
        server = self.server()
        admin, board = server.admin(), server.board()
        board.hello()
        running, waiting = admin.order('m-1'), admin.order('m-1')
        done = admin.create('m-1', key='done').json['command_id']
        claim_id = board.run(running)
        copy = str(self.folder / 'copy.db')
        self.run_cli('backup', '--data', str(self.data()), '--to', copy)       # while the server runs
        self.run_cli('backup', '--data', str(self.data()), '--to', copy, status=1)
        board.update(running, 'complete', claim_id=claim_id)                    # the copy knows nothing of this
        board.update(waiting, 'complete', claim_id=board.run(waiting))
        self.run_cli('restore', '--from', copy, '--data', str(self.data()), status=1)   # not over a database
        server.stop()
        said = self.run_cli('restore', '--from', copy, '--data', str(self.data('again')))
        self.assertIn('2 commands are held, 1 are unknown', said)
        server = self.server(data='again')
        admin = server.admin()
        self.assertEqual([admin.state(number) for number in (running, waiting, done)], ['unknown', 'held', 'held'])
        again = Board(server.port, 'm-1', None, headers=board.headers)
        again.journal_id = board.journal_id
        self.assertEqual(again.check().status, 204)
        self.assertEqual(admin.create('m-1', key='done').json['command_id'], done)   # its key is in the copy, too
        self.assertEqual(again.update(running, 'complete', claim_id=claim_id).status, 200)
        self.assertTrue(admin.get('/api/audit/verify').json['intact'])

    def test_restoring_what_is_no_copy(self):
        (self.folder / 'text').write_text('no database')
        self.run_cli('restore', '--from', str(self.folder / 'text'), '--data', str(self.data('x')), status=1)
        self.run_cli('restore', '--from', str(self.folder / 'nothing'), '--data', str(self.data('x')), status=1)
        self.server(data='x').stop()                     # what was left behind is not in the way


class Demo(Cli):
    def links(self, server):
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith('{')]
        return [line['link'] for line in lines if 'link' in line]

    def test_the_demo_cafe_brews_and_can_be_removed(self):
        server = self.server('--demo', '--demo-speed', '20')
        admin = server.admin()
        until(lambda: [one for one in admin.pages('/api/machines') if one['online']], seconds=60, what='the twin')
        machine = admin.pages('/api/machines')[0]
        self.assertTrue(machine['demo'])
        command = admin.order(machine['machine_id'])
        until(lambda: admin.state(command) not in ('pending', 'running'), seconds=90, what='the brew')
        self.assertEqual(admin.state(command), 'complete')
        until(lambda: admin.get('/api/telemetry/latest?machine_id=window-1').json['items'], seconds=60, what='the window')
        until(lambda: admin.get('/api/climate/window-1/predictions').json['items'], seconds=60, what='a prediction')
        server.stop()                                    # and its twin with it
        self.run_cli('demo', 'remove', '--data', str(self.data()))
        admin = self.server().admin()
        left = [one for one in admin.pages('/api/machines') if one['admission'] == 'admitted']
        self.assertEqual(left, [])
        self.assertEqual(admin.state(command), 'complete')               # what happened stays on record
        with sqlite3.connect(f'{self.data()}/automat.db') as rows:
            kept = rows.execute('SELECT COUNT(*) FROM climate_prediction').fetchone()[0]
        rows.close()
        self.assertGreater(kept, 0)
        self.assertEqual(admin.get('/api/climate').json['items'], [])
        self.assertTrue(admin.get('/api/audit/verify').json['intact'])

    def test_the_sign_in_link_works_once(self):
        server = self.server('--demo')
        link = until(lambda: self.links(server), what='the link')[0]
        code = link.split('#code=')[1]
        client = server.client()
        reply = client.post('/api/session/link', {'code': code})
        self.assertEqual(reply.status, 200)
        client.headers['Cookie'] = reply.cookies[0].split(';')[0]
        self.assertEqual(client.get('/api/session').json['role'], 'admin')
        self.refused(server.client().post('/api/session/link', {'code': code}), 401, 'bad_credentials')

    def test_a_second_start_keeps_the_cafe(self):
        server = self.server('--demo', '--demo-speed', '20')
        until(lambda: server.admin().pages('/api/machines'), what='the machine')
        server.stop()
        server = self.server('--demo', '--demo-speed', '20')
        admin = server.admin()
        until(lambda: [one for one in admin.pages('/api/machines') if one['online']], seconds=60, what='the twin')
        self.assertEqual(len(admin.pages('/api/machines')), 2)
        until(lambda: self.links(server), what='the link')
        self.assertEqual(len(admin.get('/api/accounts').json['items']), 1)

    def test_a_stop_right_after_the_start(self):
        for _ in range(5):
            self.server('--demo').stop()

    def test_a_killed_server_takes_its_twins_along(self):
        server = self.server('--demo', '--demo-speed', '20')
        admin = server.admin()
        until(lambda: [one for one in admin.pages('/api/machines') if one['online']], seconds=60, what='the twin')
        port = server.port
        server.kill()
        # The twin of the killed server must not go on beside the one that the next start makes.
        server = self.server('--demo', '--demo-speed', '20', '--listen', f'127.0.0.1:{port}')
        admin = server.admin()
        until(lambda: [one for one in admin.pages('/api/machines') if one['online']], seconds=60, what='the twin')
        command = admin.order('espresso-1')
        until(lambda: admin.state(command) not in ('pending', 'running'), seconds=90, what='the brew')
        self.assertEqual(admin.state(command), 'complete')


if __name__ == '__main__':
    harness.main()
