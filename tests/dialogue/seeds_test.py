"""The three endpoints that existing boards and web pages already speak, with exactly the bodies they send."""
import re

import harness

RECIPE = {'volume_ml': 40, 'temperature_c': 92, 'pre_infusion_ms': 300, 'capsule_type': 'original',
          'capsule_variant': 'espresso'}
META = {'user_id': 456, 'order_id': 789}


class Documented(harness.Case):
    """With --open nobody needs a token, and a machine is registered at its first mention."""

    def setUp(self):
        super().setUp()
        self.srv = self.server('--open')
        self.anyone = self.srv.client()

    def create(self, machine='MACHINE_ID_123', **more):
        return self.anyone.post('/api/commands/create',
                                {'machine_id': machine, 'recipe': RECIPE, 'execute_allowed': True, 'meta': META,
                                 **more})

    def test_create_answers_201_with_the_number(self):
        reply = self.create()
        self.assertEqual(reply.status, 201)
        self.assertEqual(reply.json, {'status': 'created', 'command_id': reply.json['command_id']})
        self.assertIsInstance(reply.json['command_id'], int)

    def test_create_with_what_a_terminal_sends(self):
        reply = self.anyone.post('/api/commands/create', {'machine_id': 'MACHINE_ID_123', 'recipe': RECIPE})
        self.assertEqual(reply.status, 201)

    def test_check_answers_204_when_there_is_nothing(self):
        reply = self.anyone.get('/api/commands/check/MACHINE_ID_123')
        self.assertEqual((reply.status, reply.body), (204, b''))

    def test_check_answers_the_oldest_command(self):
        first = self.create().json['command_id']
        self.create()
        body = self.anyone.get('/api/commands/check/MACHINE_ID_123').json
        self.assertEqual(body['command_id'], first)
        self.assertEqual(body['recipe'], RECIPE)
        self.assertIs(body['execute_allowed'], True)
        self.assertEqual(body['meta'], META)
        self.assertTrue(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', body['created_at']))

    def test_another_machine_gets_nothing(self):
        self.create()
        self.assertEqual(self.anyone.get('/api/commands/check/MACHINE_ID_124').status, 204)

    def test_a_brew_from_first_to_last(self):
        number = self.create().json['command_id']
        update = f'/api/commands/update/{number}'
        reply = self.anyone.post(update, {'status': 'brewing', 'meta': {'started_at': '2025-10-22T10:30:05Z'}})
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json['status'], 'updated')
        self.assertEqual(reply.json['command_id'], number)
        self.assertEqual(self.anyone.show(number)['status'], 'brewing')
        reply = self.anyone.post(update, {'status': 'complete', 'meta': {'completed_at': '2025-10-22T10:31:20Z',
                                                                          'actual_volume_ml': 41}})
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json, {'status': 'updated', 'command_id': number})
        shown = self.anyone.show(number)
        self.assertEqual((shown['state'], shown['status']), ('complete', 'complete'))
        for name, value in {**META, 'started_at': '2025-10-22T10:30:05Z', 'actual_volume_ml': 41}.items():
            self.assertEqual(shown['meta'][name], value)

    def test_a_brew_that_fails(self):
        number = self.create().json['command_id']
        self.assertEqual(self.anyone.post(f'/api/commands/update/{number}', {'status': 'brewing'}).status, 200)
        reply = self.anyone.post(f'/api/commands/update/{number}',
                                 {'status': 'failed', 'meta': {'error': 'pump_timeout'}})
        self.assertEqual(reply.json, {'status': 'updated', 'command_id': number})
        shown = self.anyone.show(number)
        self.assertEqual((shown['state'], shown['reason']), ('failed', 'pump_timeout'))

    def test_a_claim_without_a_claim_id_is_granted_once(self):
        number = self.create().json['command_id']
        update = f'/api/commands/update/{number}'
        self.assertEqual(self.anyone.post(update, {'status': 'brewing'}).status, 200)
        self.refused(self.anyone.post(update, {'status': 'brewing'}), 409, 'claim_mismatch')

    def test_the_factory_words_are_taken_in_any_case(self):
        for start, end in (('IN_PROGRESS', 'COMPLETED'), ('in_progress', 'completed'), ('In_Progress', 'Completed'),
                           ('BREWING', 'COMPLETE')):
            with self.subTest(start):
                number = self.create().json['command_id']
                self.assertEqual(self.anyone.post(f'/api/commands/update/{number}', {'status': start}).status, 200)
                self.assertEqual(self.anyone.state(number), 'running')
                self.assertEqual(self.anyone.post(f'/api/commands/update/{number}', {'status': end}).status, 200)
                self.assertEqual(self.anyone.state(number), 'complete')

    def test_accessory_instructions_reach_the_board(self):
        instructions = {'capsule_slot': 2, 'motor_steps_per_ml': 10, 'insert_sequence': [
            {'action': 'pick', 'params': {'slot': 2}}, {'action': 'insert', 'params': {}},
            {'action': 'latch', 'params': {}}, {'action': 'press_button', 'params': {'duration_ms': 200}}]}
        for name in ('accessory_instructions', 'actuator_sequence'):
            with self.subTest(name):
                number = self.create(machine=f'M-{name[:4]}', **{name: instructions}).json['command_id']
                body = self.anyone.get(f'/api/commands/check/M-{name[:4]}').json
                self.assertEqual(body['command_id'], number)
                self.assertEqual(body['accessory_instructions'], instructions)

    def test_the_same_command_by_name(self):
        for body in ({'command': 'brew', 'payload': {'recipe': RECIPE}}, {'command': 'brew', 'payload': RECIPE},
                     {'command_type': 'BREW', 'payload_json': {'recipe': RECIPE}}):
            with self.subTest(str(body)):
                machine = f'M-{len(str(body))}-{list(body)[0]}'
                reply = self.anyone.post('/api/commands/create', {'machine_id': machine, **body})
                self.assertEqual(reply.status, 201, reply)
                shown = self.anyone.show(reply.json['command_id'])
                self.assertEqual((shown['command'], shown['recipe'], shown['payload']), ('brew', RECIPE, RECIPE))

    def test_vertuo_needs_its_own_machine(self):
        recipe = {**RECIPE, 'capsule_type': 'vertuo', 'capsule_variant': 'mug', 'volume_ml': 230}
        reply = self.create(recipe=recipe)
        self.refused(reply, 422, 'capsule_mismatch')

    def test_another_sites_picture_writes_nothing(self):
        """An <img> sends no Origin, but its browser says that it comes from elsewhere."""
        client = self.srv.client()
        self.addCleanup(client.close)
        for site, status in (('cross-site', 403), ('same-site', 403), ('none', 204), ('same-origin', 204)):
            reply = client.get('/api/commands/check/EVIL', headers={'Sec-Fetch-Site': site})
            self.assertEqual(reply.status, status, reply)


if __name__ == '__main__':
    harness.main()
