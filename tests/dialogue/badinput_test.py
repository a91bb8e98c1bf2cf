"""Bad input: each gets a problem document with a stable code, names the field at fault, and changes nothing."""
import json

import harness
from harness import ESPRESSO, new_id


class BadInput(harness.Shared):
    def setUp(self):
        super().setUp()
        self.one = self.board()

    def tearDown(self):
        # Whatever a test sent, no command was made by it, and the server still takes a good one.
        self.assertEqual(self.admin.pages(f'/api/commands?machine_id={self.name}'), [])
        command = self.admin.order(self.name)
        self.assertEqual(self.admin.post(f'/api/commands/{command}/cancel').status, 200)

    def send(self, body):
        return self.admin.post('/api/commands/create', body)

    def send_raw(self, data, **headers):
        return self.admin.post('/api/commands/create', raw=data,
                               headers={name.replace('_', '-'): value for name, value in headers.items()})

    def recipe(self, **change):
        recipe = {**ESPRESSO, **change}
        return {'machine_id': self.name, 'recipe': {name: value for name, value in recipe.items() if value != '-'}}

    def test_wrong_types(self):
        good = self.recipe()
        for body, field in (
                (self.recipe(volume_ml='lots'), 'recipe.volume_ml'),
                (self.recipe(temperature_c=[92]), 'recipe.temperature_c'),
                (self.recipe(temperature_c=True), 'recipe.temperature_c'),
                (self.recipe(volume_ml={}), 'recipe.volume_ml'),
                (self.recipe(capsule_type=3), 'recipe.capsule_type'),
                ({**good, 'recipe': []}, 'recipe'), ({**good, 'recipe': 'espresso'}, 'recipe'),
                ({**good, 'execute_allowed': 'yes'}, 'execute_allowed'),
                ({**good, 'execute_allowed': 1}, 'execute_allowed'),
                ({**good, 'meta': []}, 'meta'), ({**good, 'meta': 'x'}, 'meta'),
                ({**good, 'machine_id': 7}, 'machine_id'),
                ({**good, 'not_after_s': '60'}, 'not_after_s'),
                ({**good, 'accessory_instructions': 'push'}, 'accessory_instructions')):
            with self.subTest(field=field, body=str(body)[:120]):
                self.refused(self.send(body), 400, 'wrong_type', field)

    def test_unknown_fields(self):
        for body, field in (({**self.recipe(), 'sugar': 2}, 'sugar'), (self.recipe(sugar=2), 'recipe.sugar'),
                            ({**self.recipe(), 'Recipe': {}}, 'Recipe'),
                            ({**self.recipe(), 'accessory_instructions': {'capsule_slot': 1, 'aim': 2}},
                             'accessory_instructions.aim')):
            with self.subTest(field):
                self.refused(self.send(body), 400, 'unknown_field', field)

    def test_missing_fields(self):
        self.refused(self.send({'recipe': ESPRESSO}), 400, 'missing_field', 'machine_id')
        self.assertEqual(self.send({'machine_id': self.name}).status, 400)
        self.assertEqual(self.send({}).status, 400)

    def test_out_of_limits(self):
        for change, field in (({'temperature_c': 59.9}, 'temperature_c'), ({'temperature_c': 96.1}, 'temperature_c'),
                              ({'temperature_c': -900}, 'temperature_c'), ({'temperature_c': 1e300}, 'temperature_c'),
                              ({'pre_infusion_ms': -1}, 'pre_infusion_ms'),
                              ({'pre_infusion_ms': 10001}, 'pre_infusion_ms'),
                              ({'volume_ml': 14}, 'volume_ml'), ({'volume_ml': 151}, 'volume_ml'),
                              ({'volume_ml': 0}, 'volume_ml')):
            with self.subTest(change):
                self.refused(self.send(self.recipe(**change)), 422, 'out_of_limits', f'recipe.{field}')

    def test_the_edges_are_inside(self):
        for change in ({'temperature_c': 60}, {'temperature_c': 96}, {'pre_infusion_ms': 0}, {'pre_infusion_ms': 10000},
                       {'volume_ml': 15}, {'volume_ml': 150}):
            (field, value), = change.items()
            machine = self.board(f'{self.name}-edge-{field}-{value}').name
            with self.subTest(change):
                reply = self.send({'machine_id': machine, 'recipe': {**ESPRESSO, **change}})
                self.assertEqual(reply.status, 201, reply)

    def test_numbers_that_are_not(self):
        for text in (b'NaN', b'Infinity', b'-Infinity', b'1e999', b'0x10', b'.5', b'5.', b'+1', b'01'):
            data = json.dumps(self.recipe()).encode().replace(b'92', text)
            with self.subTest(text):
                self.assertIn(self.send_raw(data).status, (400, 422))

    def test_json_that_is_not(self):
        good = json.dumps(self.recipe()).encode()
        for data in (b'', b'{', good[:-1], good + b'}', good + good, b'[1,]', b'{"a":1,}', b"{'a':1}", b'{"a" 1}',
                     b'\xef\xbb\xbf' + good, b'\0' + good, good[:-2] + b'\0}}', b'nul', b'"', b'{"a":"\n"}',
                     b'// x\n' + good):
            with self.subTest(data[:40]):
                self.refused(self.send_raw(data), 400, 'bad_json')

    def test_where_the_json_is_wrong_is_said(self):
        reply = self.send_raw(b'{\n  "machine_id": "m",\n  "recipe": oops\n}')
        self.refused(reply, 400, 'bad_json')
        self.assertRegex(reply.json['detail'].lower(), r'line 3')

    def test_not_an_object(self):
        for data in (b'[]', b'3', b'null', b'"text"', b'true'):
            with self.subTest(data):
                reply = self.send_raw(data)
                self.assertEqual(reply.status, 400)
                self.assertIn(reply.code, ('bad_json', 'wrong_type'))

    def test_the_same_name_twice(self):
        data = b'{"machine_id":"%s","machine_id":"other","recipe":{}}' % self.name.encode()
        self.refused(self.send_raw(data), 400, 'bad_json')

    def test_broken_utf8(self):
        for text in (b'\xff', b'\xc0\xaf', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xe2\x82', b'\x80'):
            data = json.dumps({**self.recipe(), 'meta': {'note': '@'}}).encode().replace(b'@', text)
            with self.subTest(text):
                self.refused(self.send_raw(data), 400, 'bad_json')

    def test_escapes_that_are_no_characters(self):
        for text in ('\\ud800', '\\udc00\\ud800', '\\u12', '\\x41'):
            data = json.dumps({**self.recipe(), 'meta': {'note': '@'}}).replace('@', text).encode()
            with self.subTest(text):
                self.refused(self.send_raw(data), 400, 'bad_json')

    def test_deep_json(self):
        for depth in (200, 5_000, 25_000):
            for data in (b'[' * depth + b']' * depth, b'{"a":' * depth + b'1' + b'}' * depth, b'[' * depth):
                with self.subTest(depth=depth):
                    reply = self.send_raw(data)
                    self.assertIn(reply.status, (400, 413))
        deep = json.dumps({**self.recipe(), 'meta': {'x': 0}}).replace('0}', '[' * 500 + ']' * 500 + '}').encode()
        self.assertEqual(self.send_raw(deep).status, 400)

    def test_huge_json(self):
        data = json.dumps({**self.recipe(), 'meta': {'x': 'y' * 300_000}}).encode()
        reply = self.send_raw(data)
        self.refused(reply, 413, 'too_large')
        data = json.dumps({**self.recipe(), 'meta': {f'k{n}': n for n in range(5_000)}}).encode()
        self.assertIn(self.send_raw(data).status, (413, 422, 400))

    def test_a_promised_body_that_is_too_large_is_not_waited_for(self):
        with self.srv.raw(b'POST /api/commands/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                          b'Content-Length: 99999999999\r\n\r\n') as sock:
            self.assertIn(harness.read_status(sock), (401, 413))

    def test_wrong_content_type(self):
        good = json.dumps(self.recipe()).encode()
        for kind in ('text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonx',
                     'text/json', '', 'application/json, text/plain'):
            with self.subTest(kind):
                self.refused(self.send_raw(good, Content_Type=kind), 415, 'bad_content_type')
        self.refused(self.send_raw(good, Content_Type=None), 415, 'bad_content_type')
        other = self.board(f'{self.name}-charset').name
        for kind in ('application/json; charset=utf-8', 'Application/JSON', 'application/json;charset="UTF-8"'):
            with self.subTest(kind):
                body = json.dumps({'machine_id': other, 'recipe': ESPRESSO}).encode()
                self.assertEqual(self.send_raw(body, Content_Type=kind).status, 201)

    def test_unknown_machine(self):
        reply = self.send({'machine_id': 'nobody', 'recipe': ESPRESSO})
        self.refused(reply, 404, 'unknown_machine')
        for path in ('', '/tokens'):
            self.refused(self.admin.get(f'/api/machines/nobody{path}'), 404, 'unknown_machine')
        for word, body in (('hold', {'reason': 'x'}), ('release', {}), ('admit', None), ('block', None)):
            self.refused(self.admin.post(f'/api/machines/nobody/{word}', body), 404, 'unknown_machine')

    def test_names_that_are_none(self):
        for name in ('', '../etc', 'a b', 'a/b', 'ü', 'x' * 300, '-', '\0', "';--", '.', '..'):
            with self.subTest(name):
                self.assertIn(self.send({'machine_id': name, 'recipe': ESPRESSO}).status, (400, 404, 422))
                reply = self.admin.post('/api/machines', {'machine_id': name, 'kind': 'espresso'})
                self.assertIn(reply.status, (400, 422) if name != '-' else (400, 422, 201))

    def test_paths_that_are_none(self):
        for path in ('/api/commands/abc', '/api/commands/0', '/api/commands/-1', '/api/commands/1.5',
                     '/api/commands/99999999999999999999', '/api/commands/1%00', '/api/commands/0x1',
                     '/api/commands/%2e%2e', '/api/commands/1/nothing', '/api/nothing', '/api/', '/api/commands/'):
            with self.subTest(path):
                self.assertIn(self.admin.get(path).status, (400, 404))
        self.assertEqual(self.admin.post(f'/api/commands/update/abc', {'status': 'brewing'}).status // 100, 4)

    def test_parameters_that_are_none(self):
        for query in ('limit=0', 'limit=201', 'limit=x', 'limit=-1', 'state=brewed', 'from=yesterday', 'to=2026',
                      'cursor=%00', 'cursor=zzz', 'machine_id=a%20b', 'limit=%zz', 'unheard=1', 'limit=1&limit=2'):
            with self.subTest(query):
                reply = self.admin.get(f'/api/commands?{query}')
                self.assertEqual(reply.status, 400, reply)
        for query in ('wait=0', 'wait=61', 'wait=x', 'wait=-1', 'wait=1e9', 'wait='):
            with self.subTest(query):
                self.assertEqual(self.one.get(f'/api/commands/check/{self.name}?{query}').status, 400)

    def test_wrong_methods(self):
        for method, path in (('GET', '/api/commands/create'), ('DELETE', '/api/commands'), ('PUT', '/api/machines'),
                             ('POST', f'/api/commands/check/{self.name}'), ('PATCH', '/api/session')):
            with self.subTest(f'{method} {path}'):
                reply = self.admin.call(method, path)
                self.refused(reply, 405, 'method_not_allowed')
                self.assertTrue(reply.headers['allow'])

    def test_unknown_kind_and_command(self):
        reply = self.admin.post('/api/machines', {'machine_id': f'{self.name}-x', 'kind': 'toaster'})
        self.assertIn(reply.status, (400, 422))
        self.assertEqual(self.admin.get(f'/api/machines/{self.name}-x').status, 404)
        reply = self.send({'machine_id': self.name, 'command': 'explode', 'payload': {}})
        self.assertIn(reply.status, (400, 422))

    def test_recipe_and_command_at_once(self):
        reply = self.send({**self.recipe(), 'command': 'brew', 'payload': ESPRESSO})
        self.assertEqual(reply.status, 400)

    def test_capsule_mismatch(self):
        reply = self.send(self.recipe(capsule_type='vertuo', capsule_variant='mug', volume_ml=230))
        self.refused(reply, 422, 'capsule_mismatch')

    def test_accessory_instructions_out_of_limits(self):
        for value in ({'insert_sequence': [{'action': 'throw'}]}, {'insert_sequence': [{}] * 500}, {'capsule_slot': -1},
                      {'insert_sequence': [{'action': 'press_button', 'params': {'duration_ms': 1e9}}]}):
            with self.subTest(str(value)[:80]):
                reply = self.send({**self.recipe(), 'accessory_instructions': value})
                self.assertIn(reply.status, (400, 422))
                self.assertTrue(reply.json['field'].startswith('accessory_instructions'), reply)


class BadReports(harness.Shared):
    """The device's calls."""

    def setUp(self):
        super().setUp()
        self.one = self.board()
        self.command = self.admin.order(self.name)
        self.before = (self.admin.show(self.command), self.admin.history(self.command))

    def same(self):
        self.assertEqual((self.admin.show(self.command), self.admin.history(self.command)), self.before)

    def test_bad_claims(self):
        path = f'/api/commands/update/{self.command}'
        for body, code in (({}, 'missing_field'), ({'status': 3}, 'wrong_type'), ({'status': 'boiling'}, None),
                           ({'status': 'brewing', 'claim_id': 'xyz'}, None),
                           ({'status': 'brewing', 'claim_id': 7}, 'wrong_type'),
                           ({'status': 'brewing', 'claim_id': '0' * 31}, None),
                           ({'status': 'brewing', 'claim_id': '0' * 33}, None),
                           ({'status': 'brewing', 'extra': 1}, 'unknown_field'),
                           ({'status': 'brewing', 'meta': 3}, 'wrong_type'),
                           ({'status': 'brewing', 'journal_id': 'g' * 32}, None)):
            with self.subTest(body):
                reply = self.one.post(path, body)
                self.assertEqual(reply.status // 100, 4, reply)
                self.assertIn(reply.status, (400, 422))
                if code:
                    self.assertEqual(reply.code, code)
                self.same()

    def test_a_claim_of_zeros_is_none(self):
        reply = self.one.update(self.command, 'brewing', claim_id='0' * 32)
        self.assertIn(reply.status, (400, 200))
        if reply.status == 200:
            self.assertIs(self.admin.show(self.command)['claimed'], False)

    def test_a_replayed_claim(self):
        claim_id = self.one.run(self.command)
        self.one.update(self.command, 'complete', claim_id=claim_id)
        second = self.admin.order(self.name)
        self.before = (self.admin.show(self.command), self.admin.history(self.command))
        self.refused(self.one.claim(self.command, claim_id), 409, 'already_settled')
        self.same()
        # Knowing another board's claim id opens nothing: the command is its machine's.
        other = self.board(f'{self.name}-b')
        self.refused(other.claim(second, claim_id), 403, 'foreign_command')

    def test_a_foreign_command(self):
        other = self.board(f'{self.name}-b')
        for status in ('brewing', 'complete', 'failed', 'rejected'):
            self.refused(other.update(self.command, status, claim_id=new_id()), 403, 'foreign_command')
        self.refused(other.post(f'/api/commands/progress/{self.command}', {'claim_id': new_id()}), 403,
                     'foreign_command')
        for reply in (other.get(f'/api/commands/check/{self.name}'), other.post(f'/api/machines/{self.name}/hello', {
                'boot_id': new_id(), 'journal_id': new_id()}),
                other.post(f'/api/machines/{self.name}/progress', {'step': 'idle'})):
            self.assertEqual(reply.status, 403, reply)
        self.same()

    def test_bad_progress(self):
        claim_id = self.one.run(self.command)
        columns = ['t_ms', 'temperature_c', 'pressure_bar', 'flow_ml_s', 'current_a', 'volume_ml']
        good = {'claim_id': claim_id, 'step': 'brewing', 'columns': columns, 'samples': [[0, 1, 2, 3, 4, 5]]}
        for change in ({'samples': [[0]]}, {'samples': [[0, 1, 2, 3, 4, 'x']]}, {'samples': [[0, 1, 2, 3, 4, 5]] * 201},
                       {'samples': 3}, {'columns': ['a']}, {'columns': columns[:2]}, {'claim_id': 'x'},
                       {'step': 'S' * 100},
                       {'step': 7}, {'more': 1}, {'samples': [[[]] * 6]}, {'samples': [[None] * 6]}):
            with self.subTest(change):
                reply = self.one.post(f'/api/commands/progress/{self.command}', {**good, **change})
                self.assertIn(reply.status, (400, 422), reply)
        self.assertEqual(self.admin.get(f'/api/commands/{self.command}/curve').json['samples'], [])

    def test_bad_hello(self):
        good = {'boot_id': new_id(), 'journal_id': new_id()}
        for change in ({'boot_id': 'x'}, {'journal_id': 3}, {'journal': {}},
                       {'journal': [{'uid': 'x', 'state': 'done'}]},
                       {'journal': [{'uid': new_id(), 'state': 'maybe'}]}, {'firmware': 'x' * 1000},
                       {'capabilities': []},
                       {'who': 'me'}, {'capabilities': {'x': 'y' * 10_000}}):
            with self.subTest(str(change)[:80]):
                self.assertIn(self.one.post(f'/api/machines/{self.name}/hello', {**good, **change}).status,
                              (400, 413, 422))
        for name in good:
            self.refused(self.one.post(f'/api/machines/{self.name}/hello',
                                       {key: value for key, value in good.items() if key != name}),
                         400, 'missing_field', name)

    def test_bad_machine_progress(self):
        for body in ({'step': 3}, {'step': 'x' * 99}, {'step': 'idle', 'sensors': []}, {'step': 'idle', 'x': 1},
                     {'step': 'idle', 'sensors': {'a': 'b' * 10_000}}, {'step': 'I D L E'}):
            with self.subTest(str(body)[:80]):
                self.assertIn(self.one.post(f'/api/machines/{self.name}/progress', body).status, (400, 413, 422))

    def test_bad_journal_header(self):
        for value in ('x', '0' * 31, 'z' * 32):
            reply = self.one.get(f'/api/commands/check/{self.name}', headers={'X-Journal-Id': value})
            self.assertEqual(reply.status, 400)


if __name__ == '__main__':
    harness.main()
