"""The checker itself: that it sees what is wrong, and that docs/openapi.yaml is in order."""
import json
import unittest

from harness import main
from openapi_check import Spec, Violation, load_json

BARE = {'paths': {}, 'components': {'schemas': {
    'Cup': {'type': 'object', 'required': ['ml'], 'additionalProperties': False,
            'properties': {'ml': {'type': 'integer', 'minimum': 1, 'maximum': 9},
                           'name': {'type': ['string', 'null']}}},
}}}


def problem(**change):
    value = {'type': 'about:blank', 'title': 'Conflict', 'status': 409, 'code': 'queue_full', 'detail': 'Full.',
             'request_id': 'r1'}
    value.update(change)
    return json.dumps({k: v for k, v in value.items() if v is not None}).encode()


class Values(unittest.TestCase):
    def setUp(self):
        self.spec = Spec(BARE)

    def good(self, schema, *values):
        for value in values:
            self.assertEqual(self.spec.faults(schema, value), [], value)

    def bad(self, schema, *values):
        for value in values:
            self.assertNotEqual(self.spec.faults(schema, value), [], value)

    def test_types(self):
        self.good({'type': 'integer'}, 0, -3, 2.0)
        self.bad({'type': 'integer'}, True, 1.5, '1', None, [], {})
        self.good({'type': 'number'}, 1, 1.5)
        self.bad({'type': 'number'}, False, '1.5')
        self.good({'type': ['string', 'null']}, 'a', None)
        self.bad({'type': ['string', 'null']}, 1)
        self.good({'type': 'string', 'nullable': True}, None)
        self.good({'type': 'boolean'}, True, False)
        self.bad({'type': 'boolean'}, 0, 1)

    def test_bounds(self):
        self.good({'minimum': 1, 'maximum': 2}, 1, 2, 1.5)
        self.bad({'minimum': 1, 'maximum': 2}, 0.99, 2.01)
        self.bad({'minLength': 2, 'maxLength': 3}, 'a', 'abcd')
        self.bad({'minItems': 1, 'maxItems': 2, 'items': {'type': 'string'}}, [], ['a', 'b', 'c'], [1])
        self.bad({'pattern': '^a$'}, 'b')
        self.bad({'enum': [1, 'x']}, True, 'y')
        self.bad({'const': True}, 1)

    def test_objects(self):
        cup = {'$ref': '#/components/schemas/Cup'}
        self.good(cup, {'ml': 3}, {'ml': 3, 'name': None})
        self.bad(cup, {}, {'ml': 0}, {'ml': 3, 'saucer': 1}, {'ml': 3, 'name': 4}, [], 'cup')
        self.bad({'type': 'object', 'additionalProperties': {'type': 'string'}}, {'a': 1})

    def test_combined(self):
        self.good({'anyOf': [{'type': 'string'}, {'type': 'null'}]}, 'a', None)
        self.bad({'anyOf': [{'type': 'string'}, {'type': 'null'}]}, 1)
        self.bad({'oneOf': [{'type': 'number'}, {'type': 'integer'}]}, 1, 'a')
        self.bad({'allOf': [{'type': 'string'}, {'minLength': 2}]}, 'a')

    def test_an_unknown_keyword_is_not_skipped(self):
        with self.assertRaises(ValueError):
            self.spec.faults({'multipleOf': 2}, 3)

    def test_strict_json(self):
        for text in ('NaN', '{"a":1,"a":2}', '{', ''):
            with self.assertRaises(ValueError):
                load_json(text)


