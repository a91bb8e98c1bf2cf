"""MQTT over TLS: clients of others, a window's twin, and a certificate that changes while they are connected."""
import re
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

import harness
from harness import until
from mqtt_client import Mqtt, MqttBoard


class Authority:
    """A certificate authority, and server certificates by it."""

    def __init__(self, folder, name='Test CA'):
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / 'ca.pem', self.folder / 'ca.key'
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout',
                      self.key, '-out', self.cert, '-days', '2', '-subj', f'/CN={name}', '-addext',
                      'basicConstraints=critical,CA:TRUE')

    def _openssl(self, *words):
        subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True)

    def issue(self, cert, key, san='IP:127.0.0.1,DNS:localhost'):
        """A new key and certificate in these files."""
        request, extra = self.folder / 'request.pem', self.folder / 'extra.cnf'
        extra.write_text(f'subjectAltName={san}\nbasicConstraints=CA:FALSE\n', encoding='ascii')
        self._openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key,
                      '-out', request, '-subj', '/CN=automat')
        self._openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-out',
                      cert, '-days', '2', '-extfile', extra)


def secure_port(server):
    """Where MQTT over TLS is served."""
    found = until(lambda: re.search(r'"what":"mqtt_tls","address":"127\.0\.0\.1:(\d+)"', server.log()), what='the port')
    return int(found.group(1))


def serial_of(port, ca, alpn='mqtt'):
    """The serial number of the certificate that is shown at this port, and the protocol agreed on."""
    context = ssl.create_default_context(cafile=str(ca))
    if alpn:
        context.set_alpn_protocols([alpn])
    with socket.create_connection(('127.0.0.1', port), timeout=harness.REPLY_S) as plain, \
            context.wrap_socket(plain, server_hostname='127.0.0.1') as secure:
        return secure.getpeercert()['serialNumber'], secure.selected_alpn_protocol()


