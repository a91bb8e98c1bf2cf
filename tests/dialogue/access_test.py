"""Who may do what: the table of roles, cookies and CSRF, device tokens, unknown devices, rate limits."""
import harness
from harness import Board, ESPRESSO, new_id, until

PASSWORD = 'nine plain words are better than one strange word'


class Access(harness.Shared):
    def account(self, name, role, password=PASSWORD):
        reply = self.admin.post('/api/accounts', {'name': name, 'role': role, 'password': password})
        self.assertEqual(reply.status, 201, reply)
        return reply.json['account']['account_id']

    def token(self, role):
        reply = self.admin.post('/api/tokens', {'name': f'{role} of a test', 'role': role})
        self.assertEqual(reply.status, 201, reply)
        client = self.srv.client(reply.json['token'])
        client.token_id, client.token = reply.json['token_id'], reply.json['token']
        self.addCleanup(client.close)
        return client

    def sign_in(self, name, password=PASSWORD):
        """A client with the session's cookie and CSRF header, and the reply."""
        client = self.srv.client()
        self.addCleanup(client.close)
        reply = client.post('/api/session', {'name': name, 'password': password})
        if reply.status == 200:
            client.headers['Cookie'] = reply.cookies[0].split(';')[0]
            client.headers['X-CSRF-Token'] = reply.json['csrf_token']
        return client, reply


