"""The queue's promise over HTTP: each row of the table of transitions, and everything that is not in it."""
import threading

import harness
from harness import new_id, run_threads, until

FINAL = ('complete', 'failed', 'rejected', 'cancelled', 'expired')


class QueueCase(harness.Shared):
    # Silence becomes "unknown" soon enough to be seen.
    ARGS = ('--grace', '1')

    def in_state(self, board, state):
        """A command of this machine that has come to `state` by HTTP alone."""
        name = board.name
        if state == 'held':
            return self.admin.order(name, execute_allowed=False)
        if state == 'expired':
            command = self.admin.order(name, not_after_s=1)
            until(lambda: self.admin.state(command) == 'expired', what='the start deadline')
            return command
        command = self.admin.order(name, max_duration_s=1 if state == 'unknown' else None) \
            if state == 'unknown' else self.admin.order(name)
        if state in ('running', 'complete', 'failed', 'unknown'):
            board.claim_id = board.run(command)
        if state in ('complete', 'failed'):
            self.assertEqual(board.update(command, state, claim_id=board.claim_id).status, 200)
        elif state == 'rejected':
            self.assertEqual(board.update(command, 'rejected', meta={'error': 'magazine_empty'}).status, 200)
        elif state == 'cancelled':
            self.assertEqual(self.admin.post(f'/api/commands/{command}/cancel').status, 200)
        elif state == 'unknown':
            until(lambda: self.admin.state(command) == 'unknown', what='the silence to count')
        self.assertEqual(self.admin.state(command), state)
        return command