class Replies(unittest.TestCase):
    def setUp(self):
        self.spec = Spec()

    def faults(self, method, path, status, body, kind='application/json', **headers):
        lower = {name.replace('_', '-'): value for name, value in headers.items()}
        lower.setdefault('x-request-id', 'r1')
        if kind:
            lower['content-type'] = kind
        return self.spec.reply_faults(method, path, status, lower, body)

    def test_a_good_reply_passes(self):
        body = b'{"status":"created","command_id":7}'
        self.assertEqual(self.faults('POST', '/api/commands/create', 201, body), [])
        self.assertEqual(self.faults('GET', '/api/commands/check/m-1?wait=3', 204, b'', kind=None), [])
        self.assertEqual(self.faults('POST', '/api/commands/create', 409, problem(),
                                     kind='application/problem+json'), [])

    def test_what_is_wrong_is_found(self):
        body = b'{"status":"created","command_id":7}'
        create = ('POST', '/api/commands/create')
        self.assertTrue(self.faults(*create, 201, body, x_request_id=''))
        self.assertTrue(self.faults(*create, 200, body))
        self.assertTrue(self.faults(*create, 201, body, kind='text/html'))
        self.assertTrue(self.faults(*create, 201, b'{"status":"created"}'))
        self.assertTrue(self.faults(*create, 201, b'{"status":"created","command_id":7,"x":1}'))
        self.assertTrue(self.faults(*create, 201, body[:-1]))
        self.assertTrue(self.faults('GET', '/api/commands/check/m-1', 204, b'x', kind=None))
        self.assertTrue(self.faults('GET', '/api/nowhere', 200, b'{}'))
        self.assertTrue(self.faults('BREW', '/api/commands/create', 200, b'{}'))

    def test_problem_documents_are_held_to_their_code(self):
        kind = 'application/problem+json'
        create = ('POST', '/api/commands/create')
        self.assertTrue(self.faults(*create, 409, problem(code='out_of_limits'), kind=kind))
        self.assertTrue(self.faults(*create, 409, problem(code='no_such_code'), kind=kind))
        self.assertTrue(self.faults(*create, 409, problem(status=422), kind=kind))
        self.assertTrue(self.faults(*create, 409, problem(request_id='r2'), kind=kind))
        self.assertTrue(self.faults(*create, 409, problem(detail=None), kind=kind))
        self.assertTrue(self.faults(*create, 409, problem(), kind='application/json'))
        self.assertTrue(self.faults(*create, 429, problem(status=429, code='rate_limited'), kind=kind))
        self.assertFalse(self.faults(*create, 429, problem(status=429, code='rate_limited'), kind=kind,
                                     retry_after='3'))

    def test_only_unread_requests_have_no_id(self):
        kind = 'application/problem+json'
        path = ('GET', '/api/commands')
        self.assertFalse(self.faults(*path, 400, problem(status=400, code='malformed', request_id=None), kind=kind,
                                     x_request_id=''))
        self.assertTrue(self.faults(*path, 400, problem(status=400, code='bad_value', request_id=None), kind=kind,
                                    x_request_id=''))

    def test_plain_paths_go_before_patterns(self):
        self.assertEqual(self.spec.find('/api/commands/create'), '/api/commands/create')
        self.assertEqual(self.spec.find('/api/commands/12'), '/api/commands/{command_id}')
        self.assertEqual(self.spec.find('/api/audit/verify'), '/api/audit/verify')
        self.assertIsNone(self.spec.find('/api/commands/12/34/56'))

    def test_values_by_name(self):
        self.spec.check_value('State', 'held')
        with self.assertRaises(Violation):
            self.spec.check_value('State', 'brewing')


class Document(unittest.TestCase):
    def test_the_description_is_in_order(self):
        spec = Spec()
        self.assertEqual(spec.document_faults(), [])
        self.assertTrue(str(spec.document['openapi']).startswith('3.'))

    def test_every_code_names_its_statuses(self):
        for name, code in Spec().codes.items():
            self.assertTrue(code['text'], name)
            for status in code['status']:
                self.assertIn(status, range(400, 600), name)

    def test_faults_in_a_description_are_found(self):
        spec = Spec()
        spec.document['paths']['/x'] = {'get': {'operationId': 'createCommand', 'parameters': [
            {'name': 'y', 'in': 'path', 'required': True, 'schema': {'type': 'text'}}],
            'responses': {'200': {'description': ''}}}}
        found = '\n'.join(spec.document_faults())
        for part in ('used twice', 'do not match', 'unknown type', 'no description', 'no X-Request-Id'):
            self.assertIn(part, found)
        spec.document['components']['schemas']['Z'] = {'$ref': '#/nowhere'}
        self.assertTrue(any('nowhere' in fault for fault in spec.document_faults()))


if __name__ == '__main__':
    main()