class Roles(Access):
    def test_the_table(self):
        """method, path, body, and what guest, customer, staff and admin get: a status, or a class of statuses.
        4 stands for "let in, and then refused for another reason"."""
        self.board()
        command = self.admin.order(self.name, execute_allowed=False)
        callers = [self.srv.client(), self.token('customer'), self.token('staff'), self.admin]
        table = (
            ('GET', '/healthz', None, (200, 200, 200, 200)),
            ('GET', '/readyz', None, (200, 200, 200, 200)),
            ('GET', '/api/openapi.yaml', None, (200, 200, 200, 200)),
            ('GET', '/api/session', None, (200, 200, 200, 200)),
            ('GET', '/api/kinds', None, (200, 200, 200, 200)),
            ('GET', '/api/machines', None, (401, 200, 200, 200)),
            ('GET', f'/api/machines/{self.name}', None, (401, 200, 200, 200)),
            ('GET', '/api/commands', None, (401, 200, 200, 200)),
            ('POST', '/api/commands/create', {'machine_id': self.name, 'recipe': ESPRESSO}, (401, 201, 201, 201)),
            ('GET', f'/api/commands/{command}/history', None, (401, (403, 404), 200, 200)),
            ('GET', f'/api/commands/{command}', None, (401, (403, 404), 200, 200)),
            ('POST', f'/api/commands/{command}/cancel', None, (401, (403, 404), 200, 409)),
            ('POST', f'/api/commands/{command}/approve', None, (401, 403, 409, 409)),
            ('POST', f'/api/commands/{command}/settle', {'outcome': 'failed', 'evidence': 'x'}, (401, 403, 409, 409)),
            ('POST', f'/api/commands/update/{command}', {'status': 'brewing'}, (401, 403, 403, 403)),
            ('GET', f'/api/commands/check/{self.name}', None, (401, 403, 403, 403)),
            ('POST', f'/api/machines/{self.name}/hold', {'reason': 'x'}, (401, 403, 200, 200)),
            ('POST', f'/api/machines/{self.name}/release', {}, (401, 403, 200, 200)),
            ('PUT', f'/api/machines/{self.name}/config', {}, (401, 403, 200, 200)),
            ('POST', '/api/machines', {'machine_id': f'{self.name}-n', 'kind': 'espresso'}, (401, 403, 201, 409)),
            ('GET', f'/api/machines/{self.name}/tokens', None, (401, 403, 403, 200)),
            ('POST', f'/api/machines/{self.name}/tokens', None, (401, 403, 403, 201)),
            ('GET', '/api/alerts', None, (401, 403, 200, 200)),
            ('GET', '/api/audit', None, (401, 403, 200, 200)),
            ('GET', '/api/audit/verify', None, (401, 403, 200, 200)),
            ('GET', '/metrics', None, (401, 403, 200, 200)),
            ('GET', '/api/accounts', None, (401, 403, 403, 200)),
            ('POST', '/api/accounts', {'name': f'{self.name}-a', 'role': 'staff', 'password': PASSWORD},
             (401, 403, 403, 201)),
            ('GET', '/api/tokens', None, (401, 403, 403, 200)),
            ('POST', '/api/tokens', {'name': 'x', 'role': 'customer'}, (401, 403, 403, 201)),
        )
        for method, path, body, expected in table:
            for caller, status, role in zip(callers, expected, ('guest', 'customer', 'staff', 'admin')):
                with self.subTest(f'{role}: {method} {path}'):
                    reply = caller.call(method, path, body)
                    self.assertIn(reply.status, status if isinstance(status, tuple) else (status,), reply)
                    if reply.status == 401:
                        self.assertEqual(reply.code, 'unauthenticated')

    def test_a_customer_sees_only_what_is_theirs(self):
        self.board()
        mine, yours = self.token('customer'), self.token('customer')
        command = mine.order(self.name)
        self.assertEqual(mine.get(f'/api/commands/{command}').status, 200)
        self.assertIn(yours.get(f'/api/commands/{command}').status, (403, 404))
        self.assertEqual([row['command_id'] for row in mine.pages('/api/commands')], [command])
        self.assertEqual(yours.pages('/api/commands'), [])
        self.assertIn(yours.post(f'/api/commands/{command}/cancel').status, (403, 404))
        self.assertEqual(self.admin.state(command), 'pending')
        self.assertEqual(mine.post(f'/api/commands/{command}/cancel').json['result'], 'cancelled')

    def test_a_customer_learns_nothing_of_others_orders_from_the_machine(self):
        board = self.board()
        board.hello()
        self.admin.order(self.name, meta={'guest': 'Alice'})
        self.admin.put(f'/api/machines/{self.name}/config', {'note': 'behind the bar'})
        staff = self.admin.machine(self.name)
        self.assertEqual(staff['head']['meta'], {'guest': 'Alice'})
        for path in (f'/api/machines/{self.name}', '/api/machines?limit=200'):
            reply = self.token('customer').get(path)
            self.assertEqual(reply.status, 200, reply)
            for secret in ('Alice', 'behind the bar', staff['journal_id'], staff['boot_id']):
                self.assertNotIn(secret, reply.body.decode())

    def test_meta_has_a_size(self):
        self.board()
        reply = self.admin.create(self.name, meta={'a': [1e14] * 1500})
        self.assertEqual((reply.status, reply.code), (413, 'too_large'))
        self.assertEqual(self.admin.create(self.name, meta={'a': 'x' * 3000}).status, 201)

    def test_deadlines_are_staffs_to_set(self):
        self.board()
        customer = self.token('customer')
        for name in ('not_after_s', 'max_duration_s'):
            with self.subTest(name):
                self.refused(customer.create(self.name, **{name: 60}), 403, 'forbidden')
        self.assertEqual(self.token('staff').create(self.name, not_after_s=60, max_duration_s=60).status, 201)

    def test_a_device_is_no_person(self):
        board = self.board()
        command = self.admin.order(self.name)
        for method, path, body in (('POST', '/api/commands/create', {'machine_id': self.name, 'recipe': ESPRESSO}),
                                   ('GET', '/api/commands', None), ('POST', f'/api/commands/{command}/cancel', None),
                                   ('POST', f'/api/machines/{self.name}/release', {}), ('GET', '/api/audit', None),
                                   ('GET', '/api/accounts', None), ('POST', f'/api/machines/{self.name}/tokens', None)):
            with self.subTest(path):
                self.assertIn(board.call(method, path, body).status, (401, 403))
        self.assertEqual(self.admin.state(command), 'pending')

    def test_api_tokens_come_and_go(self):
        client = self.token('staff')
        self.assertEqual(client.get('/api/audit').status, 200)
        listed = {row['token_id']: row for row in self.admin.get('/api/tokens').json['items']}
        self.assertEqual(listed[client.token_id]['role'], 'staff')
        self.assertNotIn(client.token, str(listed))
        self.assertEqual(self.admin.delete(f'/api/tokens/{client.token_id}').status, 204)
        self.refused(client.get('/api/audit'), 401, 'unauthenticated')
        self.refused(self.admin.delete(f'/api/tokens/{client.token_id}'), 404, 'unknown_token')

    def test_tokens_that_are_none(self):
        for value in ('Bearer', 'Bearer ', 'Bearer x', 'Bearer ' + 'a' * 43, 'Basic YTpi', 'bearer ' + 'é' * 30,
                      'Bearer ' + 'a' * 4000):
            with self.subTest(value[:20]):
                reply = self.srv.client(headers={'Authorization': value.encode('latin-1')}).get('/api/audit')
                self.assertIn(reply.status, (400, 401))


