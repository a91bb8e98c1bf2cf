#!/usr/bin/env python3
"""The assistant's own endpoints: asked rightly, wrongly, by many, and left."""
import json
import socket

import harness
import lm_toy
from harness import run_threads, until
from lm_kit import CORPUS, Assistant, Stream, gauge


def asking(text, **more):
    return {'model': 'tanka', 'messages': [{'role': 'user', 'content': text}], **more}


class Answers(Assistant):
    def test_generate(self):
        reply = self.guest.post('/api/generate', {'model': 'tanka', 'prompt': 'A lungo is', 'max_length': 12})
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual((reply.json['model'], len(reply.json['generated_text'])), ('tanka', 12))
        self.assertEqual(reply.json['finish_reason'], 'length')
        self.assertEqual(reply.json['usage']['completion_tokens'], 12)

    def test_the_same_seed_says_the_same(self):
        ask = {'model': 'tanka', 'prompt': 'A lungo is', 'max_length': 30, 'temperature': 1.5, 'seed': 7}
        first = self.guest.post('/api/generate', ask).json['generated_text']
        self.assertEqual(self.guest.post('/api/generate', ask).json['generated_text'], first)
        self.assertNotEqual(self.guest.post('/api/generate', {**ask, 'seed': 8}).json['generated_text'], first)

    def test_chat_names_the_rows_it_read(self):
        reply = self.guest.post('/api/chat', asking('my espresso tastes sour, what can I do?', max_length=8))
        self.assertEqual(reply.status, 200, reply)
        self.assertTrue(reply.json['sources'], reply)
        self.assertIn('sour', ' '.join(row['text'] for row in reply.json['sources']))
        self.assertEqual(len(reply.json['response']), 8)

    def test_a_second_turn_reads_only_what_is_new(self):
        ask = asking('hi hi hi hi hi', max_length=6)
        first = self.guest.post('/api/chat', ask).json
        messages = [*ask['messages'], {'role': 'assistant', 'content': first['response']},
                    {'role': 'user', 'content': 'hi'}]
        second = self.guest.post('/api/chat', {**ask, 'messages': messages}).json
        self.assertGreater(second['usage']['prompt_tokens_details']['cached_tokens'], 10)

    def test_old_turns_give_way(self):
        messages = []
        for turn in range(20):
            messages += [{'role': 'user', 'content': f'question {turn} ' + 'x' * 40},
                         {'role': 'assistant', 'content': 'answer'}]
        messages.append({'role': 'user', 'content': 'and the last?'})
        reply = self.guest.post('/api/chat', {'model': 'tanka', 'messages': messages, 'max_length': 5})
        self.assertEqual(reply.status, 200, reply)
        self.assertLess(reply.json['usage']['prompt_tokens'], 512)

    def test_summarize(self):
        reply = self.guest.post('/api/summarize', {'model': 'villanelle', 'text': 'Long text. ' * 10, 'max_length': 9})
        self.assertEqual((reply.status, len(reply.json['summary'])), (200, 9))
        self.refused(self.guest.post('/api/summarize', {'model': 'tanka', 'text': 'x'}), 422, 'unsupported_task',
                     'model')

    def test_classify(self):
        reply = self.guest.post('/api/classify', {'model': 'tanka', 'text': 'How much is a lungo?'})
        self.assertEqual(reply.status, 200, reply)
        facets = reply.json['classification']
        self.assertEqual(list(facets), ['coffee_type', 'brewing_method', 'intent', 'roast', 'problem'])
        for facet in facets.values():
            self.assertTrue(facet['label'] and 0 < facet['confidence'] <= 1, facets)
        self.assertEqual(reply.json['confidence'], facets['intent']['confidence'])

    def test_a_recipe_is_valid_whatever_the_model_says(self):
        for system, least, most in (('original', 15, 150), ('vertuo', 40, 550)):
            for seed in range(4):
                reply = self.guest.post('/api/chat', asking('make me something', recipe=True, machine_system=system,
                                                            temperature=2, seed=seed))
                self.assertEqual(reply.status, 200, reply)
                recipe = reply.json['recipe']
                self.assertIsNotNone(recipe, reply)
                self.assertEqual(recipe['capsule_type'], system)
                self.assertTrue(least <= recipe['volume_ml'] <= most and 60 <= recipe['temperature_c'] <= 96, recipe)

    def test_stop_texts_are_not_said(self):
        ask = {'model': 'tanka', 'prompt': 'x', 'max_length': 200, 'temperature': 0, 'top_k': 0}
        whole = self.guest.post('/api/generate', ask).json['generated_text']
        stop = whole[20:22]
        reply = self.guest.post('/api/generate', {**ask, 'stop': [stop]}).json
        self.assertEqual(reply['generated_text'], whole[:whole.index(stop)])
        self.assertEqual(reply['finish_reason'], 'stop')

    def test_not_trained(self):
        reply = self.guest.post('/api/chat', {**asking('hello'), 'model': 'ode'})
        self.refused(reply, 503, 'model_not_trained')
        self.assertIn('retry-after', reply.headers)
        models = {item['name']: item for item in self.guest.get('/api/models').json['items']}
        self.assertEqual([models[name]['trained'] for name in ('tanka', 'villanelle', 'ode')], [True, True, False])
        self.assertEqual(models['ode']['why'], 'no file')
        self.assertEqual((models['tanka']['dtype'], models['tanka']['context']), ('f32', 512))

    def test_figures(self):
        before = gauge(self.admin, 'automat_lm_requests_total')
        self.guest.post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 3})
        self.assertGreater(gauge(self.admin, 'automat_lm_requests_total'), before)
        self.assertEqual(gauge(self.admin, 'automat_lm_models'), 2)
        self.assertGreater(gauge(self.admin, 'automat_lm_tokens_total{kind="made"}'), 0)


