"""How a dashboard is written down here: a list of rows of panels, laid out from left to right on Grafana's 24 columns.

A panel is a question (its title), where the answer comes from (targets), and how it is shown.  dashboards.py holds
the questions; build.py writes the JSON that Grafana reads."""

CLICKHOUSE = {'type': 'grafana-clickhouse-datasource', 'uid': 'automat-clickhouse'}
PROMETHEUS = {'type': 'prometheus', 'uid': 'automat-prometheus'}

# Readings of one interval of the panel, in a form that every ClickHouse since 18.16 understands, whether `at` is a
# DateTime or a DateTime64.
BUCKET = 'toDateTime(intDiv(toUnixTimestamp(at), $__interval_s) * $__interval_s)'

GREEN, YELLOW, RED, BLUE = 'green', 'yellow', 'red', 'blue'


# ---- where an answer comes from ----

def series(sql):
    """A ClickHouse query whose rows are (time, [name,] value...)."""
    return {'datasource': CLICKHOUSE, 'editorType': 'sql', 'queryType': 'timeseries', 'format': 0, 'rawSql': sql}


def rows(sql):
    """A ClickHouse query whose rows are shown as they are."""
    return {'datasource': CLICKHOUSE, 'editorType': 'sql', 'queryType': 'table', 'format': 1, 'rawSql': sql}


def over_time(expr, legend='__auto'):
    return {'datasource': PROMETHEUS, 'expr': expr, 'legendFormat': legend, 'range': True, 'instant': False}


def now(expr, legend='__auto'):
    return {'datasource': PROMETHEUS, 'expr': expr, 'legendFormat': legend, 'range': False, 'instant': True}


def now_table(expr):
    return {'datasource': PROMETHEUS, 'expr': expr, 'legendFormat': '', 'range': False, 'instant': True,
            'format': 'table'}


# ---- how it is shown ----

def steps(*pairs):
    """Thresholds: a first colour, then (value, colour) upwards."""
    first, rest = pairs[0], pairs[1:]
    return {'mode': 'absolute',
            'steps': [{'color': first, 'value': None}] + [{'color': colour, 'value': value} for value, colour in rest]}


def words(**by_value):
    """Numbers shown as words: words(_1=('up', GREEN), _0=('down', RED))."""
    options = {name.lstrip('_'): {'text': text, 'color': colour, 'index': index}
               for index, (name, (text, colour)) in enumerate(by_value.items())}
    return [{'type': 'value', 'options': options}]


def column(name, unit=None, decimals=None, title=None):
    properties = []
    if title:
        properties.append({'id': 'displayName', 'value': title})
    if unit:
        properties.append({'id': 'unit', 'value': unit})
    if decimals is not None:
        properties.append({'id': 'decimals', 'value': decimals})
    return {'matcher': {'id': 'byName', 'options': name}, 'properties': properties}


def panel(kind, title, why, targets, width=8, height=8, unit='short', thresholds=None, low=None, high=None,
          decimals=None, mappings=None, options=None, custom=None, overrides=None, transformations=None):
    """One panel; `why` is the sentence behind its information mark."""
    targets = targets if isinstance(targets, list) else [targets]
    defaults = {'unit': unit, 'color': {'mode': 'thresholds' if kind in ('stat', 'gauge', 'bargauge')
                                        else 'palette-classic'},
                'thresholds': thresholds or steps(GREEN), 'mappings': mappings or [], 'custom': custom or {}}
    for key, value in (('min', low), ('max', high), ('decimals', decimals)):
        if value is not None:
            defaults[key] = value
    return {'type': kind, 'title': title, 'description': why,
            'datasource': targets[0]['datasource'],
            'targets': [dict(target, refId=chr(ord('A') + index)) for index, target in enumerate(targets)],
            'fieldConfig': {'defaults': defaults, 'overrides': overrides or []},
            'options': options or {}, 'transformations': transformations or [],
            'gridPos': {'w': width, 'h': height, 'x': 0, 'y': 0}}


def lines(title, why, targets, **more):
    stack = more.pop('stack', False)
    style = more.pop('style', 'line')
    custom = {'drawStyle': style, 'lineWidth': 1, 'fillOpacity': 60 if style == 'bars' else 8, 'showPoints': 'never',
              'spanNulls': False, 'lineInterpolation': 'linear', 'axisPlacement': 'auto',
              'stacking': {'mode': 'normal' if stack else 'none', 'group': 'A'},
              'thresholdsStyle': {'mode': 'dashed' if more.get('thresholds') else 'off'}}
    custom.update(more.pop('custom', {}))
    return panel('timeseries', title, why, targets, custom=custom,
                 options={'legend': {'displayMode': 'list', 'placement': 'bottom', 'showLegend': True, 'calcs': []},
                          'tooltip': {'mode': 'multi', 'sort': 'desc'}}, **more)


