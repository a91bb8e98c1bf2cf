#!/usr/bin/env python3
"""/v1 as clients of the OpenAI layout speak it: a small client that asks, reads and fails as theirs does."""
import json
import types

import harness
from lm_kit import Assistant, Stream


class ApiError(Exception):
    """What theirs raises: status, and the error's own fields."""

    def __init__(self, status, error):
        super().__init__(error['message'])
        self.status, self.type, self.param, self.code = status, error['type'], error['param'], error['code']


def things(value):
    """Objects with attributes, as their models are."""
    if isinstance(value, dict):
        return types.SimpleNamespace(**{name: things(item) for name, item in value.items()})
    return [things(item) for item in value] if isinstance(value, list) else value


class Client:
    def __init__(self, server, token=None):
        self.server, self.token = server, token
        self.client = server.client(token)

    def _read(self, reply):
        if reply.status != 200:
            raise ApiError(reply.status, reply.json['error'])
        return things(reply.json)

    def models(self):
        return self._read(self.client.get('/v1/models')).data

    def model(self, name):
        return self._read(self.client.get(f'/v1/models/{name}'))

    def chat(self, model='tanka', messages=None, **more):
        body = {'model': model, 'messages': messages or [{'role': 'user', 'content': 'hello'}], **more}
        return self._read(self.client.post('/v1/chat/completions', body, headers={
            'Accept': 'application/json', 'User-Agent': 'Client/Python 1.0', 'X-Stainless-Lang': 'python'}))

    def stream(self, model='tanka', messages=None, **more):
        body = {'model': model, 'messages': messages or [{'role': 'user', 'content': 'hello'}], 'stream': True, **more}
        stream = Stream(self.server, '/v1/chat/completions', body, self.token)
        if stream.begin() != 200:
            fault = ApiError(stream.answer.status, json.loads(stream.answer.read())['error'])
            stream.close()
            raise fault
        ended = False
        for event in stream.events():
            if ended:
                raise AssertionError('more after [DONE]')
            ended = event == '[DONE]'
            if not ended:
                yield things(json.loads(event))
        stream.close()
        if not ended:
            raise AssertionError('no [DONE]')