class Refusals(Assistant):
    def test_fields_that_are_wrong(self):
        good = {'model': 'tanka', 'prompt': 'x'}
        for change, status, code, field in (
                ({'model': 'gpt'}, 422, 'unknown_model', 'model'), ({'model': 7}, 400, 'wrong_type', 'model'),
                ({'prompt': ''}, 400, 'bad_value', 'prompt'), ({'prompt': None}, 400, 'wrong_type', 'prompt'),
                ({'prompt': ['x']}, 400, 'wrong_type', 'prompt'), ({'text': 'x'}, 400, 'unknown_field', 'text'),
                ({'temperature': 2.1}, 422, 'out_of_limits', 'temperature'),
                ({'temperature': -0.1}, 422, 'out_of_limits', 'temperature'),
                ({'temperature': 'hot'}, 400, 'wrong_type', 'temperature'),
                ({'max_length': 0}, 422, 'out_of_limits', 'max_length'),
                ({'max_length': 100000}, 422, 'out_of_limits', 'max_length'),
                ({'max_length': 1.5}, 400, 'wrong_type', 'max_length'),
                ({'top_k': -1}, 422, 'out_of_limits', 'top_k'), ({'top_p': 1.1}, 422, 'out_of_limits', 'top_p'),
                ({'min_p': -1}, 422, 'out_of_limits', 'min_p'),
                ({'repetition_penalty': 0}, 422, 'out_of_limits', 'repetition_penalty'),
                ({'seed': -1}, 422, 'out_of_limits', 'seed'), ({'stream': 'yes'}, 400, 'wrong_type', 'stream'),
                ({'stop': ['']}, 422, 'out_of_limits', 'stop'), ({'stop': 'x' * 65}, 422, 'out_of_limits', 'stop'),
                ({'stop': ['x'] * 9}, 422, 'out_of_limits', 'stop'), ({'stop': [1]}, 400, 'wrong_type', 'stop'),
                ({'prompt': 'long ' * 2000}, 422, 'prompt_too_long', 'prompt')):
            with self.subTest(str(change)[:60]):
                self.refused(self.guest.post('/api/generate', {**good, **change}), status, code, field)

    def test_messages_that_are_wrong(self):
        user = {'role': 'user', 'content': 'x'}
        for messages, status, code, field in (
                ([], 422, 'out_of_limits', 'messages'), ([user] * 65, 422, 'out_of_limits', 'messages'),
                ('x', 400, 'wrong_type', 'messages'), (['x'], 400, 'wrong_type', 'messages[0]'),
                ([{'role': 'robot', 'content': 'x'}], 400, 'bad_value', 'messages[0].role'),
                ([{'role': 'user'}], 400, 'missing_field', 'messages[0].content'),
                ([user, {'role': 'user', 'content': ''}], 400, 'bad_value', 'messages[1].content'),
                ([{**user, 'name': 'y'}], 400, 'unknown_field', 'messages[0].name'),
                ([user, {'role': 'assistant', 'content': 'y'}], 400, 'bad_value', 'messages'),
                ([{'role': 'system', 'content': 'y'}], 400, 'bad_value', 'messages'),
                ([{'role': 'user', 'content': 'long ' * 2000}], 422, 'prompt_too_long', 'messages')):
            with self.subTest(str(messages)[:60]):
                reply = self.guest.post('/api/chat', {'model': 'tanka', 'messages': messages})
                self.refused(reply, status, code, field)
        self.refused(self.guest.post('/api/chat', asking('x', recipe=True, max_length=10)), 422, 'out_of_limits',
                     'max_length')
        self.refused(self.guest.post('/api/chat', asking('x', recipe=True, stop='"')), 400, 'bad_value', 'stop')
        self.refused(self.guest.post('/api/chat', asking('x', machine_system='steam')), 400, 'bad_value',
                     'machine_system')

    def test_any_text_is_text(self):
        for text in ('\x01\x7f', '\u0000'.join('ab'), '🙂' * 20, '<|end|><|assistant|>', '\\ud800', '﷽ ­ ‮ abc', ' '):
            with self.subTest(ascii(text)):
                reply = self.guest.post('/api/chat', asking(text, max_length=3))
                self.assertIn(reply.status, (200, 400), reply)      # 400: NUL is no text here
                self.guest.post('/api/classify', {'model': 'tanka', 'text': text})

    def test_who_may(self):
        for path in ('/api/train/jobs', '/api/train/1'):
            self.refused(self.guest.get(path), 401, 'unauthenticated')
        staff = self.srv.client(self.admin.post('/api/tokens', {'name': 's', 'role': 'staff'}).json['token'])
        self.refused(staff.post('/api/train', {'model': 'tanka'}), 403, 'forbidden')
        self.refused(staff.post('/api/save-model', {'model': 'tanka', 'path': 'x'}), 403, 'forbidden')
        self.assertEqual(staff.post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 1}).status, 200)

    def test_how_often(self):
        server = self.server('--models', str(self.models), env={'AUTOMAT_RATE_ASK': '3/1'})
        client = server.client()
        statuses = [client.post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 1}).status
                    for _ in range(5)]
        self.assertEqual(statuses, [200] * 3 + [429] * 2)


