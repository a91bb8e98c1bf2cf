#!/usr/bin/env python3
"""Windows: what is asked and answered, who may decide, and the model behind it."""
import json

import harness
from harness import until
from mqtt_client import Mqtt, port_of


class External(harness.Case):
    """A service of somebody else answers, as the documented one does."""

    def setUp(self):
        super().setUp()
        self.srv = self.server('--mqtt', '127.0.0.1:0', '--climate', 'external')
        self.port = port_of(self.srv)
        self.admin = self.srv.admin()
        self.token = self.admin.post('/api/machines', {'machine_id': 'w-1', 'kind': 'window'}).json['token']
        self.device = self.connect('w-1', self.token)
        staff = self.admin.post('/api/tokens', {'name': 'ml', 'role': 'staff'}).json['token']
        self.service = self.connect('ml', staff)
        self.service.subscribe('ml/inference/request/#')

    def connect(self, user, token):
        client = Mqtt(self.port, user, token)
        self.addCleanup(client.drop)
        return client

    def window(self):
        return self.admin.get('/api/climate').json['items'][0]

    def sense(self):
        self.device.publish('sensor/w-1/readings', {'temperature': 29.5, 'humidity': 60, 'sound_volume': 0.01})
        return self.service.take('ml/inference/request/w-1')

    def test_asked_answered_moved(self):
        self.device.subscribe('window/w-1/control')
        request = self.sense()
        self.assertEqual((request.json['device_id'], request.json['temp'], request.json['humidity']),
                         ('w-1', 29.5, 60))
        self.assertEqual(request.json['sound_volume'], request.json['volume'])
        self.assertTrue(request.json['ts'])
        self.assertFalse(request.retain)
        self.service.publish('window/w-1/control', {'position': 80, 'confidence': 0.9})
        control = self.device.take('window/w-1/control')
        self.assertEqual((control.json['position'], control.json['confidence']), (80, 0.9))
        command = control.json['command_id']
        until(lambda: self.admin.state(command) == 'complete', what='the acknowledgement')
        window = self.window()
        self.assertEqual((window['decision'], window['command_id']), ('commanded', command))
        predictions = self.admin.get('/api/climate/w-1/predictions').json['items']
        self.assertEqual((predictions[0]['position'], predictions[0]['source'], predictions[0]['command_id']),
                         (80, 'external', command))
        # From the reading to the command by one id, in the log and on record.
        one = request.json['request_id']
        shown = self.admin.show(command)
        self.assertEqual((shown['request_id'], shown['meta']['request_id']), (one, one))
        self.assertEqual(shown['created_by'], 'climate:external')
        subjects = {(row['action'], row['subject']) for row in self.admin.get('/api/audit').json['items']
                    if row['request_id'] == one}
        self.assertIn(('command.create', f'command:{command}'), subjects)
        readings = [line for line in map(json.loads, filter(lambda text: one in text, self.srv.log().splitlines()))
                    if line['what'] == 'reading']
        self.assertEqual([line['machine_id'] for line in readings], ['w-1'])

    def test_low_confidence_holds(self):
        self.sense()
        self.service.publish('window/w-1/control', {'position': 80, 'confidence': 0.2})
        until(lambda: self.window()['decision'] == 'held_low_confidence', what='the decision')
        self.assertEqual(self.admin.pages('/api/commands'), [])

    def test_by_hand_only_records(self):
        self.assertEqual(self.admin.put('/api/climate/w-1', {'mode': 'manual'}).json['mode'], 'manual')
        self.sense()
        self.service.publish('window/w-1/control', {'position': 80, 'confidence': 0.9})
        until(lambda: self.window()['decision'] == 'held_manual', what='the decision')
        self.assertEqual(self.admin.pages('/api/commands'), [])
        self.srv.stop()
        self.srv = self.server('--mqtt', '127.0.0.1:0', '--climate', 'external')
        self.assertEqual(self.srv.admin().get('/api/climate').json['items'][0]['mode'], 'manual')

    def test_what_is_no_proposal(self):
        self.device.subscribe('window/w-1/control')
        self.sense()
        for payload in ('80', '{}', '{"position": 80}', '{"position": 180, "confidence": 0.9}',
                        '{"position": 80, "confidence": 2}', '{"position": "80", "confidence": 0.9}', 'null'):
            self.service.publish('window/w-1/control', payload)
        self.device.publish('window/w-1/control', {'position': 80, 'confidence': 0.9})    # a device is no model
        self.service.publish('window/nobody/control', {'position': 80, 'confidence': 0.9})
        self.assertIsNone(self.window()['answer'])
        self.assertEqual(self.admin.pages('/api/commands'), [])
        self.assertTrue(self.device.arrived.empty())                                      # and none is passed on