class Sessions(Access):
    def test_sign_in_and_out(self):
        self.account(f'{self.name}-s', 'staff')
        client, reply = self.sign_in(f'{self.name}-s')
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json['account']['role'], 'staff')
        session = client.get('/api/session').json
        self.assertEqual((session['role'], session['account']['name']), ('staff', f'{self.name}-s'))
        self.assertEqual(client.get('/api/audit').status, 200)
        self.assertEqual(client.delete('/api/session').status, 204)
        self.refused(client.get('/api/audit'), 401, 'unauthenticated')
        self.assertIsNone(client.get('/api/session').json['account'])

    def test_cookie_flags(self):
        self.account(f'{self.name}-c', 'customer')
        _, reply = self.sign_in(f'{self.name}-c')
        self.assertEqual(len(reply.cookies), 1)
        flags = [part.strip().lower() for part in reply.cookies[0].split(';')[1:]]
        self.assertIn('httponly', flags)
        self.assertIn('samesite=strict', flags)
        self.assertIn('path=/', flags)
        self.assertFalse([flag for flag in flags if flag.startswith('domain')])
        self.assertGreaterEqual(len(reply.cookies[0].split(';')[0]), len('automat_session=') + 32)
        self.assertIn('no-store', reply.headers.get('cache-control', ''))

    def test_wrong_password_and_unknown_name_look_the_same(self):
        self.account(f'{self.name}-w', 'staff')
        _, wrong = self.sign_in(f'{self.name}-w', 'not the password')
        _, unknown = self.sign_in(f'{self.name}-nobody', 'not the password')
        self.refused(wrong, 401, 'bad_credentials')
        self.refused(unknown, 401, 'bad_credentials')
        self.assertEqual(wrong.json['detail'], unknown.json['detail'])
        self.assertFalse(wrong.cookies)

    def test_changing_calls_need_the_csrf_token(self):
        self.board()
        self.account(f'{self.name}-x', 'staff')
        client, _ = self.sign_in(f'{self.name}-x')
        good = client.headers.pop('X-CSRF-Token')
        for value in (None, '', 'x', good[:-1], good + 'x', good[::-1]):
            if value is not None:
                client.headers['X-CSRF-Token'] = value
            with self.subTest(value):
                self.refused(client.create(self.name), 403, 'csrf')
                self.refused(client.post(f'/api/machines/{self.name}/hold', {'reason': 'x'}), 403, 'csrf')
                self.refused(client.delete('/api/session'), 403, 'csrf')
        self.assertEqual(client.get('/api/audit').status, 200)       # looking needs none
        self.assertEqual(self.admin.pages(f'/api/commands?machine_id={self.name}'), [])
        client.headers['X-CSRF-Token'] = good
        self.assertEqual(client.create(self.name).status, 201)

    def test_csrf_tokens_are_their_sessions(self):
        self.board()
        self.account(f'{self.name}-y', 'staff')
        one, _ = self.sign_in(f'{self.name}-y')
        two, _ = self.sign_in(f'{self.name}-y')
        one.headers['X-CSRF-Token'] = two.headers['X-CSRF-Token']
        self.refused(one.create(self.name), 403, 'csrf')

    def test_another_site_cannot_sign_people_in(self):
        self.account(f'{self.name}-o', 'staff')
        reply = self.srv.client(headers={'Origin': 'https://elsewhere.example'}).post(
            '/api/session', {'name': f'{self.name}-o', 'password': PASSWORD})
        self.assertEqual(reply.status, 403)
        self.assertFalse(reply.cookies)

    def test_a_disabled_account_is_out_at_once(self):
        number = self.account(f'{self.name}-d', 'staff')
        client, _ = self.sign_in(f'{self.name}-d')
        self.assertEqual(self.admin.patch(f'/api/accounts/{number}', {'disabled': True}).status, 200)
        self.refused(client.get('/api/audit'), 401, 'unauthenticated')
        self.refused(self.sign_in(f'{self.name}-d')[1], 401, 'bad_credentials')
        self.assertEqual(self.admin.patch(f'/api/accounts/{number}', {'disabled': False}).status, 200)
        self.assertEqual(self.sign_in(f'{self.name}-d')[1].status, 200)

    def test_another_role_counts_at_once(self):
        number = self.account(f'{self.name}-r', 'staff')
        client, _ = self.sign_in(f'{self.name}-r')
        self.assertEqual(self.admin.patch(f'/api/accounts/{number}', {'role': 'customer'}).status, 200)
        self.assertIn(client.get('/api/audit').status, (401, 403))

    def test_passwords(self):
        number = self.account(f'{self.name}-p', 'staff')
        reply = self.admin.post('/api/accounts', {'name': f'{self.name}-q', 'role': 'staff', 'password': 'short'})
        self.assertEqual(reply.status, 422, reply)
        client, _ = self.sign_in(f'{self.name}-p')
        path = f'/api/accounts/{number}/password'
        self.assertIn(client.post(path, {'password': 'another good password'}).status, (400, 401, 403, 422))
        self.assertIn(client.post(path, {'password': 'another good password', 'old_password': 'wrong one'}).status,
                      (401, 403))
        self.assertEqual(client.post(path, {'password': 'another good password', 'old_password': PASSWORD}).status, 204)
        self.refused(self.sign_in(f'{self.name}-p')[1], 401, 'bad_credentials')
        self.assertEqual(self.sign_in(f'{self.name}-p', 'another good password')[1].status, 200)

    def test_names_are_taken_once(self):
        self.account(f'{self.name}-t', 'staff')
        for name in (f'{self.name}-t', f'{self.name}-T'):
            reply = self.admin.post('/api/accounts', {'name': name, 'role': 'staff', 'password': PASSWORD})
            self.refused(reply, 409, 'account_exists')

    def test_a_link_that_is_none(self):
        for code in ('', 'x', 'a' * 43):
            self.assertIn(self.srv.client().post('/api/session/link', {'code': code}).status, (400, 401, 422))

    def test_no_secret_is_in_the_log(self):
        self.account(f'{self.name}-l', 'staff')
        client, reply = self.sign_in(f'{self.name}-l')
        log = self.srv.log()
        for secret in (PASSWORD, client.headers['Cookie'].split('=')[1], reply.json['csrf_token']):
            self.assertNotIn(secret, log)