class Secure(harness.Case):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder / 'ca')
        self.cert, self.key = self.folder / 'cert.pem', self.folder / 'key.pem'
        self.authority.issue(self.cert, self.key)
        # The window model may be asked, but moves nothing: the order of the test is the only one.
        self.srv = self.server('--climate-confidence', '1', '--mqtt-tls', '127.0.0.1:0', '--tls-cert', str(self.cert),
                               '--tls-key', str(self.key))
        self.port = secure_port(self.srv)
        self.admin = self.https(self.srv.admin_token)

    def https(self, token):
        client = self.srv.client(token)
        context = ssl.create_default_context(cafile=str(self.authority.cert))
        client.connection = harness.http.client.HTTPSConnection('127.0.0.1', self.srv.port, timeout=harness.REPLY_S,
                                                                context=context)
        return client

    def paho(self, user='x', password=None, **more):
        client = Mqtt(self.port, user, password or self.srv.admin_token, tls=str(self.authority.cert), **more)
        self.addCleanup(client.drop)
        return client

    def machine(self, name, kind='window'):
        reply = self.admin.post('/api/machines', {'machine_id': name, 'kind': kind})
        self.assertEqual(reply.status, 201, reply)
        return reply.json['token']

    def secure_twin(self, name, token, *args, ca=None):
        return self.twin(self.srv, name, token, '--kind', 'window', '--server', f'https://127.0.0.1:{self.srv.port}',
                         '--mqtts', f'127.0.0.1:{self.port}', '--cacert', str(ca or self.authority.cert), *args,
                         speed=4)  # control steps that a busy host does not miss

    # ---- clients of others ----

    def test_paho(self):
        token = self.machine('w-1')
        board = MqttBoard(self.port, 'w-1', token, kind='window', tls=str(self.authority.cert))
        self.addCleanup(board.drop)
        self.assertEqual(board.hello()['admission'], 'admitted')
        board.publish('sensor/w-1/temperature', '20.5')
        latest = self.admin.get('/api/telemetry/latest?machine_id=w-1').json['items']
        self.assertEqual([item['value'] for item in latest], [20.5])
        watch = self.paho()
        watch.subscribe('notes/#')
        self.paho('y').publish('notes/large', '"' + 'z' * 200000 + '"')
        self.assertEqual(len(watch.take('notes/large').json), 200000)

    def test_mosquitto(self):
        if not shutil.which('mosquitto_pub'):
            self.skipTest('mosquitto-clients is not installed')
        listen = self.paho()
        listen.subscribe('notes/#')

        def common(ca):
            return ['-h', '127.0.0.1', '-p', str(self.port), '--cafile', str(ca), '-u', 'x', '-P', self.srv.admin_token]
        sub = subprocess.Popen(['mosquitto_sub', *common(self.authority.cert), '-q', '1', '-t', 'replies/#', '-t',
                                'notes/#', '-F', '%t %p', '-C', '2'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
        self.addCleanup(lambda: sub.poll() is None and sub.kill())
        until(lambda: re.search(r'^automat_mqtt_subscriptions 3$', self.admin.get('/metrics').body.decode(), re.M),
              what='mosquitto_sub')
        for alpn in ([], ['--tls-alpn', 'mqtt']):
            done = subprocess.run(['mosquitto_pub', *common(self.authority.cert), *alpn, '-q', '1', '-t', 'notes/m',
                                   '-m', f'"{len(alpn)}"'], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            self.assertEqual(listen.take('notes/m').json, str(len(alpn)))
        out, err = sub.communicate(timeout=60)
        self.assertEqual((sub.returncode, out.split('\n')[:2]), (0, ['notes/m "0"', 'notes/m "2"']), err)
        # Who offers another protocol is in the wrong place; who trusts another authority goes away.
        done = subprocess.run(['mosquitto_pub', *common(self.authority.cert), '--tls-alpn', 'http/1.1', '-t', 'notes/m',
                               '-m', '1'], capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        other = Authority(self.folder / 'other')
        done = subprocess.run(['mosquitto_pub', *common(other.cert), '-t', 'notes/m', '-m', '1'], capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)

    def test_each_port_speaks_one_protocol(self):
        ca = self.authority.cert
        self.assertEqual(serial_of(self.port, ca)[1], 'mqtt')
        self.assertEqual(serial_of(self.srv.port, ca, 'http/1.1')[1], 'http/1.1')
        self.assertIsNone(serial_of(self.port, ca, None)[1])
        for port, alpn in ((self.port, 'http/1.1'), (self.srv.port, 'mqtt')):
            with self.assertRaises(ssl.SSLError):
                serial_of(port, ca, alpn)

    def test_not_tls(self):
        for data in (b'\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04none', b'GET / HTTP/1.1\r\n\r\n',
                     b'\x16\x03\x01' + b'z' * 600):
            with socket.create_connection(('127.0.0.1', self.port), timeout=harness.REPLY_S) as sock:
                sock.sendall(data)
                answer = b''
                try:
                    while part := sock.recv(4096):
                        answer += part
                except ConnectionResetError:
                    pass
                self.assertNotEqual(answer[:1], b'\x20')              # no CONNACK
        self.paho()                                                   # it goes on

    # ---- twins ----

    def test_a_window_over_tls(self):
        twin = self.secure_twin('w-2', self.machine('w-2'))
        until(lambda: self.admin.machine('w-2')['mqtt'], what='the twin')
        reply = self.admin.post('/api/commands/create',
                                {'machine_id': 'w-2', 'command': 'set_position', 'payload': {'position': 40}})
        self.assertEqual(reply.status, 201, reply)
        number = reply.json['command_id']
        until(lambda: self.admin.state(number) not in ('pending', 'running'), seconds=90, what='the order')
        self.assertEqual(self.admin.state(number), 'complete', self.admin.show(number))
        self.assertTrue(self.admin.machine('w-2')['mqtt'])
        until(lambda: self.admin.get('/api/telemetry/latest?machine_id=w-2').json['items'], what='a reading')
        self.assertEqual(twin.stop(), 0)
        self.assertNotIn('"road":"http"', twin.log())

    def test_a_twin_that_trusts_another(self):
        """It says why, and shows its token to nobody: the HTTP road, by the same certificate, is closed as well."""
        token = self.machine('w-3')
        other = Authority(self.folder / 'other')
        twin = self.secure_twin('w-3', token, ca=other.cert)
        until(lambda: 'TLS failed' in twin.log(), what='the refusal')
        self.assertIn('127.0.0.1: ', twin.log())
        self.assertFalse(self.admin.machine('w-3')['mqtt'])
        self.assertFalse(self.admin.machine('w-3')['online'])
        self.assertEqual(twin.stop(), 0)
        self.assertNotIn(token, twin.log())

    def test_a_certificate_for_somebody_else(self):
        self.authority.issue(self.cert, self.key, san='DNS:elsewhere.example')
        token = self.machine('w-4')
        self.reload()
        twin = self.secure_twin('w-4', token)
        until(lambda: 'TLS failed' in twin.log(), what='the refusal')
        self.assertIn('mismatch', twin.log())
        self.assertEqual(twin.stop(), 0)

    def test_what_a_twin_is_told(self):
        for args, word in ((['--mqtts', '127.0.0.1'], 'mqtts'),
                           (['--mqtts', '127.0.0.1:1', '--server', f'http://127.0.0.1:{self.srv.port}'], 'https'),
                           (['--mqtts', '127.0.0.1:1', '--cacert', str(self.folder / 'none.pem')], 'none.pem')):
            done = subprocess.run([harness.binary(), 'twin', '--kind', 'window', '--id', 'w-5', '--token', 'auto',
                                   '--server', f'https://127.0.0.1:{self.srv.port}', *args], capture_output=True,
                                  text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(word, done.stderr)

    # ---- tools ----

    def tool(self, *args, ca=None):
        env = {'PATH': '/usr/bin:/bin', 'AUTOMAT_ADMIN_TOKEN': self.srv.admin_token}
        return subprocess.run([harness.binary(), *args, '--server', f'https://127.0.0.1:{self.srv.port}', '--mqtts',
                               f'127.0.0.1:{self.port}', '--cacert', str(ca or self.authority.cert)],
                              capture_output=True, text=True, env=env, cwd=self.folder, timeout=120, check=False)

    def test_tools(self):
        for args, words in ((('load', '--devices', '5', '--rate', '10', '--seconds', '1'), 'acknowledged'),
                            (('validate', '--count', '3'), '3'),
                            (('monitor', '--count', '2', '--interval', '1'), 'messages/s')):
            done = self.tool(*args)
            self.assertEqual(done.returncode, 0, done)
            self.assertIn(words, done.stdout)

    def test_tools_that_meet_somebody_else(self):
        self.authority.issue(self.cert, self.key, san='DNS:elsewhere.example')
        self.reload()
        # With a token given nothing is asked over HTTP first, which shows the same certificate.
        done = self.tool('validate', '--token', 'x' * 40)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn('mismatch', done.stderr + done.stdout)

    # ---- a new certificate ----

    def reload(self):
        before = self.srv.log().count('certificate_read') + self.srv.log().count('certificate_kept')
        self.srv.process.send_signal(signal.SIGHUP)
        until(lambda: self.srv.log().count('certificate_read') + self.srv.log().count('certificate_kept') >= before + 2,
              what='both listeners')

    def test_a_new_certificate(self):
        old = self.paho()
        old.subscribe('notes/#')
        first, _ = serial_of(self.port, self.authority.cert)
        self.authority.issue(self.cert, self.key)
        self.assertEqual(serial_of(self.port, self.authority.cert)[0], first)
        self.reload()
        second, _ = serial_of(self.port, self.authority.cert)
        self.assertNotEqual(second, first)
        self.assertEqual(serial_of(self.srv.port, self.authority.cert, 'http/1.1')[0], second)
        self.paho('y').publish('notes/new', '1')
        self.assertEqual(old.take('notes/new').json, 1)               # who was there before stays
        self.key.write_text('no key', encoding='ascii')
        self.reload()
        self.assertIn('certificate_kept', self.srv.log())
        self.assertEqual(serial_of(self.port, self.authority.cert)[0], second)
        self.authority.issue(self.cert, self.key)                      # so that the end of the test finds it well


if __name__ == '__main__':
    harness.main()