class Transitions(QueueCase):
    """One test for each row of the table."""

    def test_the_list_knows_peoples_words_too(self):
        board = self.board()
        board.hello()
        first, second = self.admin.order(self.name), self.admin.order(self.name, execute_allowed=False)
        board.run(first)
        for query, wanted in (('status=brewing', [first]), ('status=held', [second]), ('state=running', [first]),
                              ('status=complete', []), ('state=held&status=held', [second])):
            reply = self.admin.get(f'/api/commands?machine_id={self.name}&{query}')
            self.assertEqual([command['command_id'] for command in reply.json['items']], wanted, query)
        for query in ('status=perhaps', 'state=held&status=brewing', 'status=held&status=held'):
            self.assertEqual(self.admin.get(f'/api/commands?{query}').status, 400, query)

    def test_create_with_execute_allowed_is_pending(self):
        board = self.board()
        command = self.admin.order(self.name, execute_allowed=True)
        shown = self.admin.show(command)
        self.assertEqual((shown['state'], shown['execute_allowed']), ('pending', True))
        self.assertIsNotNone(shown['not_after'])
        self.assertEqual(board.check().json['command_id'], command)

    def test_create_without_execute_allowed_is_held(self):
        board = self.board()
        command = self.admin.order(self.name, execute_allowed=False)
        shown = self.admin.show(command)
        self.assertEqual((shown['state'], shown['execute_allowed']), ('held', False))
        self.assertIsNone(shown['not_after'])
        self.assertEqual(board.check().status, 204)
        self.refused(board.claim(command), 409, 'not_claimable')

    def test_approve_makes_held_pending_and_starts_the_deadline(self):
        board = self.board()
        command = self.admin.order(self.name, execute_allowed=False, not_after_s=500)
        reply = self.admin.post(f'/api/commands/{command}/approve')
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json['command']['state'], 'pending')
        self.assertIsNotNone(reply.json['command']['not_after'])
        offer = board.check().json
        self.assertEqual(offer['command_id'], command)
        self.assertIs(offer['execute_allowed'], True)

    def test_cancel_of_held_and_pending(self):
        board = self.board()
        for state in ('held', 'pending'):
            command = self.in_state(board, state)
            reply = self.admin.post(f'/api/commands/{command}/cancel')
            self.assertEqual((reply.status, reply.json['result']), (200, 'cancelled'))
            self.assertEqual(reply.json['command']['state'], 'cancelled')
            self.refused(board.claim(command), 409, 'already_settled')
        self.assertEqual(board.check().status, 204)

    def test_claim_in_time(self):
        board = self.board()
        command = self.admin.order(self.name)
        reply = board.claim(command)
        self.assertEqual(reply.status, 200)
        body = reply.json
        self.assertGreater(body['start_within_ms'], 0)
        self.assertLessEqual(body['start_within_ms'], 600_000)
        self.assertEqual(body['max_duration_s'], 180)
        shown = self.admin.show(command)
        self.assertEqual((shown['state'], shown['status'], shown['claimed']), ('running', 'brewing', True))
        self.assertIsNotNone(shown['claimed_at'])

    def test_a_number_with_another_uid_is_another_command(self):
        board = self.board()
        command = self.admin.order(self.name)
        uid, claim_id = board.check().json['uid'], new_id()
        self.refused(board.claim(command, claim_id, uid=new_id()), 404, 'unknown_command')
        self.assertEqual(self.admin.state(command), 'pending')
        self.refused(board.claim(command, claim_id, uid='17'), 400, 'bad_value')
        self.assertEqual(board.claim(command, claim_id, uid=uid).status, 200)
        self.refused(board.update(command, 'complete', claim_id=claim_id, uid=new_id()), 404, 'unknown_command')
        self.assertEqual(self.admin.state(command), 'running')
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id, uid=uid).status, 200)
        self.refused(board.post(f'/api/commands/progress/{command}', {'claim_id': claim_id, 'step': 'brewing'}),
                     409, 'already_settled')

    def test_not_after_passes(self):
        board = self.board()
        command = self.in_state(board, 'expired')
        self.assertEqual(board.check().status, 204)
        reply = board.claim(command)
        self.assertEqual(reply.status, 409)
        self.assertIn(reply.code, ('expired', 'already_settled'))
        self.assertEqual(self.admin.state(command), 'expired')

    def test_failed_preflight_and_refusal_from_pending(self):
        board = self.board()
        for status, error in (('failed', 'head_open'), ('rejected', 'water_low')):
            command = self.admin.order(self.name)
            self.assertEqual(board.update(command, status, journal_id=board.journal_id,
                                          meta={'error': error}).status, 200)
            shown = self.admin.show(command)
            self.assertEqual((shown['state'], shown['reason']), (status, error))
            self.admin.post(f'/api/machines/{self.name}/release', {})

    def test_report_with_the_same_claim(self):
        board = self.board()
        for status in ('complete', 'failed'):
            command = self.admin.order(self.name)
            claim_id = board.run(command)
            self.assertEqual(board.update(command, status, claim_id=claim_id, meta={'actual_volume_ml': 39.5}).json,
                             {'status': 'updated', 'command_id': command})
            shown = self.admin.show(command)
            self.assertEqual((shown['state'], shown['meta']['actual_volume_ml']), (status, 39.5))
            self.assertIsNotNone(shown['finished_at'])

    def test_report_without_a_claim_for_one_claimed_without(self):
        board = self.board()
        command = self.admin.order(self.name)
        self.assertEqual(board.update(command, 'brewing').status, 200)
        self.assertIs(self.admin.show(command)['claimed'], False)
        self.assertEqual(board.update(command, 'complete').status, 200)
        self.assertEqual(self.admin.state(command), 'complete')

    def test_a_stop_honoured_by_the_same_claim(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        reply = self.admin.post(f'/api/commands/{command}/cancel')
        self.assertEqual((reply.status, reply.json['result']), (200, 'stop_requested'))
        self.assertEqual((reply.json['command']['state'], reply.json['command']['stop_requested']), ('running', True))
        noted = board.post(f'/api/commands/progress/{command}', {'claim_id': claim_id, 'step': 'brewing'})
        self.assertEqual((noted.status, noted.json), (200, {'status': 'noted', 'stop': True}))
        again = board.claim(command, claim_id)
        self.assertEqual((again.status, again.json.get('stop')), (200, True))
        self.assertEqual(board.update(command, 'cancelled', claim_id=claim_id, meta={'actual_volume_ml': 12}).status,
                         200)
        shown = self.admin.show(command)
        self.assertEqual((shown['state'], shown['meta']['actual_volume_ml']), ('cancelled', 12))

    def test_a_stop_may_come_too_late(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        self.assertEqual(self.admin.post(f'/api/commands/{command}/cancel').json['result'], 'stop_requested')
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)
        self.assertEqual(self.admin.state(command), 'complete')
        self.refused(self.admin.post(f'/api/commands/{command}/cancel'), 409, 'already_settled')

    def test_cancelled_without_a_stop_is_not_the_boards_to_say(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        self.refused(board.update(command, 'cancelled', claim_id=claim_id), 409, 'wrong_transition')
        self.assertEqual(self.admin.state(command), 'running')

    def test_silence_becomes_unknown(self):
        board = self.board()
        command = self.in_state(board, 'unknown')
        self.assertIsNone(self.admin.show(command)['finished_at'])

    def test_a_boot_that_cannot_account_for_it_becomes_unknown(self):
        board = self.board()
        self.assertEqual(board.hello().status, 200)
        command = self.admin.order(self.name)
        board.run(command)
        board.boot_id, board.journal_id = new_id(), new_id()
        reply = board.hello()
        self.assertEqual(reply.status, 200)
        self.assertEqual(self.admin.state(command), 'unknown')
        self.assertTrue(self.admin.machine(self.name)['hold']['held'])

    def test_a_late_report_by_the_same_claim_settles_unknown(self):
        board = self.board()
        for status in ('complete', 'failed'):
            command = self.in_state(board, 'unknown')
            self.assertEqual(board.update(command, status, claim_id=board.claim_id).status, 200)
            self.assertEqual(self.admin.state(command), status)
            self.admin.post(f'/api/machines/{self.name}/release', {})

    def test_staff_settle_unknown_with_evidence(self):
        boards = [(self.board(f'{self.name}-{outcome}'), outcome) for outcome in ('complete', 'failed')]
        commands = [self.in_state(board, 'unknown') for board, _ in boards]
        for command, (_, outcome) in zip(commands, boards):
            reply = self.admin.post(f'/api/commands/{command}/settle', {'outcome': outcome})
            self.refused(reply, 400, 'missing_field', 'evidence')
            self.assertEqual(self.admin.state(command), 'unknown')
            shown = self.admin.settle(command, outcome, 'The cup was full.').json['command']
            self.assertEqual(shown['state'], outcome)
            self.assertTrue(shown['settled_by'])
            self.assertEqual(self.admin.history(command)[-1]['actor'], shown['settled_by'])


class NotInTheTable(QueueCase):
    """Everything else is 409 and changes nothing."""

    def steps(self, board, command):
        """All that can be asked of a command, as (word, call)."""
        for status in ('brewing', 'complete', 'failed', 'rejected', 'cancelled'):
            yield status, lambda status=status: board.update(command, status, claim_id=new_id(),
                                                             journal_id=board.journal_id)
        yield 'cancel', lambda: self.admin.post(f'/api/commands/{command}/cancel')
        yield 'approve', lambda: self.admin.post(f'/api/commands/{command}/approve')
        yield 'settle', lambda: self.admin.post(f'/api/commands/{command}/settle',
                                                {'outcome': 'complete', 'evidence': 'seen'})

    ALLOWED = {
        'held': {'cancel', 'approve'},
        'pending': {'brewing', 'failed', 'rejected', 'cancel'},
        'running': {'cancel'},   # the reports here come with a claim that is not the one
        'unknown': {'settle'},
    }

    def test_every_other_step_from_every_state(self):
        board = self.board()
        for state in ('held', 'pending', 'running') + FINAL + ('unknown',):
            command = self.in_state(board, state)
            before, rows = self.admin.show(command), self.admin.history(command)
            for word, call in self.steps(board, command):
                if word in self.ALLOWED.get(state, ()):
                    continue
                with self.subTest(state=state, step=word):
                    reply = call()
                    self.assertEqual(reply.status, 409, reply)
                    self.assertEqual(self.admin.show(command), before)
                    self.assertEqual(self.admin.history(command), rows)
            # Clear the way for the next round.
            if state == 'running':
                board.update(command, 'complete', claim_id=board.claim_id)
            elif state in ('held', 'pending'):
                self.admin.post(f'/api/commands/{command}/cancel')
            self.admin.post(f'/api/machines/{self.name}/release', {})

    def test_pending_is_not_something_to_report(self):
        board = self.board()
        command = self.admin.order(self.name)
        for status in ('pending', 'PENDING', 'held', 'unknown', 'expired'):
            with self.subTest(status):
                reply = board.update(command, status)
                self.assertIn(reply.status, (400, 409))
        self.assertEqual(self.admin.state(command), 'pending')

    def test_a_command_nobody_made(self):
        board = self.board()
        self.refused(board.claim(999_999_999), 404, 'unknown_command')
        for path in ('', '/history', '/curve'):
            self.refused(self.admin.get(f'/api/commands/999999999{path}'), 404, 'unknown_command')
        for word in ('cancel', 'approve'):
            self.refused(self.admin.post(f'/api/commands/999999999/{word}'), 404, 'unknown_command')
        self.refused(self.admin.post('/api/commands/999999999/settle', {'outcome': 'failed', 'evidence': 'x'}),
                     404, 'unknown_command')


class Claims(QueueCase):
    def test_check_is_a_look(self):
        board = self.board()
        command = self.admin.order(self.name)
        first = board.check().json
        rows = self.admin.history(command)
        for _ in range(20):
            self.assertEqual(board.check().json, first)
        self.assertEqual(self.admin.history(command), rows)
        self.assertEqual(self.admin.state(command), 'pending')

    def test_the_same_claim_again_gets_the_same_answer(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = new_id()
        first = board.claim(command, claim_id).json
        for _ in range(3):
            again = board.claim(command, claim_id)
            self.assertEqual(again.status, 200)
            self.assertEqual(again.json['command_id'], command)
            self.assertLessEqual(again.json['start_within_ms'], first['start_within_ms'])
        self.assertEqual([row['new_status'] for row in self.admin.history(command)], ['pending', 'running'])

    def test_the_same_claim_after_the_end_is_409(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        board.update(command, 'complete', claim_id=claim_id)
        self.refused(board.claim(command, claim_id), 409, 'already_settled')

    def test_another_claim_is_409(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        self.refused(board.claim(command), 409, 'claim_mismatch')
        self.refused(board.update(command, 'brewing'), 409, 'claim_mismatch')
        self.refused(board.update(command, 'complete', claim_id=new_id()), 409, 'claim_mismatch')
        self.refused(board.update(command, 'complete'), 409, 'claim_mismatch')
        self.assertEqual(self.admin.state(command), 'running')
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)

    def test_eight_claims_at_once_have_one_winner(self):
        board = self.board()
        token = board.headers['Authorization'].split()[1]
        for _ in range(5):
            command = self.admin.order(self.name)
            boards = [self.srv.board(self.name, token) for _ in range(8)]
            claims = [new_id() for _ in boards]
            replies = run_threads([lambda b=b, c=c: b.claim(command, c) for b, c in zip(boards, claims)])
            won = [claim for reply, claim in zip(replies, claims) if reply.status == 200]
            self.assertEqual(len(won), 1, replies)
            self.assertTrue(all(reply.code in ('claim_mismatch', 'not_claimable') for reply in replies
                                if reply.status != 200))
            self.assertEqual(board.update(command, 'complete', claim_id=won[0]).status, 200)
            for one in boards:
                one.close()

    def test_only_the_board_that_runs_it_is_shown_it(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        own = board.check()
        self.assertEqual((own.status, own.json['command_id'], own.json['claim_id'], own.json['state']),
                         (200, command, claim_id, 'running'))
        self.assertEqual(board.check(journal=False).status, 204)
        board.journal_id = new_id()
        self.assertEqual(board.check().status, 204)

    def test_one_at_a_time_in_order(self):
        board = self.board()
        commands = [self.admin.order(self.name) for _ in range(3)]
        self.refused(board.claim(commands[1]), 409, 'not_claimable')
        claim_id = board.run(commands[0])
        self.assertEqual(board.check(journal=False).status, 204)
        self.refused(board.claim(commands[1]), 409, 'not_claimable')
        board.update(commands[0], 'complete', claim_id=claim_id)
        self.assertEqual(board.check().json['command_id'], commands[1])

    def test_only_the_journal_of_the_claim_says_never_started(self):
        board = self.board()
        board.hello()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        reply = board.update(command, 'failed', claim_id=claim_id, journal_id=new_id(), meta={'error': 'not_started'})
        self.assertEqual(reply.status, 409)
        self.assertEqual(reply.code, 'wrong_journal')
        reply = board.update(command, 'failed', claim_id=claim_id, journal_id=board.journal_id,
                             meta={'error': 'not_started'})
        self.assertEqual(reply.status, 200)
        self.assertEqual(self.admin.show(command)['reason'], 'not_started')

    def test_progress_takes_the_claim_only(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        columns = ['t_ms', 'temperature_c', 'pressure_bar', 'flow_ml_s', 'current_a', 'volume_ml']
        path = f'/api/commands/progress/{command}'
        reply = board.post(path, {'claim_id': claim_id, 'step': 'brewing', 'columns': columns,
                                  'samples': [[0, 91, 0, 0, 0.2, 0], [100, 91.5, 8.9, 1.2, 4, 0.1]]})
        self.assertEqual((reply.status, reply.json), (200, {'status': 'noted'}))
        self.assertEqual(board.post(path, {'claim_id': new_id(), 'step': 'brewing', 'columns': columns,
                                           'samples': [[200, 1, 1, 1, 1, 1]]}).status, 409)
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)
        self.assertEqual(board.post(path, {'claim_id': claim_id, 'step': 'brewing', 'columns': columns,
                                           'samples': [[300, 1, 1, 1, 1, 1]]}).status, 409)
        curve = self.admin.get(f'/api/commands/{command}/curve').json
        self.assertEqual(curve['columns'], columns)
        self.assertEqual([row[0] for row in curve['samples']], [0, 100])


class Waiting(QueueCase):
    def test_a_parked_poll_wakes_on_create(self):
        board = self.board()
        waiting = threading.Thread(target=lambda: setattr(board, 'got', board.check(wait=60)), daemon=True)
        waiting.start()
        until(lambda: self.admin.machine(self.name)['online'], what='the poll to arrive')
        command = self.admin.order(self.name)
        waiting.join(30)
        self.assertEqual((board.got.status, board.got.json['command_id']), (200, command))

    def test_a_parked_poll_wakes_on_approve_and_release(self):
        board = self.board()
        held = self.admin.order(self.name, execute_allowed=False)
        for wake in (lambda: self.admin.post(f'/api/commands/{held}/approve'),
                     lambda: self.admin.post(f'/api/machines/{self.name}/release', {})):
            waiting = threading.Thread(target=lambda: setattr(board, 'got', board.check(wait=60)), daemon=True)
            waiting.start()
            until(lambda: self.admin.machine(self.name)['online'], what='the poll to arrive')
            self.assertEqual(wake().status, 200)
            waiting.join(30)
            self.assertEqual((board.got.status, board.got.json['command_id']), (200, held))
            self.admin.post(f'/api/machines/{self.name}/hold', {'reason': 'once more'})

    def test_a_parked_poll_ends_with_204(self):
        self.assertEqual(self.board().check(wait=1).status, 204)


class Idempotency(QueueCase):
    def test_same_key_same_body_is_one_command(self):
        self.board()
        key = new_id()
        first = self.admin.create(self.name, key=key)
        for _ in range(3):
            again = self.admin.create(self.name, key=key)
            self.assertEqual((again.status, again.json), (201, first.json))
        self.assertEqual(len(self.admin.pages(f'/api/commands?machine_id={self.name}')), 1)

    def test_same_key_other_body_is_409(self):
        self.board()
        key = new_id()
        first = self.admin.create(self.name, key=key).json['command_id']
        other = {**harness.ESPRESSO, 'temperature_c': 91}
        self.refused(self.admin.create(self.name, other, key=key), 409, 'idempotency_mismatch')
        self.assertEqual([row['command_id'] for row in self.admin.pages(f'/api/commands?machine_id={self.name}')],
                         [first])

    def test_ten_at_once_with_one_key(self):
        self.board()
        for _ in range(5):
            key = new_id()
            clients = [self.srv.admin() for _ in range(10)]
            replies = run_threads([lambda c=c: c.create(self.name, key=key) for c in clients])
            self.assertEqual({reply.status for reply in replies}, {201})
            self.assertEqual(len({reply.json['command_id'] for reply in replies}), 1)
            for client in clients:
                client.close()
        self.assertEqual(len(self.admin.pages(f'/api/commands?machine_id={self.name}')), 5)

    def test_a_key_lives_as_long_as_its_command(self):
        board = self.board()
        key = new_id()
        command = self.admin.create(self.name, key=key).json['command_id']
        claim_id = board.run(command)
        board.update(command, 'complete', claim_id=claim_id)
        self.assertEqual(self.admin.create(self.name, key=key).json['command_id'], command)
        self.assertEqual(board.check().status, 204)

    def test_keys_are_their_callers(self):
        self.board()
        token = self.admin.post('/api/tokens', {'name': 'another caller', 'role': 'staff'}).json['token']
        key = new_id()
        mine = self.admin.create(self.name, key=key).json['command_id']
        theirs = self.srv.client(token).create(self.name, key=key).json['command_id']
        self.assertNotEqual(mine, theirs)

    def test_a_refusal_does_not_spend_the_key(self):
        self.board()
        key = new_id()
        bad = {**harness.ESPRESSO, 'temperature_c': 300}
        self.refused(self.admin.create(self.name, bad, key=key), 422, 'out_of_limits')
        self.assertEqual(self.admin.create(self.name, key=key).status, 201)

    def test_bad_keys(self):
        self.board()
        for key in ('', 'x' * 256):
            with self.subTest(len(key)):
                reply = self.admin.post('/api/commands/create', {'machine_id': self.name, 'recipe': harness.ESPRESSO},
                                        headers={'Idempotency-Key': key})
                self.assertEqual(reply.status, 400, reply)
        self.assertEqual(self.admin.pages(f'/api/commands?machine_id={self.name}'), [])


class HoldsAndFailures(QueueCase):
    def test_hold_and_release(self):
        board = self.board()
        command = self.admin.order(self.name)
        reply = self.admin.post(f'/api/machines/{self.name}/hold', {'reason': 'cleaning'})
        self.assertEqual(reply.status, 200)
        hold = reply.json['machine']['hold']
        self.assertEqual((hold['held'], hold['reason']), (True, 'cleaning'))
        self.assertEqual(board.check().status, 204)
        self.refused(board.claim(command), 409, 'not_claimable')
        reply = self.admin.post(f'/api/machines/{self.name}/release', {'note': 'clean'})
        self.assertIs(reply.json['machine']['hold']['held'], False)
        self.assertEqual(board.check().json['command_id'], command)

    def fails(self, board, error):
        command = self.admin.order(board.name)
        claim_id = board.run(command)
        self.assertEqual(board.update(command, 'failed', claim_id=claim_id, meta={'error': error}).status, 200)
        return command

    def open_alerts(self):
        return [alert for alert in self.admin.pages('/api/alerts?state=open') if alert['machine_id'] == self.name]

    def test_a_mechanical_failure_stops_the_machine(self):
        for index, error in enumerate(('pick_failed', 'insert_failed')):
            board = self.board(f'{self.name}-{index}')
            self.fails(board, error)
            machine = self.admin.machine(board.name)
            self.assertTrue(machine['hold']['held'], error)
            self.admin.order(board.name)
            self.assertEqual(board.check().status, 204)

    def test_three_failures_in_a_row_stop_the_machine(self):
        board = self.board()
        for count in (1, 2):
            self.fails(board, 'short_volume')
            machine = self.admin.machine(self.name)
            self.assertEqual((machine['hold']['held'], machine['failures_in_row']), (False, count))
        self.fails(board, 'short_volume')
        self.assertTrue(self.admin.machine(self.name)['hold']['held'])
        self.assertTrue(until(self.open_alerts, what='the alert'))

    def test_a_success_ends_the_row(self):
        board = self.board()
        for _ in range(2):
            for _ in range(2):
                self.fails(board, 'short_volume')
            command = self.admin.order(self.name)
            board.update(command, 'complete', claim_id=board.run(command))
        machine = self.admin.machine(self.name)
        self.assertEqual((machine['hold']['held'], machine['failures_in_row']), (False, 0))

    def test_unknown_holds_the_machine_with_an_alert(self):
        board = self.board()
        command = self.in_state(board, 'unknown')
        self.assertTrue(self.admin.machine(self.name)['hold']['held'])
        alerts = until(self.open_alerts, what='the alert')
        self.assertIn(command, [alert.get('command_id') for alert in alerts])
        reply = self.admin.post(f'/api/alerts/{alerts[0]["alert_id"]}/acknowledge')
        self.assertEqual(reply.status, 200)
        self.assertTrue(reply.json['alert']['acknowledged_by'])

    def test_nothing_starts_while_unknown_also_after_release(self):
        board = self.board()
        self.in_state(board, 'unknown')
        waiting = self.admin.order(self.name)
        self.admin.post(f'/api/machines/{self.name}/release', {})
        self.assertEqual(board.check().status, 204)
        self.refused(board.claim(waiting), 409, 'not_claimable')


class Records(QueueCase):
    def test_history_has_each_transition(self):
        board = self.board()
        command = self.admin.order(self.name, execute_allowed=False)
        self.admin.post(f'/api/commands/{command}/approve')
        claim_id = board.run(command)
        board.update(command, 'complete', claim_id=claim_id, meta={'actual_volume_ml': 40})
        rows = self.admin.history(command)
        self.assertEqual([(row['old_status'], row['new_status']) for row in rows],
                         [(None, 'held'), ('held', 'pending'), ('pending', 'running'), ('running', 'complete')])
        self.assertEqual(len({row['history_id'] for row in rows}), 4)
        self.assertIn(self.name, rows[2]['actor'])

    def test_a_refusal_is_in_the_audit(self):
        self.board()
        reply = self.admin.create(self.name, {**harness.ESPRESSO, 'temperature_c': 300})
        self.refused(reply, 422, 'out_of_limits', 'recipe.temperature_c')
        request = reply.headers['x-request-id']
        until(lambda: [one for one in self.admin.get('/api/audit?limit=200').json['items']
                       if one['request_id'] == request], what='the audit entry')

    def test_the_chain_verifies_and_grows(self):
        self.board()
        before = self.admin.get('/api/audit/verify').json
        self.admin.order(self.name)
        after = self.admin.get('/api/audit/verify').json
        self.assertTrue(before['intact'] and after['intact'])
        self.assertGreater(after['entries'], before['entries'])
        self.assertNotEqual(after['head'], before['head'])

    def test_lists_filter_and_page(self):
        board = self.board()
        commands = [self.admin.order(self.name) for _ in range(7)]
        for _ in range(2):
            self.admin.post(f'/api/commands/{commands.pop()}/cancel')
        board.run(commands[0])
        base = f'/api/commands?machine_id={self.name}'
        self.assertEqual([row['command_id'] for row in self.admin.pages(f'{base}&limit=2&state=pending')],
                         commands[:0:-1])
        self.assertEqual(len(self.admin.pages(f'{base}&limit=3')), 7)
        self.assertEqual([row['command_id'] for row in self.admin.pages(f'{base}&state=running')], [commands[0]])
        created = self.admin.show(commands[2])['created_at']
        later = {row['command_id'] for row in self.admin.pages(f'{base}&from={created}')}
        sooner = {row['command_id'] for row in self.admin.pages(f'{base}&to={created}')}
        self.assertIn(commands[2], later)
        self.assertNotIn(commands[2], sooner)
        self.assertEqual(len(later | sooner), 7)
        self.assertFalse(later & sooner)

    def test_a_machine_takes_a_thousand_and_no_more(self):
        self.board()
        clients = [self.srv.admin() for _ in range(4)]
        run_threads([lambda c=c: [c.order(self.name) for _ in range(250)] for c in clients], seconds=240)
        self.refused(self.admin.create(self.name), 409, 'queue_full')
        self.assertEqual(self.admin.machine(self.name)['pending_count'], 1000)


if __name__ == '__main__':
    harness.main()