class Devices(Access):
    def test_both_ways_to_show_a_token(self):
        board = self.board()
        token = board.headers['Authorization'].split()[1]
        self.assertEqual(board.check().status, 204)
        other = self.srv.client(headers={'X-Device-Token': token})
        self.assertEqual(other.get(f'/api/commands/check/{self.name}').status, 204)

    def test_rotation_without_downtime(self):
        board = self.board()
        old = self.admin.get(f'/api/machines/{self.name}/tokens').json['items']
        self.assertEqual(len(old), 1)
        reply = self.admin.post(f'/api/machines/{self.name}/tokens')
        self.assertEqual(reply.status, 201)
        fresh = Board(self.srv.port, self.name, reply.json['token'])
        self.assertEqual((board.check().status, fresh.check().status), (204, 204))
        self.assertEqual(self.admin.machine(self.name)['token_count'], 2)
        self.assertEqual(self.admin.delete(f'/api/machines/{self.name}/tokens/{old[0]["token_id"]}').status, 204)
        self.refused(board.check(), 401, 'unauthenticated')
        self.assertEqual(fresh.check().status, 204)
        listed = self.admin.get(f'/api/machines/{self.name}/tokens').json['items']
        self.assertEqual([row['token_id'] for row in listed], [reply.json['token_id']])
        self.assertNotIn(reply.json['token'], str(listed))

    def test_a_revoked_token_cannot_finish_what_it_started(self):
        board = self.board()
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        number = self.admin.get(f'/api/machines/{self.name}/tokens').json['items'][0]['token_id']
        self.admin.delete(f'/api/machines/{self.name}/tokens/{number}')
        self.refused(board.update(command, 'complete', claim_id=claim_id), 401, 'unauthenticated')
        self.assertEqual(self.admin.state(command), 'running')

    def test_a_token_of_another_machine_cannot_be_deleted_through_this_one(self):
        self.board()
        other = self.board(f'{self.name}-b')
        number = self.admin.get(f'/api/machines/{other.name}/tokens').json['items'][0]['token_id']
        self.refused(self.admin.delete(f'/api/machines/{self.name}/tokens/{number}'), 404, 'unknown_token')
        self.assertEqual(other.check().status, 204)

    def test_an_unknown_device_waits_until_it_is_admitted(self):
        token = new_id() + new_id()
        board = Board(self.srv.port, self.name, token)
        self.refused(board.check(), 401, 'unauthenticated')
        for _ in range(2):
            reply = board.hello()
            self.assertEqual((reply.status, reply.json), (202, {'admission': 'waiting'}))
        self.assertEqual(self.admin.machine(self.name)['admission'], 'waiting')
        self.refused(board.check(), 403, 'machine_waiting')
        reply = self.admin.post(f'/api/machines/{self.name}/admit')
        self.assertEqual((reply.status, reply.json['machine']['admission']), (200, 'admitted'))
        self.assertEqual(board.hello().status, 200)
        self.assertEqual(board.check().status, 204)

    def test_a_known_name_is_not_taken_over(self):
        board = self.board()
        thief = Board(self.srv.port, self.name, new_id() + new_id())
        reply = thief.hello()
        self.assertIn(reply.status, (401, 403, 409))
        self.assertIn(thief.check().status, (401, 403))
        self.assertEqual(board.check().status, 204)
        until(lambda: [one for one in self.admin.pages('/api/alerts') if one['machine_id'] == self.name],
              what='the alert about a second device')

    def test_blocked_is_out_until_admitted(self):
        board = self.board()
        self.assertEqual(self.admin.post(f'/api/machines/{self.name}/block').json['machine']['admission'], 'blocked')
        self.refused(board.check(), 403, 'machine_blocked')
        self.refused(board.hello(), 403, 'machine_blocked')
        self.assertEqual(self.admin.post(f'/api/machines/{self.name}/admit').status, 200)
        self.assertEqual(board.check().status, 204)

    def test_hello_gives_the_configuration_and_what_runs(self):
        board = self.board()
        config = {'model': 'both'}
        reply = self.admin.put(f'/api/machines/{self.name}/config', config)
        self.assertEqual(reply.status, 200, reply)
        answer = board.hello().json
        self.assertEqual((answer['machine_id'], answer['kind'], answer['config'], answer['running']),
                         (self.name, 'espresso', config, None))
        command = self.admin.order(self.name)
        claim_id = board.run(command)
        running = board.hello(journal=[{'uid': self.admin.show(command)['uid'], 'command_id': command,
                                        'claim_id': claim_id, 'state': 'started'}]).json['running']
        self.assertEqual(running['command_id'], command)
        self.assertEqual(self.admin.state(command), 'running')

    def test_two_boards_with_one_name(self):
        board = self.board()
        board.hello()
        twin = Board(self.srv.port, self.name, board.headers['Authorization'].split()[1])
        self.assertEqual(twin.hello().status, 200)
        until(lambda: [one for one in self.admin.pages('/api/alerts') if one['machine_id'] == self.name],
              what='the alert about another journal')
        command = self.admin.order(self.name)
        self.assertEqual([board.check().json['command_id'], twin.check().json['command_id']], [command] * 2)
        claim_id = board.run(command)
        self.refused(twin.claim(command), 409, 'claim_mismatch')
        self.assertEqual(board.update(command, 'complete', claim_id=claim_id).status, 200)

    def test_what_a_machine_says_of_itself(self):
        board = self.board()
        sensors = {'magazine_count': 8, 'water_ml': 900, 'head_closed': True, 'home': True, 'estop': False,
                   'temperature_c': 88.5, 'provenance': 'simulated'}
        reply = board.post(f'/api/machines/{self.name}/progress', {'step': 'idle', 'sensors': sensors})
        self.assertEqual(reply.json, {'status': 'noted'})
        machine = self.admin.machine(self.name)
        self.assertEqual((machine['step'], machine['sensors'], machine['online']), ('idle', sensors, True))
        self.assertIsNotNone(machine['sensors_at'])


