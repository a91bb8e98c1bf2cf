#!/usr/bin/env python3
"""Windows that know nothing of claims: they publish readings and listen to window/{id}/control.  The server claims for
them, tells them once, and what it knows afterwards is an estimate."""
import harness
from harness import until
from mqtt_client import Mqtt, MqttBoard, port_of

CONTROL = 'window/w-1/control'


class Plain(harness.Case):
    ARGS = ('--mqtt', '127.0.0.1:0', '--climate', 'off')

    def setUp(self):
        super().setUp()
        self.srv = self.server(*self.ARGS)
        self.port = port_of(self.srv)
        self.admin = self.srv.admin()
        self.token = self.admin.post('/api/machines', {'machine_id': 'w-1', 'kind': 'window'}).json['token']

    def device(self, qos=1, **more):
        device = Mqtt(self.port, 'w-1', self.token, client_id=more.pop('client_id', 'plain'), **more)
        self.addCleanup(device.drop)
        device.subscribe(CONTROL, qos=qos)
        return device

    def order(self, position=40, **more):
        reply = self.admin.post('/api/commands/create', {'machine_id': 'w-1', 'command': 'set_position',
                                                         'payload': {'position': position}, **more})
        self.assertEqual(reply.status, 201, reply)
        return reply.json['command_id']

    def test_told_once_and_complete_by_its_acknowledgement(self):
        device = self.device()
        command = self.order(40)
        control = device.take(CONTROL)
        self.assertEqual(control.json, {'position': 40, 'confidence': 1, 'command_id': command})
        self.assertFalse(control.retain)
        self.assertEqual(control.qos, 1)
        until(lambda: self.admin.state(command) == 'complete', what='the acknowledgement')
        shown = self.admin.show(command)
        self.assertEqual((shown['meta']['provenance'], shown['meta']['position']), ('estimated', 40))
        self.assertEqual([row['actor'] for row in self.admin.history(command)][1:], ['server', 'server'])
        position = self.admin.get('/api/climate').json['items'][0]['position']
        self.assertEqual((position['value'], position['provenance']), (40, 'estimated'))

    def test_who_listens_to_everything_and_never_says_hello_is_plain(self):
        """Troubleshooting tells to subscribe to machines/{id}/#; that does not make a sketch a board."""
        device = self.device()
        device.subscribe('machines/w-1/#')
        command = self.order(40)
        control = device.take(CONTROL)                    # after the time that a hello may take
        self.assertEqual(control.json['command_id'], command)
        until(lambda: self.admin.state(command) == 'complete', what='the acknowledgement')

    def test_one_after_the_other(self):
        device = self.device()
        for position in (10, 20, 30):
            command = self.order(position)
            self.assertEqual(device.take(CONTROL).json['position'], position)
            until(lambda command=command: self.admin.state(command) == 'complete', what='the acknowledgement')

    def test_nobody_listens_nobody_claims(self):
        command = self.order()
        watch = Mqtt(self.port, 'x', self.srv.admin_token)
        self.addCleanup(watch.drop)
        watch.subscribe('window/#')                       # staff watching is no device
        watch.subscribe(CONTROL)
        self.assertEqual(self.admin.state(command), 'pending')
        device = self.device()
        self.assertEqual(device.take(CONTROL).json['command_id'], command)
        until(lambda: self.admin.state(command) == 'complete', what='the acknowledgement')

    def test_only_the_device_s_own_word_counts(self):
        """With QoS 0 nothing says that it arrived: staff's acknowledgement does not, either."""
        watch = Mqtt(self.port, 'x', self.srv.admin_token)
        self.addCleanup(watch.drop)
        watch.subscribe(CONTROL)
        device = self.device(qos=0)
        command = self.order(50, max_duration_s=1)
        self.assertEqual(device.take(CONTROL).json['command_id'], command)
        watch.take(CONTROL)
        watch.publish('notes/x', '1')                     # its acknowledgement of control is before this one's
        self.assertEqual(self.admin.state(command), 'running')

    def test_silence_is_unknown_and_is_not_told_again(self):
        self.srv.stop()
        self.srv = self.server(*self.ARGS, '--grace', '1')
        self.port, self.admin = port_of(self.srv), self.srv.admin()
        device = self.device(qos=0)
        command = self.order(50, max_duration_s=1)
        device.take(CONTROL)
        until(lambda: self.admin.state(command) == 'unknown', what='the end of its time')
        self.assertTrue(self.admin.machine('w-1')['hold']['held'])

    def test_a_claim_of_an_earlier_life_is_not_told_again(self):
        device = self.device(qos=0)
        command = self.order(50)
        device.take(CONTROL)
        self.assertEqual(self.admin.state(command), 'running')
        self.srv.kill()
        device.drop()
        self.srv = self.server(*self.ARGS)
        self.port, self.admin = port_of(self.srv), self.srv.admin()
        device = self.device(qos=0)
        self.assertEqual(self.admin.state(command), 'running')
        watch = Mqtt(self.port, 'x', self.srv.admin_token)
        self.addCleanup(watch.drop)
        # What the server would say on its own it says before it handles this.
        self.order(70)
        device.subscribe('window/w-1/#', qos=0)
        until(lambda: self.admin.machine('w-1')['pending_count'] == 1, what='the next to wait')
        self.assertTrue(device.arrived.empty())
        self.assertEqual(self.admin.state(command), 'running')

    def test_a_board_that_said_hello_claims_for_itself(self):
        board = MqttBoard(self.port, 'w-1', self.token, kind='window')
        self.addCleanup(board.drop)
        board.hello()
        command = self.order(60)
        offer = board.offer()
        self.assertEqual(self.admin.state(command), 'pending')
        claim_id = harness.new_id()
        board.say('claim', {'command_id': command, 'uid': offer['uid'], 'claim_id': claim_id,
                            'journal_id': board.journal_id})
        self.assertEqual(board.take(CONTROL).json['command_id'], command)   # said of every claimed command
        self.assertIs(board.take('machines/w-1/claim/result').json['granted'], True)
        board.report(offer, claim_id, position=59.8)
        self.assertEqual(self.admin.show(command)['meta']['position'], 59.8)
        plain = self.device(client_id='later')
        second = self.order(20)
        until(lambda: board.offer()['command_id'] == second, what='the offer')   # after what ran was shown
        self.assertEqual(self.admin.state(second), 'pending')
        self.assertTrue(plain.arrived.empty())

    def test_a_persistent_session_hears_of_nothing_while_it_is_away(self):
        device = self.device(expiry=600, clean=False)
        device.close()
        until(lambda: not self.admin.machine('w-1')['mqtt'], what='it to leave')
        command = self.order(40)
        self.assertEqual(self.admin.state(command), 'pending')
        device = self.device(expiry=600, clean=False)
        self.assertEqual(device.take(CONTROL).json['command_id'], command)
        until(lambda: self.admin.state(command) == 'complete', what='the acknowledgement')