REDUCE = {'calcs': ['lastNotNull'], 'fields': '', 'values': False}
EACH_ROW = {'calcs': ['lastNotNull'], 'fields': '', 'values': True}


def stat(title, why, targets, **more):
    reduce = EACH_ROW if more.pop('each', False) else REDUCE
    more.setdefault('width', 4)
    more.setdefault('height', 4)
    return panel('stat', title, why, targets,
                 options={'reduceOptions': reduce, 'colorMode': more.pop('color', 'value'), 'graphMode': 'none',
                          'textMode': 'auto', 'justifyMode': 'auto', 'orientation': 'auto'}, **more)


def gauge(title, why, targets, **more):
    reduce = EACH_ROW if more.pop('each', False) else REDUCE
    return panel('gauge', title, why, targets,
                 options={'reduceOptions': reduce, 'showThresholdLabels': False, 'showThresholdMarkers': True,
                          'orientation': 'auto'}, **more)


def bars_now(title, why, targets, **more):
    reduce = EACH_ROW if more.pop('each', False) else REDUCE
    return panel('bargauge', title, why, targets,
                 options={'reduceOptions': reduce, 'displayMode': 'basic', 'orientation': 'horizontal',
                          'showUnfilled': True, 'valueMode': 'color'}, **more)


def columns(title, why, targets, x, **more):
    return panel('barchart', title, why, targets,
                 options={'xField': x, 'orientation': 'auto', 'showValue': 'auto', 'stacking': 'none',
                          'legend': {'displayMode': 'list', 'placement': 'bottom', 'showLegend': False, 'calcs': []},
                          'tooltip': {'mode': 'single', 'sort': 'none'}}, **more)


def states(title, why, targets, **more):
    return panel('state-timeline', title, why, targets, custom={'fillOpacity': 70, 'lineWidth': 0},
                 options={'mergeValues': True, 'showValue': 'auto', 'alignValue': 'left', 'rowHeight': 0.9,
                          'legend': {'displayMode': 'list', 'placement': 'bottom', 'showLegend': True, 'calcs': []},
                          'tooltip': {'mode': 'single', 'sort': 'none'}}, **more)


def table(title, why, targets, **more):
    more.setdefault('width', 24)
    return panel('table', title, why, targets, custom={'align': 'auto', 'cellOptions': {'type': 'auto'}},
                 options={'showHeader': True, 'cellHeight': 'sm'}, **more)


# ---- a whole dashboard ----

def dashboard(uid, title, description, groups, variables=(), refresh='30s', time_from='now-6h'):
    """groups: (heading, [panels]).  Ids and places are given here, in reading order."""
    panels, next_id, y = [], 1, 0
    for heading, members in groups:
        panels.append({'type': 'row', 'title': heading, 'collapsed': False, 'panels': [], 'id': next_id,
                       'gridPos': {'x': 0, 'y': y, 'w': 24, 'h': 1}})
        next_id, y = next_id + 1, y + 1
        x, tallest = 0, 0
        for member in members:
            place = member['gridPos']
            if x + place['w'] > 24:
                x, y, tallest = 0, y + tallest, 0
            member = dict(member, id=next_id, gridPos=dict(place, x=x, y=y))
            panels.append(member)
            next_id, x, tallest = next_id + 1, x + place['w'], max(tallest, place['h'])
        y += tallest
    return {'uid': uid, 'title': title, 'description': description, 'tags': ['automat'], 'schemaVersion': 39,
            'version': 1, 'editable': True, 'graphTooltip': 1, 'timezone': 'browser', 'refresh': refresh,
            'time': {'from': time_from, 'to': 'now'}, 'fiscalYearStartMonth': 0,
            'templating': {'list': list(variables)}, 'annotations': {'list': []}, 'panels': panels,
            'links': [{'type': 'dashboards', 'title': 'Automat', 'tags': ['automat'], 'asDropdown': True,
                       'includeVars': True, 'keepTime': True, 'targetBlank': False, 'icon': 'external link',
                       'tooltip': '', 'url': ''}]}


def choice(name, label, sql, many=False):
    """A selector filled by a ClickHouse query."""
    made = {'type': 'query', 'name': name, 'label': label, 'datasource': CLICKHOUSE, 'query': sql,
            'refresh': 2, 'sort': 1, 'hide': 0, 'multi': many, 'includeAll': many, 'regex': '', 'skipUrlSync': False,
            'options': []}
    if many:
        made['current'] = {'selected': True, 'text': ['All'], 'value': ['$__all']}
    return made