class Limits(harness.Case):
    def test_a_caller_that_asks_too_often(self):
        server = self.server(env={'AUTOMAT_RATE_READ': '20/60', 'AUTOMAT_RATE_WRITE': '5/60'})
        admin = server.admin()
        server.board()                                   # one write
        statuses = [admin.create('m-1').status for _ in range(8)]
        self.assertIn(429, statuses)
        self.assertIn(201, statuses)
        reply = until(lambda: next((one for one in [admin.get('/api/commands')] if one.status == 429), None),
                      what='the limit for reading')
        self.refused(reply, 429, 'rate_limited')
        self.assertGreaterEqual(int(reply.headers['retry-after']), 1)
        # One that is over its limit does not take the others' share.
        self.assertEqual(server.client().get('/healthz').status, 200)

    def test_a_board_that_asks_too_often_hurts_only_itself(self):
        server = self.server(env={'AUTOMAT_RATE_READ': '30/60'})
        wild, calm = server.board('m-1'), server.board('m-2')
        statuses = [wild.check().status for _ in range(60)]
        self.assertIn(429, statuses)
        self.assertEqual(calm.check().status, 204)

    def test_sign_in_backs_off(self):
        server = self.server()
        server.admin().post('/api/accounts', {'name': 'alice', 'role': 'staff', 'password': PASSWORD})
        client = server.client()
        replies = [client.post('/api/session', {'name': 'alice', 'password': f'guess number {n}'}) for n in range(8)]
        statuses = [reply.status for reply in replies]
        self.assertEqual(statuses[0], 401)
        self.assertIn(429, statuses)
        last = next(reply for reply in replies if reply.status == 429)
        self.assertIn(last.code, ('too_many_attempts', 'rate_limited'))
        # Not even the right password gets through while the wait lasts, so that guessing learns nothing.
        reply = client.post('/api/session', {'name': 'alice', 'password': PASSWORD})
        self.assertEqual(reply.status, 429)

    def test_a_sign_in_storm_is_bounded(self):
        server = self.server(env={'AUTOMAT_RATE_LOGIN': '3/1'})
        client = server.client()
        statuses = [client.post('/api/session', {'name': f'n{n}', 'password': 'guess guess guess'}).status
                    for n in range(6)]
        self.assertEqual(statuses, [401] * 3 + [429] * 3)

    def test_announcements_are_bounded(self):
        server = self.server(env={'AUTOMAT_RATE_HELLO': '3/1'})
        statuses = [Board(server.port, f'x-{n}', new_id() + new_id()).hello().status for n in range(6)]
        self.assertEqual(statuses, [202] * 3 + [429] * 3)

    def test_without_open_nobody_is_somebody(self):
        server = self.server()
        self.assertEqual(server.client().get('/api/session').json, {'account': None, 'role': 'guest', 'open': False})

    def test_with_open_everybody_is_admin(self):
        server = self.server('--open')
        session = server.client().get('/api/session').json
        self.assertEqual((session['role'], session['open']), ('admin', True))
        # A wrong token is still wrong.
        self.refused(server.client('x' * 43).get('/api/audit'), 401, 'unauthenticated')

    def test_with_open_another_site_is_still_another_site(self):
        server = self.server('--open')
        server.board()
        reply = server.client(headers={'Origin': 'https://elsewhere.example'}).create('m-1')
        self.assertEqual(reply.status, 403)
        reply = server.client(headers={'Host': 'elsewhere.example'}).create('m-1')
        self.assertIn(reply.status, (403, 421, 400))    # a name that was made to point here

    def test_open_is_for_this_computer_only(self):
        server = self.server('--open', '--listen', '0.0.0.0:0', expect_ready=False)
        self.assertNotEqual(server.wait()[0], 0)
        self.assertIn('open', server.log())


if __name__ == '__main__':
    harness.main()
