"""Holds replies against docs/openapi.yaml, with the part of JSON Schema that file uses.

A keyword this validator does not know is a fault of the description: nothing is skipped in silence."""
import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC_PATH = ROOT / 'docs' / 'openapi.yaml'

METHODS = ('get', 'put', 'post', 'delete', 'patch', 'head', 'options')
TYPES = {
    'object': lambda v: isinstance(v, dict),
    'array': lambda v: isinstance(v, list),
    'string': lambda v: isinstance(v, str),
    'boolean': lambda v: isinstance(v, bool),
    'null': lambda v: v is None,
    'number': lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    'integer': lambda v: not isinstance(v, bool) and
    (isinstance(v, int) or (isinstance(v, float) and v.is_integer())),
}
ANNOTATIONS = {'description', 'default', 'example', 'examples', 'title', 'summary'}
ASSERTIONS = {'$ref', 'type', 'nullable', 'enum', 'const', 'properties', 'required', 'additionalProperties',
              'items', 'minItems', 'maxItems', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum',
              'oneOf', 'anyOf', 'allOf'}


class Violation(AssertionError):
    """A reply is not as the description says."""


def load_json(text):
    """Strict: no NaN, no duplicate names."""
    def refuse(name):
        raise ValueError(f'{name} is not JSON')

    def pairs(items):
        value = dict(items)
        if len(value) != len(items):
            raise ValueError('an object has the same name twice')
        return value
    return json.loads(text, parse_constant=refuse, object_pairs_hook=pairs)