class V1(Assistant):
    def setUp(self):
        super().setUp()
        self.ai = Client(self.srv)
        self.addCleanup(self.ai.client.close)

    def fails(self, status, code, param, call, *args, **more):
        with self.assertRaises(ApiError) as caught:
            result = call(*args, **more)
            list(result) if hasattr(result, '__next__') else None
        fault = caught.exception
        self.assertEqual((fault.status, fault.code, fault.param), (status, code, param))
        return fault

    def test_models(self):
        self.assertEqual([model.id for model in self.ai.models()], ['tanka', 'villanelle'])
        self.assertEqual(self.ai.model('tanka').object, 'model')
        self.fails(404, 'model_not_found', 'model', self.ai.model, 'gpt-4o')
        self.fails(404, 'model_not_found', 'model', self.ai.model, 'ode')           # not trained: no choice

    def test_a_completion(self):
        answer = self.ai.chat(max_tokens=9, temperature=1.0, top_p=0.9, seed=1, user='me', metadata={'a': 'b'},
                              frequency_penalty=0, n=1, tools=None, logit_bias=None)
        choice = answer.choices[0]
        self.assertTrue(answer.id.startswith('chatcmpl-'))
        self.assertEqual((answer.object, choice.index, choice.message.role), ('chat.completion', 0, 'assistant'))
        self.assertEqual((len(choice.message.content), choice.finish_reason), (9, 'length'))
        self.assertEqual(answer.usage.completion_tokens, 9)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 9)
        self.assertEqual(self.ai.chat(max_completion_tokens=4).usage.completion_tokens, 4)

    def test_messages_of_all_kinds(self):
        answer = self.ai.chat(max_tokens=2, messages=[
            {'role': 'developer', 'content': 'be brief'}, {'role': 'system', 'content': 'be kind'},
            {'role': 'user', 'content': [{'type': 'text', 'text': 'one '}, {'type': 'text', 'text': 'two'}]},
            {'role': 'assistant', 'content': 'yes', 'refusal': None}, {'role': 'user', 'content': 'go on', 'name': 'x'}])
        self.assertEqual(len(answer.choices[0].message.content), 2)
        long = [{'role': role, 'content': 'y'} for _ in range(60) for role in ('user', 'assistant')]
        self.assertTrue(self.ai.chat(max_tokens=2, messages=[*long, {'role': 'user', 'content': 'z'}]).choices)

    def test_stop(self):
        whole = self.ai.chat(max_tokens=100, temperature=0).choices[0].message.content
        stop = whole[30:32]
        for given in (stop, [stop], [stop, 'never said']):
            choice = self.ai.chat(max_tokens=100, temperature=0, stop=given).choices[0]
            self.assertEqual((choice.message.content, choice.finish_reason), (whole[:whole.index(stop)], 'stop'))

    def test_chunks(self):
        chunks = list(self.ai.stream(max_tokens=200, seed=5, temperature=1, stream_options={'include_usage': True}))
        self.assertEqual({chunk.object for chunk in chunks}, {'chat.completion.chunk'})
        self.assertEqual(len({chunk.id for chunk in chunks}), 1)
        self.assertEqual(chunks[0].choices[0].delta.role, 'assistant')
        self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks[:-1]], [None] * (len(chunks) - 2) + ['length'])
        self.assertEqual((chunks[-1].choices, chunks[-1].usage.completion_tokens), ([], 200))
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))
        text = ''.join(getattr(chunk.choices[0].delta, 'content', '') for chunk in chunks[:-1])
        self.assertEqual(text, self.ai.chat(max_tokens=200, seed=5, temperature=1).choices[0].message.content)
        plain = list(self.ai.stream(max_tokens=3))
        self.assertTrue(all(not hasattr(chunk, 'usage') for chunk in plain))

    def test_an_answer_under_a_schema(self):
        schema = {'type': 'object', 'additionalProperties': False, 'required': ['size', 'ml', 'hot'], 'properties': {
            'size': {'enum': ['small', 'large']}, 'ml': {'type': 'integer', 'minimum': 10, 'maximum': 99},
            'hot': {'type': 'boolean'}}}
        for seed in range(5):
            answer = self.ai.chat(max_tokens=100, temperature=2, seed=seed, response_format={
                'type': 'json_schema', 'json_schema': {'name': 'cup', 'strict': True, 'schema': schema}})
            cup = json.loads(answer.choices[0].message.content)
            self.assertIn(cup['size'], ('small', 'large'))
            self.assertTrue(10 <= cup['ml'] <= 99 and isinstance(cup['hot'], bool), cup)
            self.assertEqual(answer.choices[0].finish_reason, 'stop')
        self.fails(400, 'invalid_value', 'response_format', self.ai.chat, response_format={'type': 'json_object'})
        self.fails(400, 'invalid_value', 'response_format', self.ai.chat, response_format={
            'type': 'json_schema', 'json_schema': {'name': 'x', 'schema': {'type': 'string', 'pattern': '(a+)+$'}}})

    def test_errors(self):
        for code, param, more in (
                ('invalid_value', 'n', {'n': 2}), ('invalid_value', 'temperature', {'temperature': 3}),
                ('invalid_value', 'temperature', {'temperature': '1'}), ('invalid_value', 'top_p', {'top_p': -1}),
                ('invalid_value', 'max_tokens', {'max_tokens': 0}), ('invalid_value', 'stop', {'stop': ['x'] * 9}),
                ('invalid_value', 'stream', {'stream': 1}), ('invalid_value', 'messages', {'messages': [{'role': 'x'}]}),
                ('invalid_value', 'messages', {'messages': [{'role': 'user', 'content': [{'type': 'image_url'}]}]}),
                ('invalid_value', 'messages', {'messages': [{'role': 'assistant', 'content': 'x'}]}),
                ('context_length_exceeded', 'messages', {'messages': [{'role': 'user', 'content': 'long ' * 3000}]})):
            with self.subTest(str(more)[:60]):
                fault = self.fails(400, code, param, self.ai.chat, **more)
                self.assertEqual(fault.type, 'invalid_request_error')
        self.fails(404, 'model_not_found', 'model', self.ai.chat, model='gpt-4o')
        self.assertEqual(self.fails(503, 'model_not_trained', None, self.ai.chat, model='ode').type, 'server_error')
        self.fails(404, 'model_not_found', 'model', self.ai.stream, model='gpt-4o')
        wrong = Client(self.srv, 'sk-of-somebody-else')
        self.assertEqual(self.fails(401, 'unauthenticated', None, wrong.chat).type, 'authentication_error')
        self.assertEqual(self.srv.client().get('/v1/embeddings').json['error']['code'], 'not_found')
        self.assertEqual(self.srv.client().get('/v1/chat/completions').status, 405)
        self.assertEqual(self.srv.client().post('/v1/chat/completions', raw=b'{').json['error']['code'], 'bad_json')

    def test_with_a_token(self):
        token = self.admin.post('/api/tokens', {'name': 'sdk', 'role': 'customer'}).json['token']
        self.assertEqual(len(Client(self.srv, token).chat(max_tokens=3).choices[0].message.content), 3)


if __name__ == '__main__':
    harness.main()