class Open(harness.Case):
    def test_without_any_credentials(self):
        server = self.server('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off')
        client, port = server.client(), port_of(server)
        device = Mqtt(port, client_id='sketch')
        self.addCleanup(device.drop)
        device.subscribe('window/room-7/control')
        device.publish('sensor/room-7/temperature', '21.5')
        machine = client.machine('room-7')
        self.assertEqual((machine['kind'], machine['admission']), ('window', 'admitted'))
        until(lambda: client.machine('room-7')['online'], what='it to be seen')
        watch = Mqtt(port, client_id='dashboard')
        self.addCleanup(watch.drop)
        watch.subscribe('window/+/control', '#')          # looks at all of them: no device
        reply = client.post('/api/commands/create', {'machine_id': 'room-7', 'command': 'set_position',
                                                     'payload': {'position': 25}})
        self.assertEqual(device.take('window/room-7/control').json['position'], 25)
        command = reply.json['command_id']
        until(lambda: client.state(command) == 'complete', what='the acknowledgement')
        # A window that only a command mentions is one, too.
        reply = client.post('/api/commands/create', {'machine_id': 'room-8', 'command': 'set_position',
                                                     'payload': {'position': 25}})
        self.assertEqual((reply.status, client.machine('room-8')['kind']), (201, 'window'))
        self.assertEqual(client.state(reply.json['command_id']), 'pending')


if __name__ == '__main__':
    harness.main()
