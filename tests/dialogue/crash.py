"""Kill the server at random moments under load, with real twins and real SQLite, and ask at the end:

 1. is every acknowledged command there, one for each key, and does its key still name it?
 2. was anything started twice?  (The twins write a line for every start; see Starts.)
 3. did what is `complete` happen, and did nothing happen that the server says did not?
 4. is every command settled or unknown within a bound?
 5. is each step of each history in the table of transitions, and do the audit chain and the database hold?

Moments are counted in acknowledged orders, not in time, and drawn from a seed that is printed: the schedule of the
kernel stays its own, so a seed tells what was tried, not what happened."""
import collections
import http.client
import json
import os
import random
import sqlite3
import threading
import time

import harness
from harness import database, new_id, until

MACHINES = ('c-1', 'c-2', 'c-3')
LOADERS = 4
SPEED = 200         # so fast that what a twin measures is not worth much, but that is not asked here
BACKLOG = 6         # pending commands of a machine above which the loaders turn to another
ANSWER_S = 120
DRAIN_S = 240
LEGAL = {
    (None, 'pending'), (None, 'held'), ('held', 'pending'), ('held', 'cancelled'), ('pending', 'cancelled'),
    ('pending', 'running'), ('pending', 'expired'), ('pending', 'failed'), ('pending', 'rejected'),
    ('running', 'complete'), ('running', 'failed'), ('running', 'cancelled'), ('running', 'unknown'),
    ('unknown', 'complete'), ('unknown', 'failed'),
}
FINAL = {'complete', 'failed', 'rejected', 'cancelled', 'expired', 'unknown'}


class Starts:
    """What the twins' actuation files say: for each uid, how often something moved and how often the pump ran."""

    def __init__(self, paths):
        self.motion = collections.Counter()
        self.pump = collections.Counter()
        for path in paths:
            lines = path.read_text().splitlines() if path.exists() else []
            for line in lines:
                start = json.loads(line)
                (self.pump if start['what'] == 'pump' else self.motion)[start['uid']] += 1