class Own(harness.Case):
    def test_the_room(self):
        server = self.server('--mqtt', '127.0.0.1:0')
        admin = server.admin()
        token = admin.post('/api/machines', {'machine_id': 'w-1', 'kind': 'window'}).json['token']
        board = harness.Board(server.port, 'w-1', token)
        page = admin.get('/api/climate').json
        self.assertEqual((page['source'], page['confidence_min'], len(page['items'])), ('own', 0.6, 1))
        self.assertIsNone(page['items'][0]['answer'])
        board.post('/api/machines/w-1/readings', {'readings': [
            {'type': 'temperature', 'value': 30}, {'type': 'humidity', 'value': 50},
            {'type': 'sound_volume', 'value': 0.02}]})
        window = until(lambda: (admin.get('/api/climate').json['items'][0]['answer'] and
                                admin.get('/api/climate').json['items'][0]), what='the answer')
        self.assertEqual(window['features']['temperature']['value'], 30)
        self.assertIn(window['asked_because'], ('start', 'change'))
        self.assertTrue(0 <= window['answer']['position'] <= 100)
        prediction = until(lambda: admin.get('/api/climate/w-1/predictions').json['items'], what='the record')[0]
        self.assertEqual((prediction['temperature'], prediction['source']), (30, 'own'))
        self.assertEqual(window['features']['temperature']['provenance'], 'measured')
        self.assertEqual((prediction['provenance'], prediction['actual']), ('measured', None))
        model = admin.get('/api/climate/model').json
        self.assertEqual(model['source'], 'own')
        self.assertEqual(model['taught_in'], 'simulation' if model['version'] else None)
        self.assertEqual(admin.get('/api/climate/model/errors').status, 200)
        self.refused(admin.put('/api/climate/w-1', {'mode': 'dreaming'}), 400, 'bad_value', 'mode')
        self.refused(admin.put('/api/climate/w-2', {'mode': 'auto'}), 404, 'unknown_window')
        self.refused(admin.get('/api/climate/w-2/predictions'), 404, 'unknown_window')
        self.refused(admin.get('/api/climate/w-1/predictions?cursor=x'), 400, 'bad_value', 'cursor')
        reply = admin.post('/api/climate/model/rollback')
        self.assertIn((reply.status, reply.code), ((409, 'no_previous_model'), (200, None)))

    def test_limits_of_a_window(self):
        admin = self.server().admin()
        admin.post('/api/machines', {'machine_id': 'w-1', 'kind': 'window'})
        for payload, status in (({'position': 0}, 201), ({'position': 100}, 201), ({'position': 101}, 422),
                                ({'position': -1}, 422), ({'position': '40'}, 400), ({}, 400),
                                ({'position': 40, 'speed': 1}, 400)):
            with self.subTest(str(payload)):
                reply = admin.post('/api/commands/create', {'machine_id': 'w-1', 'command': 'set_position',
                                                            'payload': payload})
                self.assertEqual(reply.status, status, reply)
        # A newer position takes the place of the one that waits.
        self.assertEqual([row['state'] for row in admin.pages('/api/commands')], ['pending', 'cancelled'])


class Wrong(harness.Case):
    def test_options(self):
        for args, name in ((('--climate', 'dice'), 'climate'), (('--climate-confidence', '1.5'), 'climate-confidence'),
                           (('--climate-confidence', 'high'), 'climate-confidence'), (('--mqtt', 'here'), 'mqtt'),
                           (('--mqtt-tls', '127.0.0.1:0'), 'mqtt-tls'), (('--open', '--mqtt', '0.0.0.0:0'), 'open'),
                           (('--inactive-s', '0'), 'inactive-s')):
            with self.subTest(' '.join(args)):
                server = self.server(*args, expect_ready=False, data=f'wrong-{len(args)}-{name}')
                status, _ = server.wait()
                self.assertEqual(status, 2)
                self.assertIn(f'--{name}', server.log())


if __name__ == '__main__':
    harness.main()
