#!/usr/bin/env python3
"""What a model's folder says of it, saving over other models, and clients that read slowly."""
import http.client
import json
import socket

import harness
import lm_toy
from harness import until
from lm_kit import gauge


class Suits(harness.Case):
    def setUp(self):
        super().setUp()
        self.models = self.folder / 'models'
        self.tanka = lm_toy.write(self.models, 'tanka')

    def start(self, **suits):
        (self.tanka / 'generation.json').write_text(json.dumps(suits))
        self.srv = self.server('--models', str(self.models), '--corpus', str(self.folder / 'none'))
        return self.srv.client()

    def said(self, client, **more):
        """Two answers with seeds of their own: the same only where nothing is left to chance."""
        said = []
        for seed in (1, 2):
            own = client.post('/api/chat', {'model': 'tanka', 'messages': [{'role': 'user', 'content': 'x'}],
                                            'max_length': 40, 'seed': seed, **more})
            v1 = client.post('/v1/chat/completions', {'model': 'tanka', 'messages': [{'role': 'user', 'content': 'x'}],
                                                      'max_tokens': 40, 'seed': seed, **more})
            self.assertEqual((own.status, v1.status), (200, 200), own)
            said.append((own.json['response'], v1.json['choices'][0]['message']['content']))
        return said

    def test_presets_of_the_model(self):
        client = self.start(temperature=2)
        one, two = self.said(client)
        self.assertNotEqual(one[0], two[0])
        self.assertNotEqual(one[1], two[1])
        one, two = self.said(client, temperature=0)             # what is asked for goes before them
        self.assertEqual(one, two)
        self.srv.stop()
        one, two = self.said(self.start(temperature=0))
        self.assertEqual(one, two)

    def test_old_turns_give_way_earlier(self):
        client = self.start(prompt_max=60)
        turn = [{'role': 'user', 'content': 'q' * 20}, {'role': 'assistant', 'content': 'a' * 10}]
        reply = client.post('/api/chat', {'model': 'tanka', 'messages': turn * 5 + turn[:1], 'max_length': 4})
        self.assertEqual(reply.status, 200, reply)
        self.assertLessEqual(reply.json['usage']['prompt_tokens'], 60)
        reply = client.post('/api/chat', {'model': 'tanka', 'messages': [{'role': 'user', 'content': 'q' * 100}],
                                          'max_length': 4})
        self.assertEqual(reply.status, 200, reply)              # a question alone may be longer
        self.assertGreater(reply.json['usage']['prompt_tokens'], 100)


class Save(harness.Case):
    def test_over_another_model(self):
        models = self.folder / 'models'
        for name in ('tanka', 'villanelle'):
            lm_toy.write(models, name)
        before = {path: path.read_bytes() for path in models.glob('*/*')}
        server = self.server('--models', str(models))
        admin = server.admin()
        for path in ('villanelle', 'models/villanelle', 'ode'):
            self.refused(admin.post('/api/save-model', {'model': 'tanka', 'path': path}), 422, 'bad_path', 'path')
        self.assertEqual({path: path.read_bytes() for path in models.glob('*/*')}, before)
        reply = admin.post('/api/save-model', {'model': 'tanka', 'path': 'tanka', 'dtype': 'int8'})
        self.assertEqual(reply.status, 200, reply)
        self.refused(admin.post('/api/save-model', {'model': 'tanka', 'path': 'tanka', 'dtype': 'f32'}), 422,
                     'unsuitable_weights')


class Slow(harness.Case):
    """A client whose window is so small that its answer waits in the server.  The model speaks in long ids, so that it
    is more than what a connection queues (256 KiB)."""

    def begin(self, doublings, tokens):
        lm_toy.write(self.folder / 'models', 'tanka', doublings=doublings, context=1200)
        self.srv = self.server('--models', str(self.folder / 'models'))
        self.admin = self.srv.admin()
        body = json.dumps({'model': 'tanka', 'prompt': 'x', 'max_length': tokens, 'stream': True}).encode()
        small = socket.socket()
        self.addCleanup(small.close)
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        small.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        small.settimeout(harness.REPLY_S)
        small.connect(('127.0.0.1', self.srv.port))
        small.sendall(b'POST /api/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                      b'Content-Type: application/json\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
        return small

    def read(self, small):
        answer = http.client.HTTPResponse(small, method='POST')
        answer.begin()
        self.assertEqual(answer.status, 200)
        return [json.loads(line[6:]) for line in answer.read().decode().split('\n') if line.startswith('data: ')]

    def test_who_reads_late_misses_nothing(self):
        small = self.begin(9, 500)
        until(lambda: gauge(self.admin, 'automat_lm_tokens_total{kind="made"}') == 500 and
              gauge(self.admin, 'automat_lm_running') == 0, what='the whole answer')
        *pieces, last = self.read(small)
        self.assertEqual(last['usage']['completion_tokens'], 500)
        self.assertEqual(''.join(piece['delta'] for piece in pieces), 'a' * 512 * 500)
        self.assertEqual(last['generated_text'], 'a' * 512 * 500)

    def test_who_never_reads_is_let_go(self):
        small = self.begin(11, 1000)
        until(lambda: gauge(self.admin, 'automat_lm_cancelled_total') == 1, what='the end of patience')
        with self.assertRaises((ConnectionError, http.client.HTTPException)):
            self.read(small)
        reply = self.srv.client().post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 2})
        self.assertEqual(reply.status, 200, reply)


if __name__ == '__main__':
    harness.main()