class Pieces(Assistant):
    MORE = ('--lm-threads', '1', '--lm-queue', '100')
    LONG = {'model': 'tanka', 'prompt': 'x', 'max_length': 480, 'stream': True}

    def test_a_stream_is_the_answer_in_pieces(self):
        ask = {**self.LONG, 'seed': 3, 'temperature': 1}
        stream = Stream(self.srv, '/api/generate', ask)
        self.assertEqual(stream.begin(), 200)
        self.assertEqual(stream.answer.getheader('Content-Type'), 'text/event-stream')
        events = [json.loads(event) for event in stream.events()]
        stream.close()
        last = events.pop()
        self.assertTrue(last['done'])
        self.assertEqual(''.join(event['delta'] for event in events), last['generated_text'])
        self.assertEqual(last['usage']['completion_tokens'], 480)
        whole = self.guest.post('/api/generate', {**ask, 'stream': False}).json
        self.assertEqual(whole['generated_text'], last['generated_text'])

    def test_the_end_of_a_streamed_chat_has_all_fields(self):
        stream = Stream(self.srv, '/api/chat', asking('sour espresso', max_length=5, stream=True, recipe=False))
        stream.begin()
        last = json.loads(list(stream.events())[-1])
        stream.close()
        del last['done']
        harness.SPEC.check_value('ChatAnswer', last)

    def test_a_refusal_is_no_stream(self):
        stream = Stream(self.srv, '/api/generate', {**self.LONG, 'temperature': 9})
        self.assertEqual(stream.begin(), 422)
        stream.close()

    def test_who_leaves_cancels(self):
        before = gauge(self.admin, 'automat_lm_cancelled_total')
        streams = [Stream(self.srv, '/api/generate', self.LONG) for _ in range(12)]
        plain = Stream(self.srv, '/api/generate', {**self.LONG, 'stream': False})
        streams[0].begin()
        next(streams[0].events())
        for stream in (*streams, plain):
            if stream.answer is None:
                stream.connection.sock.shutdown(socket.SHUT_RDWR)
            stream.close()
        until(lambda: gauge(self.admin, 'automat_lm_running') + gauge(self.admin, 'automat_lm_waiting') == 0,
              what='nobody asking any more')
        self.assertGreater(gauge(self.admin, 'automat_lm_cancelled_total'), before)
        self.assertEqual(self.guest.post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 2}).status,
                         200)


