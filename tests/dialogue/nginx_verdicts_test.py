"""The same hostile requests to a real nginx, in front of a backend that takes anything, and to this server: what nginx
refuses, we refuse.  Where we refuse more, the table says why; where the table is wrong, the test fails."""
import os
import shutil
import socket
import subprocess
import threading

import harness
from harness import until

A = b'GET /healthz HTTP/1.1\r\n'
H = b'Host: localhost\r\n'
P = b'POST /api/nothing HTTP/1.1\r\nHost: localhost\r\n'
T = b'Transfer-Encoding: chunked\r\n'
E = b'\r\n'

# name, bytes, and why we refuse it although nginx 1.22 lets it pass ('' where the two must agree).
GOOD = '-'   # both must take it: the control group
NOWHERE = '='   # nginx looks at what a path means before anybody asked for it; here it must lead nowhere
CASES = (
    ('plain get', A + H + E, GOOD),
    ('plain post', P + b'Content-Length: 2\r\n\r\n{}', GOOD),
    ('chunked post', P + T + E + b'2\r\n{}\r\n0\r\n\r\n', GOOD),
    ('chunk size in capitals with zeros', P + T + E + b'000A\r\n0123456789\r\n0\r\n\r\n', GOOD),
    ('no space after colon', A + b'Host:localhost\r\n\r\n', GOOD),
    ('spaces around a value', A + H + b'X-A: \t b \t\r\n\r\n', GOOD),
    ('an empty value', A + H + b'X-A:\r\n\r\n', GOOD),
    ('host with a port', A + b'Host: localhost:80\r\n\r\n', GOOD),
    ('host as IPv6', A + b'Host: [::1]:80\r\n\r\n', GOOD),
    ('percent in the path', b'GET /health%7a HTTP/1.1\r\n' + H + E, GOOD),
    ('query', b'GET /api/commands?limit=1 HTTP/1.1\r\n' + H + E, GOOD),

    # two lengths, or none that can be read
    ('two lengths that differ', P + b'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}', ''),
    ('two lengths alike', P + b'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}', ''),
    ('a list of lengths', P + b'Content-Length: 2, 2\r\n\r\n{}', ''),
    ('a plus in the length', P + b'Content-Length: +2\r\n\r\n{}', ''),
    ('a minus in the length', P + b'Content-Length: -2\r\n\r\n{}', ''),
    ('a length in hex', P + b'Content-Length: 0x2\r\n\r\n{}', ''),
    ('a length with a letter', P + b'Content-Length: 2a\r\n\r\n{}', ''),
    ('a length with a space inside', P + b'Content-Length: 2 2\r\n\r\n{}', ''),
    ('an empty length', P + b'Content-Length:\r\n\r\n', ''),
    ('a length of twenty-five digits', P + b'Content-Length: 1000000000000000000000000\r\n\r\n', ''),
    ('a length past 2^64 that wraps to 2', P + b'Content-Length: 18446744073709551618\r\n\r\n{}', ''),
    ('length and chunked', P + b'Content-Length: 2\r\n' + T + E + b'2\r\n{}\r\n0\r\n\r\n', ''),
    ('chunked and length', P + T + b'Content-Length: 2\r\n' + E + b'2\r\n{}\r\n0\r\n\r\n', ''),

    # codings
    ('chunked twice in two lines', P + T + T + E + b'0\r\n\r\n', ''),
    ('chunked twice in one line', P + b'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n', ''),
    ('gzip, chunked', P + b'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', ''),
    ('chunked, identity', P + b'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n', ''),
    ('identity', P + b'Transfer-Encoding: identity\r\n\r\n', ''),
    ('xchunked', P + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', ''),
    ('chunked in quotes', P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', ''),
    ('chunked after a vertical tab', P + b'Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n', ''),
    ('an empty coding', P + b'Transfer-Encoding:\r\n\r\n', ''),
    ('chunked in HTTP/1.0', b'POST /api/nothing HTTP/1.0\r\n' + H + T + E + b'0\r\n\r\n', ''),
    ('space before the colon of the coding', P + b'Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n', ''),

    # chunks
    ('chunk size with a sign', P + T + E + b'+2\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk size with 0x', P + T + E + b'0x2\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk size empty', P + T + E + b'\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk size too large', P + T + E + b'fffffffffffffffff\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk size with a space before', P + T + E + b' 2\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk size with a space after', P + T + E + b'2 \r\n{}\r\n0\r\n\r\n',
     'white space that parsers read differently'),
    ('chunk shorter than its size', P + T + E + b'3\r\n{}\r\n0\r\n\r\n', 'a bare LF ends no line'),
    ('chunk longer than its size', P + T + E + b'1\r\n{}\r\n0\r\n\r\n', ''),
    ('chunk lines with bare LF', P + T + E + b'2\n{}\n0\n\n', 'a bare LF ends no line'),
    ('bare LF after the chunk size', P + T + E + b'2\n{}\r\n0\r\n\r\n', 'a bare LF ends no line'),
    ('bare LF after the chunk', P + T + E + b'2\r\n{}\n0\r\n\r\n', 'a bare LF ends no line'),
    ('bare CR in a chunk extension', P + T + E + b'2;a\rb\r\n{}\r\n0\r\n\r\n', ''),
    ('LF in a chunk extension', P + T + E + b'2;a\nb\r\n{}\r\n0\r\n\r\n', ''),

    # Host
    ('no Host', A + E, ''),
    ('two Hosts that differ', A + H + b'Host: elsewhere\r\n\r\n', ''),
    ('two Hosts alike', A + H + H + E, ''),
    ('empty Host', A + b'Host:\r\n\r\n', ''),
    ('Host with a path', A + b'Host: localhost/x\r\n\r\n', ''),
    ('Host with a space', A + b'Host: local host\r\n\r\n', ''),
    ('Host with a user', A + b'Host: me@localhost\r\n\r\n', 'user information belongs in no Host'),
    ('Host with a list', A + b'Host: a, b\r\n\r\n', ''),
    ('Host with a word as port', A + b'Host: localhost:http\r\n\r\n', 'a port is a number'),
    ('Host with NUL', A + b'Host: local\0host\r\n\r\n', ''),
    ('Host with a backslash', A + b'Host: local\\host\r\n\r\n', 'no such character in a host'),

    # lines
    ('bare LF everywhere', b'GET /healthz HTTP/1.1\nHost: localhost\n\n', 'a bare LF ends no line'),
    ('bare LF after the request line', b'GET /healthz HTTP/1.1\n' + H + E, 'a bare LF ends no line'),
    ('bare LF after a field', A + b'Host: localhost\nX-A: b\r\n\r\n', 'a bare LF ends no line'),
    ('bare LF at the end', A + H + b'\n', 'a bare LF ends no line'),
    ('bare CR in a value', A + H + b'X-A: b\rc\r\n\r\n', ''),
    ('bare CR as an end of line', A + H + b'X-A: b\rX-B: c\r\n\r\n', ''),
    ('CR CR LF', A + H + b'X-A: b\r\r\n\r\n', 'a CR belongs to an end of line'),
    ('a folded line', A + H + b'X-A: b\r\n c\r\n\r\n', ''),
    ('a folded line with a tab', A + H + b'X-A: b\r\n\tc\r\n\r\n', ''),
    ('white space before the first field', A + b' X-A: b\r\n' + H + E, ''),

    # names and values
    ('space before the colon', A + H + b'X-A : b\r\n\r\n', ''),
    ('tab before the colon', A + H + b'X-A\t: b\r\n\r\n', ''),
    ('no colon', A + H + b'X-A\r\n\r\n', 'not a field'),
    ('an empty name', A + H + b': b\r\n\r\n', ''),
    ('space in a name', A + H + b'X A: b\r\n\r\n', ''),
    ('NUL in a name', A + H + b'X\0A: b\r\n\r\n', ''),
    ('NUL in a value', A + H + b'X-A: b\0c\r\n\r\n', ''),
    ('a control byte in a name', A + H + b'X\x01A: b\r\n\r\n', ''),
    ('a control byte in a value', A + H + b'X-A: b\x01c\r\n\r\n', 'control bytes are no text'),
    ('DEL in a value', A + H + b'X-A: b\x7fc\r\n\r\n', 'control bytes are no text'),
    ('a high byte in a name', A + H + b'X\xe9A: b\r\n\r\n', 'not a token'),
    ('brackets in a name', A + H + b'X[A]: b\r\n\r\n', 'not a token'),
    ('a comma in a name', A + H + b'X,A: b\r\n\r\n', 'not a token'),

    # the request line
    ('two spaces after the method', b'GET  /healthz HTTP/1.1\r\n' + H + E, 'one space, as written'),
    ('two spaces before the version', b'GET /healthz  HTTP/1.1\r\n' + H + E, 'one space, as written'),
    ('space after the version', b'GET /healthz HTTP/1.1 \r\n' + H + E, 'one space, as written'),
    ('tabs for spaces', b'GET\t/healthz\tHTTP/1.1\r\n' + H + E, ''),
    ('a method in small letters', b'get /healthz HTTP/1.1\r\n' + H + E, ''),
    ('a method with a high byte', b'G\xc9T /healthz HTTP/1.1\r\n' + H + E, ''),
    ('no target', b'GET HTTP/1.1\r\n' + H + E, ''),
    ('no version', b'GET /healthz\r\n' + H + E, ''),
    ('HTTP/0.9 by name', b'GET /healthz HTTP/0.9\r\n' + H + E, ''),
    ('HTTP/2.0', b'GET /healthz HTTP/2.0\r\n' + H + E, ''),
    ('HTTP/1.10', b'GET /healthz HTTP/1.10\r\n' + H + E, 'no such version'),
    ('HTTP/1.2', b'GET /healthz HTTP/1.2\r\n' + H + E, 'no such version'),
    ('HTTP/01.1', b'GET /healthz HTTP/01.1\r\n' + H + E, ''),
    ('http in small letters', b'GET /healthz http/1.1\r\n' + H + E, ''),
    ('a version with a space', b'GET /healthz HTTP/ 1.1\r\n' + H + E, ''),
    ('four words', b'GET /healthz more HTTP/1.1\r\n' + H + E, ''),
    ('a target without a slash', b'GET healthz HTTP/1.1\r\n' + H + E, ''),
    ('a star for GET', b'GET * HTTP/1.1\r\n' + H + E, ''),
    ('NUL in the target', b'GET /health\0z HTTP/1.1\r\n' + H + E, ''),
    ('an encoded NUL in the target', b'GET /health%00z HTTP/1.1\r\n' + H + E, NOWHERE),
    ('a control byte in the target', b'GET /health\x01z HTTP/1.1\r\n' + H + E, ''),
    ('DEL in the target', b'GET /health\x7fz HTTP/1.1\r\n' + H + E, ''),
    ('a high byte in the target', b'GET /health\xe9z HTTP/1.1\r\n' + H + E, 'bytes above 127 are sent encoded'),
    ('a percent without digits', b'GET /health%zz HTTP/1.1\r\n' + H + E, ''),
    ('a percent at the end', b'GET /health% HTTP/1.1\r\n' + H + E, ''),
    ('out of the root', b'GET /../etc/passwd HTTP/1.1\r\n' + H + E, NOWHERE),
    ('out of the root, encoded', b'GET /%2e%2e/etc/passwd HTTP/1.1\r\n' + H + E, NOWHERE),
    ('a fragment', b'GET /healthz#x HTTP/1.1\r\n' + H + E, 'fragments are not sent'),
    ('CONNECT', b'CONNECT localhost:80 HTTP/1.1\r\n' + H + E, ''),
    ('the HTTP/2 preface', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', ''),
    ('a NUL first', b'\0' + A + H + E, ''),
    ('a space first', b' ' + A + H + E, ''),
)

CONFIG = '''
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/front.sock;
        proxy_http_version 1.1; proxy_ignore_client_abort on;
        location / {{ proxy_pass http://unix:{folder}/back.sock:; }}
    }}
}}
'''


class Backend:
    """Takes every request as nginx hands it on, and answers 200."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.sock.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                data = b''
                while b'\r\n\r\n' not in data:
                    part = peer.recv(65536)
                    if not part:
                        break
                    data += part
                try:
                    peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
                except OSError:
                    pass                  # nginx thought better of it


def ask(sock, data):
    """The status of the first answer; None when there is none, 0 when it has no head (HTTP/0.9)."""
    answer = b''
    sock.settimeout(30)
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while b'\r\n' not in answer:
            part = sock.recv(65536)
            if not part:
                break
            answer += part
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        sock.close()
    if not answer:
        return None
    if not answer.startswith(b'HTTP/1.'):
        return 0
    return int(answer.split()[1])


def refused(status):
    """By the reading of the request, not by a route: those say 401, 403, 404 or 405 here."""
    return status is None or status in (400, 408, 411, 413, 414, 417, 431, 501, 505)


class Verdicts(harness.Case):
    def nginx(self):
        program = shutil.which('nginx', path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin')
        if not program:
            self.skipTest('nginx is not installed')
        folder = self.folder / 'nginx'
        folder.mkdir(mode=0o755)
        os.chmod(self.folder, 0o755)
        backend = Backend(str(folder / 'back.sock'))
        self.addCleanup(backend.sock.close)
        os.chmod(folder / 'back.sock', 0o777)
        (folder / 'nginx.conf').write_text(CONFIG.format(folder=folder))
        process = subprocess.Popen([program, '-c', str(folder / 'nginx.conf'), '-p', str(folder), '-e',
                                    str(folder / 'error.log')], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        path = str(folder / 'front.sock')

        def connect():
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(path)
            except OSError:
                sock.close()
                self.assertIsNone(process.poll(), 'nginx did not start')
                return None
            return sock
        until(connect, what='nginx').close()
        return connect

    def test_what_nginx_refuses_we_refuse(self):
        nginx = self.nginx()
        server = self.server()
        for name, data, stricter in CASES:
            with self.subTest(name):
                theirs, ours = ask(nginx(), data), ask(server.raw(), data)
                if stricter == GOOD:
                    self.assertFalse(refused(theirs) or refused(ours), f'nginx {theirs}, we {ours}')
                elif stricter == NOWHERE:
                    self.assertTrue(refused(theirs) and (refused(ours) or ours == 404), f'nginx {theirs}, we {ours}')
                elif stricter:
                    self.assertTrue(refused(ours), f'we took it: {ours}')
                    self.assertFalse(refused(theirs), f'nginx refuses it, too ({theirs}): no reason is needed')
                else:
                    self.assertTrue(refused(theirs),
                                    f'nginx takes it ({theirs}); we say {ours}, and no reason is given')
                    self.assertTrue(refused(ours), f'nginx {theirs}, we {ours}')
        self.assertEqual(server.client().get('/healthz').status, 200)

    def test_nothing_hides_behind_a_refusal(self):
        """After a refused request the connection ends: what follows on it is never read as a request."""
        server = self.server()
        for name, data, stricter in CASES:
            if stricter in (GOOD, NOWHERE) or data.startswith(b'PRI'):
                continue
            with self.subTest(name):
                sock = server.raw()
                sock.settimeout(30)
                answer = b''
                try:
                    sock.sendall(data + b'GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
                    sock.shutdown(socket.SHUT_WR)
                    while part := sock.recv(65536):
                        answer += part
                except (ConnectionResetError, BrokenPipeError):
                    pass
                sock.close()
                self.assertLessEqual(answer.count(b'HTTP/1.1 '), 1, answer[:300])
                self.assertNotIn(b'HTTP/1.1 2', answer)


if __name__ == '__main__':
    harness.main()
