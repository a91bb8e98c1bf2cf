#!/usr/bin/env python3
"""Twins on the MQTT road, and the tools of the terminal: load, monitor, validate."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import harness
from harness import ADMIN_TOKEN, binary, until
from mqtt_client import Mqtt, MqttBoard, port_of


class Tools(harness.Case):
    ARGS = ('--mqtt', '127.0.0.1:0')

    def begin(self, *args):
        self.srv = self.server(*self.ARGS, *args)
        self.port = port_of(self.srv)
        self.admin = self.srv.admin()

    def environment(self, token=ADMIN_TOKEN):
        env = {'PATH': '/usr/bin:/bin', 'TERM': 'xterm'}
        if token:
            env['AUTOMAT_ADMIN_TOKEN'] = token
        return env

    def tool(self, *args, status=0, token=ADMIN_TOKEN, mqtt=True, seconds=120):
        command = [binary(), *args]
        if not any(word == '--server' for word in args):
            command += ['--server', f'http://127.0.0.1:{self.srv.port}']
        if mqtt:
            command += ['--mqtt', f'127.0.0.1:{self.port}']
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(token), check=False,
                              cwd=self.folder, timeout=seconds, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, status, done)
        for sign in ('Sanitizer', 'runtime error'):
            self.assertNotIn(sign, done.stderr)
        self.stderr = done.stderr
        return done.stdout

    def figure(self, report, name):
        found = re.search(rf'^{name}\s+(\d+)', report, re.M)
        self.assertTrue(found, report)
        return int(found.group(1))


class Load(Tools):
    def test_every_message_is_acknowledged_and_stored(self):
        self.begin()
        report = self.tool('load', '--devices', '8', '--rate', '25', '--seconds', '2')
        sent = self.figure(report, 'messages sent')
        self.assertGreater(sent, 100)
        self.assertEqual((self.figure(report, 'acknowledged'), self.figure(report, 'lost')), (sent, 0))
        self.assertEqual(self.figure(report, 'stored, the server says'), sent)
        self.assertRegex(report, r'server CPU\s+\d')
        self.assertIn('load-8', [row['machine_id'] for row in self.admin.get('/api/machines').json['items']])

    def test_qos_0_has_no_acknowledgement(self):
        self.begin()
        report = self.tool('load', '--devices', '3', '--rate', '20', '--seconds', '1', '--qos', '0')
        self.assertEqual(self.figure(report, 'stored, the server says'), self.figure(report, 'messages sent'))
        self.assertRegex(report, r'acknowledged\s+-')

    def test_over_http(self):
        self.begin()
        report = self.tool('load', '--devices', '3', '--rate', '10', '--seconds', '1', mqtt=False)
        sent = self.figure(report, 'messages sent')
        self.assertGreater(sent, 0)
        self.assertEqual(self.figure(report, 'stored, the server says'), sent)

    def test_open_needs_no_token(self):
        self.begin('--open')
        report = self.tool('load', '--devices', '2', '--rate', '10', '--seconds', '1', token=None)
        self.assertEqual(self.figure(report, 'lost'), 0)

    def test_who_may_not_is_told(self):
        self.begin()
        self.tool('load', '--seconds', '1', '--devices', '1', token=None, status=1)
        self.assertIn('are connected', self.stderr)
        self.tool('load', '--seconds', '1', token='wrong' * 10, status=1)
        self.assertIn('was not registered (401)', self.stderr)

    def test_what_it_does_not_understand(self):
        self.begin()
        for args, word in ((('load', 'x'), 'too many'), (('load', '--qos', '2'), '--qos'),
                           (('load', '--devices', '20000', '--rate', '10000'), '--rate'),
                           (('load', '--devices', '0'), '--devices'), (('load', '--id', '../x'), '--id')):
            with self.subTest(args):
                self.tool(*args, status=1 if '--id' in args else 2)
                self.assertIn(word, self.stderr)

    def test_nobody_there(self):
        self.begin()
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
            self.tool('load', '--devices', '1', '--seconds', '1', token=None, status=1)


class Monitor(Tools):
    def test_a_line_a_look_without_a_terminal(self):
        self.begin()
        self.admin.post('/api/machines', {'machine_id': 'm-1', 'kind': 'espresso'})
        for mqtt in (False, True):
            lines = self.tool('monitor', '--interval', '1', '--count', '2', mqtt=mqtt).splitlines()
            self.assertEqual(len(lines), 2)
            for line in lines:
                self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\S+Z machines 1 online 0 held 0 waiting 0, ')

    def test_who_may_not_is_told(self):
        self.begin()
        self.tool('monitor', '--count', '1', '--interval', '1', token=None, mqtt=False, status=1)
        self.assertIn('401', self.stderr)

    def screen(self, *args, keys=b'q', width=80):
        """What it draws on a terminal until `keys` end it."""
        child, master = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execve(binary(), [binary(), 'monitor', '--server', f'http://127.0.0.1:{self.srv.port}', '--interval', '1',
                                 *args], self.environment())
        try:
            import fcntl
            import struct
            import termios
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
            drawn = b''
            deadline = time.monotonic() + 30
            while b'q: quit' not in drawn.split(b'\x1b[H')[-1] or drawn.count(b'\x1b[H') < 4:
                left = deadline - time.monotonic()
                self.assertGreater(left, 0, drawn)
                if select.select([master], [], [], left)[0]:
                    drawn += os.read(master, 65536)
            os.write(master, keys)
            while True:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break
                if not part:
                    break
                drawn += part
            _, status = os.waitpid(child, 0)
            child = 0
            self.assertEqual(os.waitstatus_to_exitcode(status), 0)
            return drawn.decode()
        finally:
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            os.close(master)

    def test_the_screen_fits_and_is_given_back(self):
        self.begin()
        for number in range(30):
            self.admin.post('/api/machines', {'machine_id': f'machine-with-a-long-name-{number}', 'kind': 'espresso'})
        drawn = self.screen()
        self.assertIn('\x1b[?1049h', drawn)
        self.assertTrue(drawn.rstrip().endswith('\x1b[?1049l'))
        look = drawn.split('\x1b[H')[-1].split('\x1b[J')[0]
        lines = [re.sub(r'\x1b\[K$', '', line) for line in look.split('\r\n')]
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn('... and', look)
        self.assertIn('30 machines', look)

    def test_what_others_wrote_does_not_steer_the_terminal(self):
        self.begin()
        token = self.admin.post('/api/machines', {'machine_id': 'm-1', 'kind': 'espresso'}).json['token']
        board = Mqtt(self.port, 'm-1', token)
        self.addCleanup(board.drop)
        board.publish('machines/m-1/state', json.dumps({'state': 'online', 'step': '\x1b]0;gotcha\x07'}))
        drawn = self.screen('--mqtt', f'127.0.0.1:{self.port}')
        self.assertNotIn('\x1b]0', drawn)


class Validate(Tools):
    def test_from_the_publish_to_the_window(self):
        """With a service that answers: the readings become a prediction, a command, and a control message."""
        self.begin('--climate', 'external')
        service = Mqtt(self.port, 'ml', ADMIN_TOKEN)
        self.addCleanup(service.drop)
        service.subscribe('ml/inference/request/+')

        def answer(_client, _data, message):
            device = json.loads(message.payload)['device_id']
            _client.publish(f'window/{device}/control', json.dumps({'position': 70, 'confidence': 0.9}), qos=1)
        service.client.on_message = answer
        report = self.tool('validate', '--count', '9', '--seconds', '20')
        self.assertRegex(report, r'readings\s+9 published, 9 acknowledged, 0 refused, 9 in the store')
        self.assertRegex(report, r'prediction\s+\d+: position 70.0, confidence 0.90')
        self.assertRegex(report, r'command\s+\d+ is complete')
        self.assertRegex(report, r'control\s+heard 1 time\n')
        self.assertTrue(report.endswith('nothing is missing\n'))

    def test_what_is_missing_is_named(self):
        self.begin('--climate', 'off')
        report = self.tool('validate', '--count', '3', '--seconds', '2', status=1)
        self.assertRegex(report, r'readings\s+3 published, 3 acknowledged, 0 refused, 3 in the store')
        self.assertIn('MISSING  a prediction', report)

    def test_a_service_that_does_not_answer_is_missing(self):
        self.begin('--climate', 'external')
        report = self.tool('validate', '--count', '3', '--seconds', '60', status=1)
        self.assertRegex(report, r'readings\s+3 published, 3 acknowledged, 0 refused, 3 in the store')
        self.assertRegex(report, r'prediction\s+\d+: position none, confidence none, .*: no_answer')
        self.assertIn('MISSING  an answer', report)
        self.assertTrue(report.endswith('something is missing\n'))

    def test_a_window_that_holds_is_not_missing_anything(self):
        self.begin('--open')
        report = self.tool('validate', '--id', 'w-7', '--seconds', '20', token=None)
        self.assertIn('machine     w-7', report)
        self.assertIn('nothing is missing', report)

    def test_where_nothing_answers(self):
        self.begin()
        self.tool('validate', '--seconds', '1', mqtt=False, status=2)
        self.tool('validate', '--mqtt', '127.0.0.1:1', '--seconds', '1', mqtt=False, status=1)


class Roads(Tools):
    """automat twin --mqtt."""

    def twin(self, *args, name='t-1', speed=20):
        token = self.admin.post('/api/machines', {'machine_id': name, 'kind': 'espresso'}).json['token']
        path = self.folder / f'{name}.twin.log'
        self.acts = self.folder / f'{name}.acts'
        twin = harness.Twin(self.srv.port, name, token, path,
                            ('--log-level', 'debug', '--actuations', str(self.acts), *args), speed)
        self.addCleanup(twin.kill)
        return twin

    def roads(self, twin):
        return [json.loads(line)['road'] for line in twin.log().splitlines() if '"road"' in line]

    def starts(self):
        lines = self.acts.read_text().splitlines() if self.acts.exists() else []
        return [row['uid'] for row in map(json.loads, lines) if row['what'] == 'motion']

    def test_a_cup_over_mqtt(self):
        self.begin()
        twin = self.twin('--mqtt', f'127.0.0.1:{self.port}')
        until(lambda: self.admin.machine('t-1')['mqtt'] and self.admin.machine('t-1')['step'] == 'idle', what='the twin')
        command = self.admin.order('t-1')
        until(lambda: self.admin.state(command) == 'complete', 60, 'the cup')
        self.assertEqual(len(self.starts()), 1)
        log = self.srv.log()
        for message in ('hello', 'claim', 'report'):
            self.assertIn(f'mqtt machines/{{machine}}/{message}', log)
        self.assertNotIn('/api/commands/update', log)
        watcher = Mqtt(self.port, 'staff', ADMIN_TOKEN)
        self.addCleanup(watcher.drop)
        watcher.subscribe('machines/+/state')
        self.assertEqual(watcher.take('machines/t-1/state').json['state'], 'online')
        twin.kill()
        until(lambda: watcher.take('machines/t-1/state').json['state'] == 'offline', what='the will')

    def test_what_is_settled_is_not_carried_on_with(self):
        self.begin()
        token = self.admin.post('/api/machines', {'machine_id': 'm-1', 'kind': 'espresso'}).json['token']
        board = MqttBoard(self.port, 'm-1', token)
        self.addCleanup(board.drop)
        board.hello()
        command = self.admin.order('m-1')
        offer, claim_id = board.offer(), harness.new_id()
        self.assertIs(board.claim(offer, claim_id)['granted'], True)
        harness.Board(self.srv.port, 'm-1', token).hello()      # another journal: nobody can account for it now
        self.admin.settle(command)
        columns = ['t_ms', 'temperature_c', 'pressure_bar', 'flow_ml_s', 'current_a', 'volume_ml']
        board.say('progress', {'command_id': command, 'claim_id': claim_id, 'step': 'brewing', 'columns': columns,
                               'samples': []}, qos=0)
        stop = board.take('machines/m-1/stop').json
        self.assertEqual((stop['command_id'], stop['claim_id']), (command, claim_id))

    def test_http_carries_on_where_there_is_no_mqtt(self):
        self.begin()
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            twin = self.twin('--mqtt', f'127.0.0.1:{free.getsockname()[1]}')
            command = self.admin.order('t-1')
            until(lambda: self.admin.state(command) == 'complete', 60, 'the cup')
        self.assertEqual(self.roads(twin), ['http'])
        self.assertEqual(len(self.starts()), 1)

    def test_roads_change_in_the_middle_of_orders(self):
        self.begin()
        twin = self.twin('--mqtt', f'127.0.0.1:{self.port}')
        commands = [self.admin.order('t-1') for _ in range(6)]
        turns = 0

        def over():
            nonlocal turns
            turns += 1
            if turns % 4 == 0:
                twin.process.send_signal(signal.SIGUSR1)
            return all(self.admin.state(command) == 'complete' for command in commands)
        until(over, 120, 'six cups')
        self.assertEqual(len(self.starts()), 6)
        self.assertEqual(len(set(self.starts())), 6)
        self.assertIn('http', self.roads(twin))
        self.assertIn('mqtt', self.roads(twin))

    def test_the_server_dies_and_comes_back(self):
        """Killed in the middle of orders, on the same ports: every cup is made once."""
        ports = []
        for _ in range(2):
            with socket.socket() as free:
                free.bind(('127.0.0.1', 0))
                ports.append(free.getsockname()[1])
        args = ('--listen', f'127.0.0.1:{ports[0]}', '--mqtt', f'127.0.0.1:{ports[1]}')
        self.srv = self.server(*args)
        self.port = port_of(self.srv)
        self.admin = self.srv.admin()
        self.twin('--mqtt', f'127.0.0.1:{self.port}')
        commands = [self.admin.order('t-1') for _ in range(4)]
        for _ in range(3):
            until(lambda: any(self.admin.state(command) == 'running' for command in commands) or
                  all(self.admin.state(command) == 'complete' for command in commands), 60, 'work')
            self.srv.kill()
            self.srv = self.server(*args)
            self.admin = self.srv.admin()
        until(lambda: all(self.admin.state(command) == 'complete' for command in commands), 120, 'four cups')
        self.assertEqual(len(self.starts()), 4)
        self.assertEqual(len(set(self.starts())), 4)


if __name__ == '__main__':
    harness.main()