class Crash:
    def __init__(self, case, rounds):
        self.case = case
        self.rounds = rounds
        self.seed = int(os.environ.get('AUTOMAT_SEED', random.SystemRandom().randrange(1 << 32)))
        self.rng = random.Random(self.seed)
        self.acknowledged = {}            # key -> command id
        self.stopped = threading.Event()
        self.moved = threading.Condition()
        self.faults = []
        self.tokens = {}
        self.twins = {}
        self.kills = collections.Counter()

    # ---- the server and its twins ----

    def start_server(self):
        listen = ('--listen', f'127.0.0.1:{self.port}') if hasattr(self, 'port') else ()
        self.server = self.case.server('--grace', '5', *listen)
        self.port = self.server.port

    def file(self, machine, what):
        return self.case.folder / f'{machine}.{what}'

    def start_twin(self, machine):
        self.twins[machine] = self.case.twin(
            self.server, machine, self.tokens[machine], '--journal', str(self.file(machine, 'journal')),
            '--actuations', str(self.file(machine, 'actuations')), '--seed', str(self.rng.randrange(1, 1 << 31)),
            speed=SPEED)

    # ---- load: threads that never stop asking for the same order until it is answered ----

    def ask(self, client, key, machine):
        """Create until there is an answer; its command id, or None when it was refused."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            client.port = self.port
            try:
                reply = client.create(machine, key=key)
            except (OSError, http.client.HTTPException):
                self.stopped.wait(0.05)   # nobody is listening at this moment
                continue
            if reply.status == 503:
                self.stopped.wait(0.05)
                continue
            if reply.status == 201:
                return reply.json['command_id']
            if reply.code == 'queue_full':
                return None
            raise AssertionError(f'create: {reply}')
        raise AssertionError(f'no answer to an order within {ANSWER_S} s')

    def load(self, number):
        rng = random.Random(self.seed * 100 + number)
        client = self.server.admin()
        try:
            while not self.stopped.is_set():
                machine = rng.choice(MACHINES)
                if self.backlog(client, machine) > BACKLOG:
                    self.stopped.wait(0.02)
                    continue
                key = new_id()
                command = self.ask(client, key, machine)
                if command is None:
                    continue
                with self.moved:
                    self.acknowledged[key] = command
                    self.moved.notify_all()
                if rng.random() < 0.15:
                    self.cancel(client, command)
        except BaseException as fault:    # shown by the main thread
            with self.moved:
                self.faults.append(fault)
                self.moved.notify_all()
        finally:
            client.close()

    @staticmethod
    def backlog(client, machine):
        try:
            return client.machine(machine)['pending_count']
        except (OSError, http.client.HTTPException):
            return BACKLOG + 1

    @staticmethod
    def cancel(client, command):
        try:
            reply = client.post(f'/api/commands/{command}/cancel')
        except (OSError, http.client.HTTPException):
            return
        if reply.status not in (200, 409, 503):
            raise AssertionError(f'cancel: {reply}')

    # ---- staff: look after machines that stopped ----

    def look_after(self):
        admin = self.server.admin()
        for machine in MACHINES:
            for row in admin.get(f'/api/commands?machine_id={machine}&state=unknown').json['items']:
                reply = admin.post(f'/api/commands/{row["command_id"]}/settle',
                                   {'outcome': 'failed', 'evidence': 'looked'})
                if reply.code != 'too_early':     # the next round looks again
                    self.kills['settled by staff'] += 1
            if admin.machine(machine)['hold']['held']:
                admin.post(f'/api/machines/{machine}/release', {})
                self.kills['released'] += 1
        admin.close()

    # ---- the run ----

    def run(self):
        print(f'seed {self.seed}, {self.rounds} rounds (AUTOMAT_SEED repeats it)', flush=True)
        self.start_server()
        for machine in MACHINES:
            self.tokens[machine] = self.server.board(machine).headers['Authorization'].split()[1]
            self.start_twin(machine)
        loaders = [threading.Thread(target=self.load, args=(number,), daemon=True) for number in range(LOADERS)]
        for thread in loaders:
            thread.start()
        try:
            for number in range(self.rounds):
                self.one_round(number)
            self.stopped.set()
            for thread in loaders:
                thread.join(ANSWER_S)
            self.drain()
            self.check()
        except BaseException:
            print(f'seed {self.seed} failed; server log:\n{self.server.log()[-3000:]}', flush=True)
            raise
        finally:
            self.stopped.set()
        print(f'{len(self.acknowledged)} orders acknowledged; {dict(self.kills)}', flush=True)

    def one_round(self, number):
        goal = len(self.acknowledged) + self.rng.randrange(1, 16)
        deadline = time.monotonic() + ANSWER_S
        while not self.reached(goal):
            if time.monotonic() > deadline:
                raise AssertionError(f'round {number}: {len(self.acknowledged)} of {goal} orders within {ANSWER_S} s:\n'
                                     + '\n'.join(str(self.server.admin().machine(name)) for name in MACHINES))
            self.look_after()
        self.stopped.wait(self.rng.uniform(0, 0.05))   # anywhere between two answers
        for machine in MACHINES:                       # a twin that starts again has a full magazine
            if self.rng.random() < 0.7:
                continue
            self.twins[machine].kill()
            self.kills['twin'] += 1
            if self.rng.random() < 0.2:   # a new board, or a wiped flash
                for path in self.case.folder.glob(f'{machine}.journal*'):
                    path.unlink()
                self.kills['journal'] += 1
            if self.rng.random() < 0.5:
                self.start_twin(machine)
        self.server.kill()
        self.kills['server'] += 1
        self.start_server()
        for machine, twin in self.twins.items():
            if twin.process.poll() is not None:
                self.start_twin(machine)
        self.look_after()

    def reached(self, goal):
        with self.moved:
            self.moved.wait_for(lambda: len(self.acknowledged) >= goal or self.faults, 1)
            if self.faults:
                raise self.faults[0]
            return len(self.acknowledged) >= goal

    def drain(self):
        """No more orders: what waits is cancelled, what runs ends, and all of it within a bound."""
        admin = self.server.admin()
        for state in ('held', 'pending'):
            for row in admin.pages(f'/api/commands?state={state}&limit=200'):
                self.cancel(admin, row['command_id'])

        def quiet():
            self.look_after()
            return not any(admin.get(f'/api/commands?state={state}&limit=1').json['items']
                           for state in ('held', 'pending', 'running'))
        until(quiet, seconds=DRAIN_S, what='every command to be settled or unknown')
        admin.close()

    # ---- the questions ----

    def check(self):
        case, admin = self.case, self.server.admin()
        rows = {row['command_id']: row for row in admin.pages('/api/commands?limit=200')}
        case.assertEqual(len(set(self.acknowledged.values())), len(self.acknowledged), 'two keys, one command')
        lost = set(self.acknowledged.values()) - set(rows)
        case.assertFalse(lost, 'acknowledged and lost')
        for key in self.rng.sample(sorted(self.acknowledged), min(50, len(self.acknowledged))):
            command = self.acknowledged[key]
            again = admin.create(rows[command]['machine_id'], key=key)
            case.assertEqual((again.status, again.json['command_id']), (201, command), 'the key names another command')
        case.assertTrue(admin.get('/api/audit/verify').json['intact'], 'the audit chain')
        for twin in self.twins.values():
            twin.stop()
        starts = Starts([self.file(machine, 'actuations') for machine in MACHINES])
        self.check_starts(rows, starts)
        self.server.stop()
        self.check_database()

    def check_starts(self, rows, starts):
        case = self.case
        for count in (starts.motion, starts.pump):
            case.assertFalse({uid: times for uid, times in count.items() if times > 1}, 'started twice')
        by_uid = {row['uid']: row for row in rows.values()}
        case.assertEqual(len(by_uid), len(rows), 'two commands, one uid')
        case.assertFalse(set(starts.motion + starts.pump) - set(by_uid), 'started, and the server knows nothing of it')
        for uid, row in by_uid.items():
            if row['state'] == 'complete':
                case.assertEqual((starts.motion[uid], starts.pump[uid]), (1, 1),
                                 f'complete, and it did not happen: {row}')
            elif starts.motion[uid] or starts.pump[uid]:
                case.assertIn(row['state'], ('failed', 'unknown', 'cancelled'), f'it moved: {row}')
                case.assertIsNotNone(row['claimed_at'], f'it moved without a claim: {row}')
            self.kills[row['state']] += 1
            case.assertIn(row['state'], FINAL, row)
        case.assertGreater(sum(row['state'] == 'complete' for row in rows.values()), 0, 'nothing was ever brewed')

    def check_database(self):
        case = self.case
        path = database(case.data())
        with sqlite3.connect(path) as connection:
            case.assertEqual(connection.execute('PRAGMA integrity_check').fetchone(), ('ok',))
            steps = {tuple(row) for row in connection.execute('SELECT old_status, new_status FROM command_history')
                     if row[0] != row[1]}
            case.assertFalse(steps - LEGAL, 'not in the table of transitions')
            odd = connection.execute(
                'SELECT c.command_id, c.status, h.new_status FROM commands c JOIN command_history h ON h.history_id = '
                '(SELECT max(history_id) FROM command_history WHERE command_id = c.command_id) '
                'WHERE c.status <> h.new_status').fetchall()
            case.assertFalse(odd, 'a command is not where its history ends')
            case.assertFalse(connection.execute(
                "SELECT command_id FROM command_history WHERE old_status = 'pending' AND new_status = 'running' "
                'GROUP BY command_id HAVING count(*) > 1').fetchall(), 'granted twice')
        connection.close()


class CrashCase(harness.Case):
    ROUNDS = 0

    def crash(self):
        Crash(self, self.ROUNDS).run()
