"""The hazards that were measured on the stacks people use today, row by row.  Each test is named after its row; a row
of a kind that this server does not have yet is asked of the queue through a brew, where the same hazard lives."""
import http.client
import json
import socket
import threading

import harness
from harness import Board, new_id, run_threads, until


class Hazards(harness.Case):
    ARGS = ('--grace', '1')

    def start(self, **more):
        return self.server(*self.ARGS, **more)

    def restart(self, server):
        server.kill()
        return self.start()

    def board_again(self, server, old):
        """The same board, with its journal and token, at a restarted server."""
        board = Board(server.port, old.name, None, headers=old.headers)
        board.boot_id, board.journal_id = old.boot_id, old.journal_id
        return board

    def lost_reply(self, server, body, key=None):
        """Send a create and hang up without reading the answer."""
        head = f'Idempotency-Key: {key}\r\n' if key else ''
        data = json.dumps(body).encode()
        sock = server.raw((f'POST /api/commands/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer '
                           f'{server.admin_token}\r\nContent-Type: application/json\r\n{head}'
                           f'Content-Length: {len(data)}\r\n\r\n').encode() + data)
        return sock

    # "two concurrent pollers of one machine: both got the same command 49 of 50 times"
    def test_two_concurrent_pollers_of_one_machine(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        token = board.headers['Authorization'].split()[1]
        for _ in range(50):
            command = admin.order('m-1')
            pollers = [Board(server.port, 'm-1', token) for _ in range(2)]

            def go(poller):
                offer = poller.check()
                if offer.status != 200:
                    return None
                claim_id = new_id()
                reply = poller.claim(offer.json['command_id'], claim_id)
                return claim_id if reply.status == 200 else None
            won = [claim for claim in run_threads([lambda p=p: go(p) for p in pollers]) if claim]
            self.assertEqual(len(won), 1)
            self.assertEqual(board.update(command, 'complete', claim_id=won[0]).status, 200)
            self.assertEqual([row['new_status'] for row in admin.history(command)], ['pending', 'running', 'complete'])
            for poller in pollers:
                poller.close()

    # "re-poll before `brewing`: same id each time"
    def test_repoll_before_brewing(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command = admin.order('m-1')
        admin.order('m-1')
        self.assertEqual({board.check().json['command_id'] for _ in range(10)}, {command})
        board.run(command)
        self.assertEqual(board.check(journal=False).status, 204)

    # "kill -9 after commit, before the create reply, client retries: 2 rows, 2 brews for one order"
    def test_kill_after_commit_before_the_create_reply_client_retries(self):
        server = self.start()
        server.board()
        body = {'machine_id': 'm-1', 'recipe': harness.ESPRESSO}
        for _ in range(3):
            key = new_id()
            watcher, before = server.admin(), None
            before = len(watcher.pages('/api/commands?machine_id=m-1'))
            sock = self.lost_reply(server, body, key)
            until(lambda: len(watcher.pages('/api/commands?machine_id=m-1')) == before + 1, what='the commit')
            server.kill()
            sock.close()
            server = self.start()
            admin = server.admin()
            reply = admin.create('m-1', key=key)
            self.assertEqual(reply.status, 201)
            rows = admin.pages('/api/commands?machine_id=m-1')
            self.assertEqual(len(rows), before + 1)
            self.assertEqual(reply.json['command_id'], rows[0]['command_id'])

    # "client times out at 1 s, retries once, no crash: 2 pending rows"
    def test_client_times_out_and_retries_once(self):
        server = self.start()
        server.board()
        admin = server.admin()
        body = {'machine_id': 'm-1', 'recipe': harness.ESPRESSO}
        for _ in range(20):
            key = new_id()
            self.lost_reply(server, body, key).close()   # gave up before the answer
            first = admin.create('m-1', key=key)         # and asks again at once
            second = admin.create('m-1', key=key)
            self.assertEqual((first.status, second.status), (201, 201))
            self.assertEqual(first.json, second.json)
        self.assertEqual(len(admin.pages('/api/commands?machine_id=m-1')), 20)

    # "kill -9 after check: same command handed out again after restart: a device that started on the first reply
    # brews twice"
    def test_kill_after_check(self):
        server = self.start()
        command = server.admin().order(server.board().name)
        board = server.board(token=server.admin().post('/api/machines/m-1/tokens').json['token'])
        self.assertEqual(board.check().json['command_id'], command)
        server = self.restart(server)
        board = self.board_again(server, board)
        self.assertEqual(board.check().json['command_id'], command)   # nobody may have started on a look
        claim_id = board.run(command)
        server = self.restart(server)                                 # now somebody did
        board = self.board_again(server, board)
        self.assertEqual(board.check(journal=False).status, 204)
        other = self.board_again(server, board)
        other.journal_id = new_id()
        self.assertEqual(other.check().status, 204)
        self.refused(other.claim(command), 409, 'claim_mismatch')
        self.assertEqual(board.claim(command, claim_id).status, 200)  # the answer it may have lost
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)

    def test_kill_after_claim_before_its_reply(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command, claim_id = admin.order('m-1'), new_id()
        data = json.dumps({'status': 'brewing', 'claim_id': claim_id, 'journal_id': board.journal_id}).encode()
        sock = server.raw((f'POST /api/commands/update/{command} HTTP/1.1\r\nHost: x\r\nAuthorization: '
                           f'{board.headers["Authorization"]}\r\nContent-Type: application/json\r\n'
                           f'Content-Length: {len(data)}\r\n\r\n').encode() + data)
        until(lambda: admin.state(command) == 'running', what='the claim')
        server = self.restart(server)
        sock.close()
        board = self.board_again(server, board)
        self.refused(board.claim(command), 409, 'claim_mismatch')
        self.assertEqual(board.claim(command, claim_id).status, 200)

    # "5 x kill -9 under 4 creators: 3909 acknowledged, 0 lost, 5 committed but never acknowledged"
    def test_five_kills_under_four_creators(self):
        server = self.start()
        server.board()
        acknowledged = {}
        for _ in range(5):
            count = len(acknowledged)

            def create(server=server):
                client = server.admin()
                try:
                    while True:
                        key = new_id()
                        reply = client.create('m-1', key=key)
                        if reply.status == 201:
                            acknowledged[key] = reply.json['command_id']
                        elif reply.code == 'queue_full':
                            return
                except (OSError, http.client.HTTPException):
                    return                                            # killed
            threads = [threading.Thread(target=create, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            until(lambda: len(acknowledged) >= count + 40, what='creates')
            server.kill()
            for thread in threads:
                thread.join(60)
            server = self.start()
        admin = server.admin()
        rows = {row['command_id'] for row in admin.pages('/api/commands?machine_id=m-1&limit=200')}
        self.assertEqual(len(set(acknowledged.values())), len(acknowledged))
        self.assertLessEqual(set(acknowledged.values()), rows)
        for key in list(acknowledged)[::17]:
            self.assertEqual(admin.create('m-1', key=key).json['command_id'], acknowledged[key])
        self.assertTrue(admin.get('/api/audit/verify').json['intact'])

    # "device dies while `brewing`: row stays `brewing` for ever, never offered again, no timeout"
    def test_device_dies_while_brewing(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command, after = admin.order('m-1', max_duration_s=1), admin.order('m-1')
        board.run(command)
        until(lambda: admin.state(command) == 'unknown', what='the silence to count')
        machine = admin.machine('m-1')
        self.assertTrue(machine['hold']['held'])
        self.assertTrue([one for one in admin.pages('/api/alerts') if one['machine_id'] == 'm-1'])
        self.assertEqual(board.check(journal=False).status, 204)      # nothing retries it, nothing overtakes it
        admin.settle(command)
        admin.post('/api/machines/m-1/release', {})
        self.assertEqual(board.check().json['command_id'], after)

    def test_device_and_server_die_while_brewing(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command = admin.order('m-1', max_duration_s=1)
        board.run(command)
        admin = self.restart(server).admin()
        until(lambda: admin.state(command) == 'unknown', what='the silence to count')

    # "pending->complete->brewing->failed->complete: every transition accepted (200)"
    def test_every_transition_accepted(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command = admin.order('m-1')
        self.refused(board.update(command, 'complete'), 409, 'wrong_transition')
        claim_id = board.run(command)
        self.assertEqual(board.update(command, 'failed', claim_id=claim_id).status, 200)
        self.refused(board.update(command, 'complete', claim_id=claim_id), 409, 'already_settled')
        self.refused(board.claim(command, claim_id), 409, 'already_settled')
        self.assertEqual([row['new_status'] for row in admin.history(command)], ['pending', 'running', 'failed'])

    def test_the_same_report_again_is_not_an_error_that_stops_a_board(self):
        # Its answer may have been lost; the board must be able to learn that the server knows.
        server = self.start()
        admin, board = server.admin(), server.board()
        command = admin.order('m-1')
        claim_id = board.run(command)
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)
        again = board.update(command, 'complete', claim_id=claim_id)
        self.assertEqual((again.status, again.code), (409, 'already_settled'))
        self.assertEqual(len(admin.history(command)), 3)

    # "execute_allowed=false: handed out, and blocks every later command of that machine (head of line)"
    def test_execute_allowed_false(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        held = admin.order('m-1', execute_allowed=False)
        later = admin.order('m-1')
        self.assertEqual(board.check().json['command_id'], later)
        self.refused(board.claim(held), 409, 'not_claimable')
        claim_id = board.run(later)
        self.assertEqual(board.update(later, 'complete', claim_id=claim_id).status, 200)
        self.assertEqual(board.check().status, 204)
        admin.post(f'/api/commands/{held}/approve')
        self.assertEqual(board.check().json['command_id'], held)

    # "no device identity: any caller completes any command id"
    def test_no_device_identity(self):
        server = self.start()
        admin, board, other = server.admin(), server.board('m-1'), server.board('m-2')
        command = admin.order('m-1')
        for status in ('brewing', 'complete', 'failed', 'rejected', 'cancelled'):
            self.refused(server.client().post(f'/api/commands/update/{command}', {'status': status}), 401,
                         'unauthenticated')
            self.refused(other.update(command, status), 403, 'foreign_command')
            self.assertEqual(admin.update(command, status).status if hasattr(admin, 'update') else
                             admin.post(f'/api/commands/update/{command}', {'status': status}).status, 403)
        claim_id = board.run(command)
        self.refused(other.update(command, 'complete', claim_id=claim_id), 403, 'foreign_command')
        self.assertEqual(admin.state(command), 'running')

    # "recipe {"temperature_c":-900,"volume_ml":"lots"}: accepted"
    def test_recipe_garbage(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        reply = admin.post('/api/commands/create', {'machine_id': 'm-1', 'recipe': {'temperature_c': -900,
                                                                                    'volume_ml': 'lots'}})
        self.assertIn(reply.status, (400, 422))
        self.assertTrue(reply.json['field'].startswith('recipe.'))
        self.assertEqual(admin.pages('/api/commands'), [])
        self.assertEqual(board.check().status, 204)

    # "pour: device replies in 2.5 s, server timeout 2.0 s, user presses twice: 2 x 502 'failed'; device poured 2 x"
    def test_pour_device_replies_late_user_presses_twice(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        key = new_id()
        command = admin.create('m-1', key=key).json['command_id']
        claim_id = board.run(command)
        self.assertEqual(admin.create('m-1', key=key).json['command_id'], command)   # the impatient second press
        self.assertEqual(board.check(journal=False).status, 204)
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)
        self.assertEqual(board.check().status, 204)

    # "pour: two server processes, simultaneous: 2 pours"
    def test_pour_two_server_processes(self):
        server = self.start()
        second = self.server(*self.ARGS, expect_ready=False, log_name='second.log')
        status, out = second.wait()
        self.assertNotEqual(status, 0)
        self.assertEqual(out, '')
        self.assertEqual(server.client().get('/healthz').status, 200)

    # "pour: kill -9 while pouring: log row stays `started` for ever"
    def test_pour_kill_while_pouring(self):
        server = self.start()
        admin, board = server.admin(), server.board()
        command = admin.order('m-1')
        claim_id = board.run(command)
        server = self.restart(server)
        board, admin = self.board_again(server, board), server.admin()
        self.assertEqual(admin.state(command), 'running')
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id, meta={'actual_volume_ml': 40}).status,
                         200)
        self.assertEqual(admin.state(command), 'complete')

    # "ingest kill -9 mid-batch: 1372 lost: acknowledged on receipt, rows still in memory"
    def test_ingest_kill_mid_batch(self):
        server = self.start()
        server.board()
        total, answers = 100, b''
        body = json.dumps({'machine_id': 'm-1', 'recipe': harness.ESPRESSO}).encode()
        one = (f'POST /api/commands/create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.admin_token}\r\n'
               f'Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n').encode() + body
        sock = server.raw(one * total)                                # pipelined: one batch
        sock.settimeout(60)
        while answers.count(b'"command_id"') < 30:
            part = sock.recv(65536)
            if not part:
                break
            answers += part
        server.kill()
        try:
            while part := sock.recv(65536):
                answers += part
        except OSError:
            pass
        sock.close()
        acknowledged = answers.count(b'"command_id"')
        self.assertGreaterEqual(acknowledged, 30)
        rows = self.start().admin().pages('/api/commands?machine_id=m-1&limit=200')
        self.assertGreaterEqual(len(rows), acknowledged)

    def test_a_creator_that_hangs_up_does_not_undo_the_order(self):
        server = self.start()
        server.board()
        admin = server.admin()
        sock = self.lost_reply(server, {'machine_id': 'm-1', 'recipe': harness.ESPRESSO})
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        sock.close()                                                  # a reset, not a goodbye
        reply = admin.create('m-1')
        self.assertEqual(reply.status, 201)
        self.assertIn(len(admin.pages('/api/commands?machine_id=m-1')), (1, 2))


if __name__ == '__main__':
    harness.main()