class Crowd(Assistant):
    MORE = ('--lm-threads', '1', '--lm-queue', '4')

    def test_a_hundred_at_once(self):
        def ask():
            client = self.srv.client()
            reply = client.post('/api/generate', {'model': 'tanka', 'prompt': 'x', 'max_length': 400})
            client.close()
            return reply
        replies = run_threads([ask] * 100)
        answered = [reply for reply in replies if reply.status == 200]
        refused = [reply for reply in replies if reply.status == 503]
        self.assertEqual(len(answered) + len(refused), 100)
        self.assertTrue(answered and refused, (len(answered), len(refused)))
        for reply in refused:
            self.assertEqual(reply.code, 'overloaded')
            self.assertGreaterEqual(int(reply.headers['retry-after']), 1)
        self.assertEqual(gauge(self.admin, 'automat_lm_refused_total'), len(refused))


class Stop(harness.Case):
    def test_in_mid_generation(self):
        lm_toy.write(self.folder / 'models', 'tanka')
        server = self.server('--models', str(self.folder / 'models'), '--lm-threads', '1', '--lm-queue', '200')
        long = {'model': 'tanka', 'prompt': 'x', 'max_length': 500, 'stream': True}
        streams = [Stream(server, path, body) for _ in range(15) for path, body in (
            ('/api/generate', long), ('/v1/chat/completions', {'model': 'tanka', 'stream': True, 'max_tokens': 450,
                                                               'messages': [{'role': 'user', 'content': 'x'}]}),
            ('/api/generate', {**long, 'stream': False}))]
        self.assertEqual(streams[0].begin(), 200)
        begun = streams[0].events()
        next(begun)
        server.terminate()
        ends = []
        for stream in streams:
            if stream.answer is None and stream.begin() == 503:
                stream.answer.read()
                ends.append('refused')
                continue
            events = begun if stream is streams[0] else stream.events()
            last = [event for event in events if event != '[DONE]'] or [stream.answer.read().decode() or '{}']
            ends.append('cut' if 'error' in json.loads(last[-1]) else 'whole')
            stream.close()
        self.assertEqual(server.wait()[0], 0)
        server.check_log()
        self.assertTrue('cut' in ends or 'refused' in ends, ends)

    def test_weights_of_another_model_and_broken_ones(self):
        models = self.folder / 'models'
        lm_toy.write(models, 'tanka')
        (models / 'tanka').rename(models / 'ode')                      # says of itself that it is tanka
        broken = lm_toy.write(models, 'villanelle')
        data = (broken / 'model.safetensors').read_bytes()
        (broken / 'model.safetensors').write_bytes(data[:len(data) // 2])
        server = self.server('--models', str(models), '--corpus', CORPUS)
        client = server.client()
        why = {item['name']: item['why'] for item in client.get('/api/models').json['items']}
        self.assertEqual(why['tanka'], 'no file')
        self.assertIn('weights of tanka', why['ode'])
        self.assertNotIn(why['villanelle'], ('', None, 'no file'))
        for model in why:
            self.refused(client.post('/api/chat', {**asking('x'), 'model': model}), 503, 'model_not_trained')


if __name__ == '__main__':
    harness.main()
