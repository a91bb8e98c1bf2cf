#!/usr/bin/env python3
"""Boards over MQTT: offer, claim, report as over HTTP; who may say and hear what; admission and revocation."""
import secrets

import paho.mqtt.client as paho

import harness
from harness import new_id, until
from mqtt_client import Mqtt, MqttBoard, port_of


class Boards(harness.Case):
    ARGS = ('--mqtt', '127.0.0.1:0')

    def setUp(self):
        super().setUp()
        self.srv = self.server(*self.ARGS)
        self.port = port_of(self.srv)
        self.admin = self.srv.admin()

    def machine(self, name='m-1', kind='espresso'):
        reply = self.admin.post('/api/machines', {'machine_id': name, 'kind': kind})
        self.assertEqual(reply.status, 201, reply)
        return reply.json['token']

    def mqtt(self, *args, **more):
        client = Mqtt(self.port, *args, **more)
        self.addCleanup(client.drop)
        return client

    def board(self, name='m-1', token=None, **more):
        kind = more.get('kind', 'espresso')
        board = MqttBoard(self.port, name, token or self.machine(name, kind), **more)
        self.addCleanup(board.drop)
        return board

    # ---- the life of a command ----

    def test_a_command_from_offer_to_report(self):
        board = self.board()
        config = board.hello()
        self.assertEqual((config['admission'], config['machine_id'], config['running']), ('admitted', 'm-1', None))
        command = self.admin.order('m-1')
        offer = board.offer()
        self.assertEqual((offer['command_id'], offer['state']), (command, 'pending'))
        claim_id = new_id()
        result = board.claim(offer, claim_id, sensors={'water_ml': 900})
        self.assertIs(result['granted'], True)
        self.assertGreater(result['start_within_ms'], 0)
        self.assertEqual(self.admin.state(command), 'running')
        self.assertEqual(self.admin.show(command)['meta']['sensors'], {'water_ml': 900})
        board.report(offer, claim_id, actual_volume_ml=39.5)
        shown = self.admin.show(command)         # the PUBACK said it is on disk
        self.assertEqual((shown['state'], shown['meta']['actual_volume_ml']), ('complete', 39.5))
        actors = [row['actor'] for row in self.admin.history(command)]
        self.assertEqual(actors[1:], ['machine:m-1', 'machine:m-1'])
        self.assertTrue(self.admin.machine('m-1')['mqtt'])

    def test_an_offer_waits_for_whoever_subscribes(self):
        token = self.machine()
        command = self.admin.order('m-1')
        board = self.board(token=token)
        self.assertEqual(board.offer()['command_id'], command)

    def test_the_next_is_offered_when_the_first_is_gone(self):
        board = self.board()
        board.hello()
        first, second = self.admin.order('m-1'), self.admin.order('m-1')
        offer = board.offer()
        self.assertEqual(offer['command_id'], first)
        self.assertEqual(self.admin.post(f'/api/commands/{first}/cancel').json['result'], 'cancelled')
        self.assertEqual(board.offer()['command_id'], second)

    def test_a_claim_is_granted_once(self):
        board = self.board()
        board.hello()
        command = self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        self.assertIs(board.claim(offer, claim_id)['granted'], True)
        self.assertIs(board.claim(offer, claim_id)['granted'], True)      # its answer may have been lost
        other = board.claim(offer)
        self.assertEqual((other['granted'], other['code']), (False, 'claim_mismatch'))
        self.assertIs(board.claim({**offer, 'uid': new_id()})['granted'], False)
        board.report(offer, claim_id)
        self.assertEqual(self.admin.state(command), 'complete')
        late = board.claim(offer, claim_id)
        self.assertEqual((late['granted'], late['code']), (False, 'already_settled'))

    def test_a_stop_is_told(self):
        board = self.board()
        board.hello()
        command = self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        board.claim(offer, claim_id)
        self.assertEqual(self.admin.post(f'/api/commands/{command}/cancel').json['result'], 'stop_requested')
        stop = board.take('machines/m-1/stop').json
        self.assertEqual((stop['command_id'], stop['uid'], stop['claim_id']), (command, offer['uid'], claim_id))
        board.say('progress', {'command_id': command, 'claim_id': claim_id, 'step': 'brewing', 'samples': []}, qos=0)
        self.assertEqual(board.take('machines/m-1/stop').json['command_id'], command)   # again, until it ends
        board.report(offer, claim_id, 'cancelled')
        self.assertEqual(self.admin.state(command), 'cancelled')

    def test_only_its_own_journal_is_shown_what_runs(self):
        token = self.machine()
        board = self.board(token=token)
        board.hello()
        self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        board.claim(offer, claim_id)
        board.drop()
        stranger = self.board(token=token)               # the same credentials, another board
        running = stranger.hello()['running']
        self.assertIsNone(running)                       # its hello made the command unknown
        self.assertEqual(self.admin.state(offer['command_id']), 'unknown')

    def test_after_a_reboot_its_own_is_shown(self):
        token = self.machine()
        board = self.board(token=token)
        board.hello()
        self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        board.claim(offer, claim_id)
        board.drop()
        again = self.board(token=token, client_id='again')
        again.journal_id = board.journal_id
        self.assertEqual(again.hello()['running']['claim_id'], claim_id)
        shown = again.offer()
        self.assertEqual((shown['state'], shown['claim_id'], shown['journal_id']),
                         ('running', claim_id, board.journal_id))

    def test_both_roads_in_one_command(self):
        token = self.machine()
        board = self.board(token=token)
        board.hello()
        command = self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        board.claim(offer, claim_id)
        board.drop()
        http = self.srv.board('m-1', token)
        reply = http.update(command, 'complete', claim_id=claim_id, journal_id=board.journal_id, uid=offer['uid'])
        self.assertEqual(reply.status, 200, reply)

    def test_a_kill_forgets_nothing_that_was_acknowledged(self):
        token = self.machine()
        board = self.board(token=token)
        board.hello()
        command = self.admin.order('m-1')
        offer, claim_id = board.offer(), new_id()
        self.assertIs(board.claim(offer, claim_id)['granted'], True)
        self.srv.kill()
        board.drop()
        self.srv = self.server(*self.ARGS)
        self.port = port_of(self.srv)
        self.assertEqual(self.srv.admin().state(command), 'running')
        again = self.board(token=token)
        again.journal_id = board.journal_id
        again.hello()
        again.report(offer, claim_id)
        self.assertEqual(self.srv.admin().state(command), 'complete')

    def test_configuration_is_told_when_it_changes(self):
        board = self.board()
        board.hello()
        self.assertEqual(self.admin.put('/api/machines/m-1/config', {'model': 'original_only'}).status, 200)
        config = board.take('machines/m-1/config').json
        self.assertEqual(config['config'], {'model': 'original_only'})
        self.assertNotIn('boot_id', config)

    def test_progress_and_state_are_seen(self):
        board = self.board()
        board.hello()
        board.say('progress', {'step': 'heating', 'sensors': {'temperature_c': 80}}, qos=0)
        until(lambda: self.admin.machine('m-1')['step'] == 'heating', what='the step')
        board.say('state', {'state': 'online', 'step': 'idle', 'sensors': {'temperature_c': 92}}, retain=True)
        self.assertEqual(self.admin.machine('m-1')['sensors'], {'temperature_c': 92})

    # ---- bad input ----

    def test_messages_that_are_none(self):
        board = self.board()
        board.hello()
        for verb, body in (('hello', '{"boot_id": 1}'), ('hello', '{'), ('claim', '{}'), ('claim', '[]'),
                           ('report', '{"command_id": 1, "status": "brewing"}'), ('report', '{"status": "complete"}'),
                           ('report', 'null'), ('state', '"on"'), ('progress', '{"command_id": "1"}'),
                           ('claim', '{"command_id": 1, "uid": "x", "claim_id": "y", "journal_id": "z"}')):
            with self.subTest(f'{verb} {body}'):
                board.say(verb, body, qos=0 if verb == 'progress' else 1)      # refused for good: acknowledged
        board.report({'command_id': 99, 'uid': new_id()}, new_id())            # no such command
        command = self.admin.order('m-1')                                      # and all is as before
        offer, claim_id = board.offer(), new_id()
        self.assertIs(board.claim(offer, claim_id)['granted'], True)
        self.assertEqual(offer['command_id'], command)

    # ---- who is who ----

    def test_who_is_let_in(self):
        token = self.machine()
        mqtt = self.mqtt
        self.assertEqual(mqtt(refused=True).reason, 134)                                      # nobody
        self.assertEqual(mqtt('m-1', refused=True).reason, 134)
        self.assertEqual(mqtt('m-1', 'ad_' + 'x' * 20, refused=True).reason, 134)
        self.assertEqual(mqtt('m-2', token, refused=True).reason, 134)                        # not its name
        self.assertEqual(mqtt(None, token, version=paho.MQTTv311, refused=True).reason, 4)
        self.assertEqual(mqtt('whoever', self.srv.admin_token).reason, 0)
        customer = self.admin.post('/api/tokens', {'name': 'c', 'role': 'customer'}).json['token']
        self.assertEqual(mqtt('x', customer, refused=True).reason, 135)
        self.admin.post('/api/machines/m-1/block')
        self.assertEqual(mqtt('m-1', token, refused=True).reason, 138)

    def test_a_device_has_its_own_topics_and_no_others(self):
        board = self.board()
        self.machine('m-2')
        self.assertEqual(board.granted, [1, 1])
        for other in ('#', 'machines/#', 'machines/m-2/offer', 'sensor/#', '+/m-1/+', '$SYS/#', 'ml/inference/request/m-2'):
            with self.subTest(other):
                self.assertGreaterEqual(board.subscribe(other)[0], 128)
        watch = self.mqtt('w', self.srv.admin_token)
        watch.subscribe('#')
        board.publish('machines/m-2/hello', {'boot_id': new_id(), 'journal_id': new_id()})
        board.publish('sensor/m-2/temperature', '20')
        board.publish('window/m-1/control', {'position': 100, 'confidence': 1})
        board.publish('machines/m-1/offer', {})
        board.publish('sensor/m-1/temperature', '21.5')
        self.assertEqual(watch.take().topic, 'sensor/m-1/temperature')         # the only one that got through
        self.assertIsNone(self.admin.machine('m-2')['boot_id'])
        items = self.admin.get('/api/telemetry/latest').json['items']
        self.assertEqual([item['machine_id'] for item in items], ['m-1'])

    def test_staff_reads_and_does_not_speak_for_devices(self):
        token = self.admin.post('/api/tokens', {'name': 'ml', 'role': 'staff'}).json['token']
        self.machine('w-1', 'window')
        staff = self.mqtt('ml', token)
        self.assertEqual(staff.subscribe('machines/#', 'sensor/#', 'ml/#'), [1, 1, 1])
        staff.publish('sensor/w-1/temperature', '20')
        staff.publish('machines/w-1/hello', {'boot_id': new_id(), 'journal_id': new_id()})
        staff.publish('notes/today', 'free')
        self.assertEqual(self.admin.get('/api/telemetry/latest').json['items'], [])
        self.assertIsNone(self.admin.machine('w-1')['boot_id'])

    def test_a_revoked_token_ends_its_connections(self):
        board = self.board()
        board.hello()
        tokens = self.admin.get('/api/machines/m-1/tokens').json['items']
        self.assertEqual(self.admin.delete(f'/api/machines/m-1/tokens/{tokens[0]["token_id"]}').status, 204)
        board.end()
        until(lambda: not self.admin.machine('m-1')['mqtt'], what='it to be gone')

    def test_a_blocked_machine_is_cut_off(self):
        board = self.board()
        board.hello()
        self.admin.post('/api/machines/m-1/block')
        board.end()

    def test_a_revoked_api_token_ends_its_connections(self):
        made = self.admin.post('/api/tokens', {'name': 'x', 'role': 'staff'}).json
        number = made['token_id'] if 'token_id' in made else made['api_token']['token_id']
        client = self.mqtt('x', made['token'])
        self.assertEqual(self.admin.delete(f'/api/tokens/{number}').status, 204)
        client.end()

    def test_an_unknown_board_waits_for_staff(self):
        token = secrets.token_hex(24)
        board = self.board('new-1', token)
        answer = board.hello()
        self.assertEqual(answer['admission'], 'waiting')
        machine = self.admin.machine('new-1')
        self.assertEqual((machine['admission'], machine['kind']), ('waiting', 'espresso'))
        board.publish('sensor/new-1/temperature', '20')                     # nobody listens yet
        self.assertEqual(self.admin.get('/api/telemetry/latest').json['items'], [])
        self.assertEqual(self.admin.post('/api/machines/new-1/admit').status, 200)
        board.end()                                                        # and comes back as what it is
        board = self.board('new-1', token)
        self.assertEqual(board.hello()['admission'], 'admitted')

    def test_a_board_that_waits_hears_when_it_is_let_in(self):
        token = secrets.token_hex(24)
        http = self.srv.board('new-1', token)
        self.assertEqual(http.hello().status, 202)
        board = self.board('new-1', token, listen=False)
        board.subscribe('machines/new-1/config')
        self.assertEqual(self.admin.post('/api/machines/new-1/admit').status, 200)
        self.assertEqual(board.take('machines/new-1/config').json['admission'], 'admitted')
        self.assertEqual(board.hello()['admission'], 'admitted')

    def test_nobody_takes_a_name(self):
        self.machine()
        self.assertEqual(self.mqtt('m-1', secrets.token_hex(24), refused=True).reason, 134)
        until(lambda: 'second_device' in [alert['code'] for alert in self.admin.get('/api/alerts').json['items']],
              what='the alert')

    def test_a_plain_announcement_becomes_a_window(self):
        self.mqtt('new-2', secrets.token_hex(24))
        machine = until(lambda: next((one for one in self.admin.pages('/api/machines')
                                      if one['machine_id'] == 'new-2'), None), what='the registry')
        self.assertEqual((machine['kind'], machine['admission']), ('window', 'waiting'))


class Slowed(harness.Case):
    def test_wrong_tokens_are_slowed_down(self):
        server = self.server('--mqtt', '127.0.0.1:0', env={'AUTOMAT_RATE_LOGIN': '3/1'})
        reasons = [Mqtt(port_of(server), 'm', 'short', refused=True).reason for _ in range(5)]
        self.assertEqual(reasons, [134, 134, 134, 137, 137])
        # Who has a good one is let in all the same.
        Mqtt(port_of(server), 'x', server.admin_token).close()


if __name__ == '__main__':
    harness.main()