def same(a, b):
    """Equality of JSON values: true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and a == b


class Spec:
    def __init__(self, document=None):
        if document is None:
            with open(SPEC_PATH, encoding='utf-8') as file:
                document = yaml.load(file, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
        self.document = document
        self.codes = document.get('x-problem-codes', {})
        self.routes = []
        for template in document['paths']:
            pattern = re.sub(r'\\\{[^}]*\\\}', '[^/]+', re.escape(template))
            self.routes.append((template.count('{'), re.compile(pattern), template))
        self.routes.sort(key=lambda route: route[0])  # a plain path goes before one with parameters

    def resolve(self, node):
        hops = 0
        while isinstance(node, dict) and '$ref' in node:
            target = node['$ref']
            if not target.startswith('#/'):
                raise KeyError(f'{target} is not in this file')
            value = self.document
            for part in target[2:].split('/'):
                value = value[part.replace('~1', '/').replace('~0', '~')]
            node = value
            hops += 1
            if hops > 20:
                raise KeyError(f'{target} refers to itself')
        return node

    # ---- values ----

    def faults(self, schema, value, where='$'):
        """Every way in which `value` is not what `schema` says, as sentences."""
        schema = self.resolve(schema)
        if schema is True:
            return []
        if schema is False:
            return [f'{where}: nothing may be here']
        unknown = set(schema) - ANNOTATIONS - ASSERTIONS
        if unknown:
            raise ValueError(f'{where}: the schema uses {sorted(unknown)}, which the checker does not know')
        found = []
        if 'type' in schema:
            names = schema['type'] if isinstance(schema['type'], list) else [schema['type']]
            if schema.get('nullable'):
                names = names + ['null']
            if not any(TYPES[name](value) for name in names):
                return [f'{where}: {value!r:.80} is not of type {"/".join(names)}']
        if 'enum' in schema and not any(same(value, one) for one in schema['enum']):
            found.append(f'{where}: {value!r:.80} is not one of {schema["enum"]}')
        if 'const' in schema and not same(value, schema['const']):
            found.append(f'{where}: {value!r:.80} is not {schema["const"]!r}')
        if isinstance(value, str):
            found += self._faults_string(schema, value, where)
        elif TYPES['number'](value):
            if 'minimum' in schema and value < schema['minimum']:
                found.append(f'{where}: {value} is below {schema["minimum"]}')
            if 'maximum' in schema and value > schema['maximum']:
                found.append(f'{where}: {value} is above {schema["maximum"]}')
        elif isinstance(value, list):
            found += self._faults_array(schema, value, where)
        elif isinstance(value, dict):
            found += self._faults_object(schema, value, where)
        return found + self._faults_combined(schema, value, where)

    @staticmethod
    def _faults_string(schema, value, where):
        found = []
        if len(value) < schema.get('minLength', 0):
            found.append(f'{where}: shorter than {schema["minLength"]}')
        if 'maxLength' in schema and len(value) > schema['maxLength']:
            found.append(f'{where}: longer than {schema["maxLength"]}')
        if 'pattern' in schema and not re.search(schema['pattern'], value):
            found.append(f'{where}: {value!r:.80} does not match {schema["pattern"]}')
        return found

    def _faults_array(self, schema, value, where):
        found = []
        if len(value) < schema.get('minItems', 0):
            found.append(f'{where}: fewer than {schema["minItems"]} items')
        if 'maxItems' in schema and len(value) > schema['maxItems']:
            found.append(f'{where}: more than {schema["maxItems"]} items')
        if 'items' in schema:
            for index, item in enumerate(value):
                found += self.faults(schema['items'], item, f'{where}[{index}]')
        return found

    def _faults_object(self, schema, value, where):
        properties = schema.get('properties', {})
        found = [f'{where}.{name}: missing' for name in schema.get('required', []) if name not in value]
        for name, item in value.items():
            if name in properties:
                found += self.faults(properties[name], item, f'{where}.{name}')
            elif schema.get('additionalProperties', True) is False:
                found.append(f'{where}.{name}: not in the description')
            elif isinstance(schema.get('additionalProperties'), dict):
                found += self.faults(schema['additionalProperties'], item, f'{where}.{name}')
        return found

    def _faults_combined(self, schema, value, where):
        found = []
        for part in schema.get('allOf', []):
            found += self.faults(part, value, where)
        for word in ('anyOf', 'oneOf'):
            if word not in schema:
                continue
            tries = [self.faults(part, value, where) for part in schema[word]]
            good = sum(not one for one in tries)
            if good == 0:
                nearest = min(tries, key=len)
                found.append(f'{where}: none of {word}; nearest: {"; ".join(nearest)}')
            elif word == 'oneOf' and good > 1:
                found.append(f'{where}: {good} of oneOf, not one')
        return found

    def check_value(self, name, value):
        """Hold a value against components.schemas.<name>."""
        found = self.faults({'$ref': f'#/components/schemas/{name}'}, value)
        if found:
            raise Violation(f'{name}: ' + '\n  '.join(found))

    # ---- replies ----

    def find(self, path):
        """The template for a path without query, or None."""
        for _, pattern, template in self.routes:
            if pattern.fullmatch(path):
                return template
        return None

    def reply_faults(self, method, path, status, headers, body):
        """`headers`: a mapping with lower-case names.  `body`: bytes."""
        path = path.split('?', 1)[0]
        template = self.find(path)
        found = []
        if self._unread(status, body):
            return self._problem_faults(status, headers, body)
        if not headers.get('x-request-id'):
            found.append('no X-Request-Id')
        refused = self._v1_faults if path.startswith('/v1/') else self._problem_faults
        if template is None or method.lower() not in self.document['paths'][template]:
            # Not described: then it must be refused, and by a problem document.
            if status not in (400, 401, 403, 404, 405, 429, 503):
                found.append('not described, and answered')
            return found + refused(status, headers, body)
        answer = self.document['paths'][template][method.lower()]['responses'].get(str(status))
        if answer is None:
            if status in (405, 500):  # any call may get these
                return found + refused(status, headers, body)
            return found + ['status not described']
        answer = self.resolve(answer)
        for name, head in answer.get('headers', {}).items():
            found += self._header_faults(name, self.resolve(head), headers)
        content = answer.get('content')
        if not content:
            return found + (['a body where none is described'] if body else [])
        return found + self._body_faults(content, status, headers, body)

    def _unread(self, status, body):
        """Is this the answer to a request that could not be read, so that it has no id?"""
        try:
            code = self.codes.get(load_json(body.decode('utf-8')).get('code')) if status >= 400 else None
        except (ValueError, AttributeError):
            return False
        return bool(code) and code.get('unread', False)

    def _header_faults(self, name, head, headers):
        value = headers.get(name.lower())
        if value is None:
            return [f'no {name}'] if head.get('required') else []
        schema = self.resolve(head['schema'])
        if schema.get('type') == 'integer':
            if not re.fullmatch(r'\d+', value):
                return [f'{name}: {value!r} is not a number']
            value = int(value)
        return self.faults(schema, value, name)

    def _v1_faults(self, status, headers, body):
        """An error under /v1 is in the layout that its clients know."""
        kind = headers.get('content-type', '').split(';', 1)[0].strip().lower()
        if kind != 'application/json':
            return [f'content type {kind!r} instead of application/json']
        try:
            value = load_json(body.decode('utf-8'))
        except ValueError as fault:
            return [f'the error is not JSON: {fault}']
        return self.faults({'$ref': '#/components/schemas/V1Error'}, value)

    def _body_faults(self, content, status, headers, body):
        kind = headers.get('content-type', '').split(';', 1)[0].strip().lower()
        if kind not in content:
            return [f'content type {kind!r} instead of {"/".join(content)}']
        if kind == 'application/problem+json':
            return self._problem_faults(status, headers, body)
        if not kind.endswith('json'):
            return []
        try:
            value = load_json(body.decode('utf-8'))
        except ValueError as fault:
            return [f'the body is not JSON: {fault}']
        return self.faults(content[kind]['schema'], value)

    def _problem_faults(self, status, headers, body):
        kind = headers.get('content-type', '').split(';', 1)[0].strip().lower()
        if kind != 'application/problem+json':
            return [f'content type {kind!r} instead of application/problem+json']
        try:
            value = load_json(body.decode('utf-8'))
        except ValueError as fault:
            return [f'the problem is not JSON: {fault}']
        found = self.faults({'$ref': '#/components/schemas/Problem'}, value)
        if found:
            return found
        if value['status'] != status:
            found.append(f'the problem says {value["status"]}')
        code = self.codes.get(value['code'])
        if code is None:
            found.append(f'the code {value["code"]} is not described')
        elif status not in code['status']:
            found.append(f'the code {value["code"]} does not come with {status}')
        elif code.get('unread'):
            return found
        if value.get('request_id') != headers.get('x-request-id'):
            found.append('request_id is not X-Request-Id')
        return found

    def check_reply(self, method, path, status, headers, body):
        found = self.reply_faults(method, path, status, headers, body)
        if found:
            raise Violation(f'{method} {path} -> {status}\n  ' + '\n  '.join(found) + f'\n  body: {body[:600]!r}')

    # ---- the description itself ----

    def document_faults(self):
        """What is wrong with the description: dangling references, unknown keywords, bad examples."""
        found = []
        self._walk_references(self.document, '#', found)
        if found:
            return found
        for name, schema in self.document['components']['schemas'].items():
            self._walk_schema(schema, f'#/components/schemas/{name}', found)
        names = set()
        for template, item in self.document['paths'].items():
            found += self._path_faults(template, item, names)
        return found

    def _walk_references(self, node, where, found):
        if isinstance(node, dict):
            if '$ref' in node:
                try:
                    self.resolve(node)
                except (KeyError, TypeError) as fault:
                    found.append(f'{where}: {node["$ref"]}: {fault}')
            for name, child in node.items():
                self._walk_references(child, f'{where}/{name}', found)
        elif isinstance(node, list):
            for index, child in enumerate(node):
                self._walk_references(child, f'{where}/{index}', found)

    def _walk_schema(self, schema, where, found):
        if not isinstance(schema, dict):
            if not isinstance(schema, bool):
                found.append(f'{where}: not a schema')
            return
        unknown = set(schema) - ANNOTATIONS - ASSERTIONS
        if unknown:
            found.append(f'{where}: unknown keywords {sorted(unknown)}')
        types = schema.get('type', [])
        for name in types if isinstance(types, list) else [types]:
            if name not in TYPES:
                found.append(f'{where}: unknown type {name}')
        for name in schema.get('required', []):
            if 'properties' in schema and name not in schema['properties']:
                found.append(f'{where}: requires {name}, which it does not describe')
        if 'pattern' in schema:
            re.compile(schema['pattern'])
        for name, child in schema.get('properties', {}).items():
            self._walk_schema(child, f'{where}.{name}', found)
        for word in ('items', 'additionalProperties'):
            if word in schema:
                self._walk_schema(schema[word], f'{where}/{word}', found)
        for word in ('oneOf', 'anyOf', 'allOf'):
            for index, child in enumerate(schema.get(word, [])):
                self._walk_schema(child, f'{where}/{word}/{index}', found)

    def _path_faults(self, template, item, names):
        found = []
        shared = [self.resolve(one) for one in item.get('parameters', [])]
        for method, operation in item.items():
            if method == 'parameters':
                continue
            where = f'{method.upper()} {template}'
            if method not in METHODS:
                found.append(f'{where}: not a method')
                continue
            if operation.get('operationId') in names or not operation.get('operationId'):
                found.append(f'{where}: operationId missing or used twice')
            names.add(operation.get('operationId'))
            parameters = shared + [self.resolve(one) for one in operation.get('parameters', [])]
            in_path = {one['name'] for one in parameters if one['in'] == 'path'}
            if in_path != set(re.findall(r'\{([^}]+)\}', template)):
                found.append(f'{where}: the path parameters do not match the path')
            for one in parameters:
                self._walk_schema(one['schema'], f'{where} {one["name"]}', found)
            body = self.resolve(operation.get('requestBody', {}))
            found += self._content_faults(body.get('content', {}), f'{where} request')
            if not any(status.startswith(('1', '2')) for status in operation['responses']):
                found.append(f'{where}: no good answer described')
            for status, answer in operation['responses'].items():
                answer = self.resolve(answer)
                if not answer.get('description'):
                    found.append(f'{where} {status}: no description')
                if status != '101' and 'X-Request-Id' not in answer.get('headers', {}):
                    found.append(f'{where} {status}: no X-Request-Id')
                kind = 'application/json' if template.startswith('/v1/') else 'application/problem+json'
                if status[0] in '45' and list(answer.get('content', {})) != [kind]:
                    found.append(f'{where} {status}: not a problem document')
                found += self._content_faults(answer.get('content', {}), f'{where} {status}')
        return found

    def _content_faults(self, content, where):
        found = []
        for kind, media in content.items():
            self._walk_schema(media['schema'], f'{where} {kind}', found)
            examples = [one['value'] for one in media.get('examples', {}).values()]
            examples += [media['example']] if 'example' in media else []
            for example in examples:
                found += [f'{where}: example: {fault}' for fault in self.faults(media['schema'], example)]
        return found
