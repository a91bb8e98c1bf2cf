"""Many clients that do nothing, until one speaks to all of them."""
import resource
import selectors

import harness
import mqtt_raw as raw
from mqtt_client import Mqtt, port_of
from mqtt_raw import Closed, Raw, held_kb, metric

PER_CLIENT_KB = 16      # with everything that sanitizers put around it


class Idle(harness.Case):
    COUNT = 0

    def crowd(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        need = self.COUNT + 500
        if hard != resource.RLIM_INFINITY and hard < need:
            self.skipTest(f'{need} descriptors are needed, {hard} are to be had')
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        server = self.server('--open', '--mqtt', '127.0.0.1:0', '--climate', 'off', env=raw.lean_env())
        port = port_of(server)
        speaker = Mqtt(port, client_id='speaker')        # before the crowd: paho's select takes no number above 1023
        self.addCleanup(speaker.drop)
        before = held_kb(server)
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for number in range(self.COUNT):
            clients.append(Raw(port, raw.connect(f'idle-{number}', 4 + number % 2) +
                               raw.subscribe(1, 'all/hands', level=4 + number % 2)))
            if number % 100 == 99:                 # not more at once than the kernel keeps for us
                for client in clients[-100:]:
                    client.expect(raw.CONNACK)
                    self.assertLess(client.expect(raw.SUBACK)[-1], 0x80)
        self.assertEqual(metric(server, 'automat_mqtt_connections'), self.COUNT + 1)
        each = (held_kb(server) - before) / self.COUNT
        print(f'{self.COUNT} idle clients hold {each:.2f} KiB each', flush=True)
        self.assertLess(each, PER_CLIENT_KB)

        speaker.publish('all/hands', 'hello')
        self.hear(clients)
        for client in clients[::50]:                     # they are still there, and answered
            self.assertEqual(client.ping(), [])
        for number, client in enumerate(clients):        # and leave, each in its own way
            if number % 3 == 0:
                client.send(b'\xe0\0')
            elif number % 3 == 1:
                client.reset()
            client.close()
        clients.clear()
        harness.until(lambda: metric(server, 'automat_mqtt_connections') == 1, what='the crowd to go')
        speaker.subscribe('own')
        speaker.publish('own', '1')
        self.assertEqual(speaker.take('own').json, 1)

    def hear(self, clients):
        """Each gets it, once."""
        with selectors.DefaultSelector() as selector:
            for number, client in enumerate(clients):
                selector.register(client.sock, selectors.EVENT_READ, (number, client))
            left = len(clients)
            while left:
                ready = selector.select(60)
                self.assertTrue(ready, f'{left} heard nothing')
                for key, _ in ready:
                    number, client = key.data
                    try:
                        first, body = client.read()
                    except Closed:
                        self.fail(f'client {number} was closed')
                    topic, packet_id, payload = raw.parse_publish(first, body, 4 + number % 2)
                    self.assertEqual((topic, payload, first & 8), ('all/hands', b'hello', 0))
                    client.send(raw.answer(raw.PUBACK, packet_id))
                    self.assertFalse(client.data, 'it came twice')
                    selector.unregister(client.sock)
                    left -= 1
