"""What the dialogues with language models share: a server with toy models, and a reader of event streams."""
import http.client
import json
import pathlib
import shutil
import tempfile

import harness
import lm_toy

CORPUS = str(harness.ROOT / 'corpus')


class Assistant(harness.Shared):
    """One server whose tanka and villanelle are toys and whose ode is not trained."""

    MODELS = ('tanka', 'villanelle')
    MORE = ()

    @classmethod
    def setUpClass(cls):
        cls.models = pathlib.Path(tempfile.mkdtemp(prefix='automat-models-'))
        cls.addClassCleanup(shutil.rmtree, cls.models, ignore_errors=True)
        for seed, name in enumerate(cls.MODELS, 1):
            lm_toy.write(cls.models, name, seed=seed)
        cls.ARGS = ('--models', str(cls.models), '--corpus', CORPUS, *cls.MORE)
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.guest = self.srv.client()
        self.addCleanup(self.guest.close)


class Stream:
    """A streamed answer, event by event."""

    def __init__(self, server, path, body, token=None):
        self.connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=harness.REPLY_S)
        head = {'Content-Type': 'application/json'}
        if token:
            head['Authorization'] = f'Bearer {token}'
        self.connection.request('POST', path, body=json.dumps(body), headers=head)
        self.answer = None

    def begin(self):
        """The status; events follow when it is 200."""
        self.answer = self.connection.getresponse()
        return self.answer.status

    def events(self):
        """Each event's data as text; the stream ends as HTTP says it must, or http.client raises."""
        data = b''
        while line := self.answer.readline():
            data += line
            if data.endswith(b'\n\n'):
                for part in data.decode('utf-8').split('\n'):
                    if part.startswith('data: '):
                        yield part[6:]
                data = b''
        if data:
            raise AssertionError(f'half an event: {data!r}')

    def close(self):
        self.connection.close()


def gauge(client, name):
    """A figure of /metrics; labels as they stand there."""
    for line in client.get('/metrics').body.decode().splitlines():
        if line.startswith(name + ' '):
            return float(line.rsplit(' ', 1)[1])
    raise AssertionError(f'no figure {name}')
