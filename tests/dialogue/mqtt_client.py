"""MQTT clients for the dialogue tests: paho, with what arrives put where a test can wait for it, and a board that knows
the rules."""
import json
import queue
import types

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

import harness

PATIENCE_S = 30


def port_of(server):
    return int(server.ready['mqtt'].rsplit(':', 1)[1])


class Mqtt:
    """A connection.  `reason` is the CONNACK's: 0 when it was let in."""

    def __init__(self, port, user=None, password=None, client_id='', version=paho.MQTTv5, clean=True, will=None,
                 transport='tcp', refused=False, expiry=None, tls=None):
        more = {} if version == paho.MQTTv5 else {'clean_session': clean}
        self.client = paho.Client(client_id, protocol=version, transport=transport, **more)
        if transport == 'websockets':
            self.client.ws_set_options(path='/mqtt')
        if tls:
            self.client.tls_set(ca_certs=tls)
        if user is not None or password is not None:
            self.client.username_pw_set(user, password)
        if will:
            self.client.will_set(*will)
        self.version = version
        self.arrived = queue.Queue()
        self.connacks = queue.Queue()
        self.pubacks = queue.Queue()
        self.subacks = queue.Queue()
        self.ends = queue.Queue()
        self.client.on_connect = lambda _client, _data, flags, reason, *_: self.connacks.put((flags, reason))
        self.client.on_message = lambda _client, _data, message: self.arrived.put(message)
        self.client.on_subscribe = lambda _client, _data, mid, codes, *_: self.subacks.put((mid, list(codes)))
        self.client.on_disconnect = lambda _client, _data, reason, *_: self.ends.put(reason)
        start = {}
        if version == paho.MQTTv5:
            start['clean_start'] = clean
            if expiry is not None:
                start['properties'] = Properties(PacketTypes.CONNECT)
                start['properties'].SessionExpiryInterval = expiry
        self.client.connect('127.0.0.1', port, keepalive=60, **start)
        self.client.loop_start()
        self.flags, reason = self.connacks.get(timeout=PATIENCE_S)
        self.reason = getattr(reason, 'value', reason)
        if refused != (self.reason != 0):
            self.drop()
            raise AssertionError(f'connected with {self.reason}')

    def subscribe(self, *filters, qos=1):
        """The reason codes granted."""
        _, mid = self.client.subscribe([(one, paho.SubscribeOptions(qos=qos) if self.version == paho.MQTTv5 else qos)
                                        for one in filters])
        got, codes = self.subacks.get(timeout=PATIENCE_S)
        assert got == mid
        return [getattr(code, 'value', code) for code in codes]

    def publish(self, topic, payload, qos=1, retain=False):
        """Publish and wait for the acknowledgement."""
        if not isinstance(payload, (str, bytes)):
            payload = json.dumps(payload)
        info = self.client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            info.wait_for_publish(PATIENCE_S)
            if not info.is_published():
                raise AssertionError(f'no acknowledgement for {topic}')
        return info

    def take(self, topic=None, seconds=PATIENCE_S):
        """The next message (of this topic: others before it are dropped), its JSON read."""
        while True:
            try:
                message = self.arrived.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f'nothing came on {topic}') from None
            if topic is None or message.topic == topic:
                return types.SimpleNamespace(topic=message.topic, payload=message.payload, retain=message.retain,
                                             qos=message.qos, json=json.loads(message.payload))

    def nothing_before(self, topic, publish):
        """Nothing of `topic` arrives before what `publish()` causes on another topic that is subscribed."""
        publish()
        while True:
            message = self.arrived.get(timeout=PATIENCE_S)
            if message.topic != topic:
                return message
            raise AssertionError(f'{message.payload} came on {topic}')

    def end(self, seconds=PATIENCE_S):
        """The server ends the connection: its reason."""
        reason = self.ends.get(timeout=seconds)
        self.client.loop_stop()
        return getattr(reason, 'value', reason)

    def drop(self):
        """Without goodbye."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock is not None:
            sock.close()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class MqttBoard(Mqtt):
    def __init__(self, port, machine, token, kind='espresso', listen=True, **more):
        self.name = machine
        self.kind = kind
        self.boot_id = harness.new_id()
        self.journal_id = harness.new_id()
        super().__init__(port, machine, token, client_id=more.pop('client_id', f'board-{machine}'), **more)
        if listen and self.reason == 0:
            self.granted = self.subscribe(f'machines/{machine}/#', f'window/{machine}/#')

    def say(self, verb, body, **more):
        return self.publish(f'machines/{self.name}/{verb}', body, **more)

    def hello(self, **more):
        """Its answer."""
        self.say('hello', {'boot_id': self.boot_id, 'journal_id': self.journal_id, 'firmware': 'test-1',
                           'capabilities': {'kind': self.kind}, 'journal': [], **more})
        while True:
            config = self.take(f'machines/{self.name}/config').json
            if config.get('boot_id') == self.boot_id:
                return config

    def offer(self):
        return self.take(f'machines/{self.name}/offer').json

    def claim(self, offer, claim_id=None, **more):
        """The answer to this claim."""
        claim_id = claim_id or harness.new_id()
        self.say('claim', {'command_id': offer['command_id'], 'uid': offer['uid'], 'claim_id': claim_id,
                           'journal_id': self.journal_id, **more})
        while True:
            result = self.take(f'machines/{self.name}/claim/result').json
            if result['claim_id'] == claim_id:
                return result

    def report(self, offer, claim_id, status='complete', **meta):
        return self.say('report', {'command_id': offer['command_id'], 'status': status, 'claim_id': claim_id,
                                   'journal_id': self.journal_id, 'uid': offer['uid'], 'meta': meta})
