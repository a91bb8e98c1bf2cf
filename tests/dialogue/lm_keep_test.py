#!/usr/bin/env python3
"""What a model's folder says of it, saving over other models, and clients that read slowly."""
import json
import socket
import unittest

import harness
import lm_toy
from harness import until
from lm_kit import Assistant, Stream, gauge


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


class Slow(Assistant):
    def test_who_reads_slowly_misses_nothing(self):
        """The client's window is so small that most of the answer waits in the server, and nobody waits for it."""
        ask = {'model': 'tanka', 'messages': [{'role': 'user', 'content': 'x'}], 'max_tokens': 480, 'stream': True,
               'seed': 3, 'temperature': 1}
        stream = Stream(self.srv, '/v1/chat/completions', ask)
        stream.close()
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        small.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        small.settimeout(harness.REPLY_S)
        small.connect(('127.0.0.1', self.srv.port))
        body = json.dumps(ask).encode()
        small.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                      b'Content-Type: application/json\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
        made = 'automat_lm_tokens_total{kind="made"}'
        until(lambda: gauge(self.admin, made) >= 480 and gauge(self.admin, 'automat_lm_running') == 0,
              what='the whole answer')
        data = b''
        while part := small.recv(65536):
            data += part
        small.close()
        text, events = '', [line[6:] for line in data.decode().split('\n') if line.startswith('data: ')]
        self.assertEqual(events.pop(), '[DONE]')
        for event in events:
            for choice in json.loads(event)['choices']:
                text += choice['delta'].get('content') or ''
        whole = self.guest.post('/v1/chat/completions', {**ask, 'stream': False}).json
        self.assertEqual(text, whole['choices'][0]['message']['content'])


if __name__ == '__main__':
    harness.main()
