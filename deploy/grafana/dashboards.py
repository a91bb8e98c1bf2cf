"""The questions of the four dashboards.  Queries run unchanged on ClickHouse 18.16 and on current versions."""
from panels import (BLUE, BUCKET, GREEN, RED, YELLOW, bars_now, choice, column, columns, dashboard, gauge, lines, now,
                    now_table, over_time, rows, series, stat, states, steps, table, words)

IN_RANGE = '$__timeFilter(at)'
DEVICE = 'machine_id IN (${device:sqlstring})'
MACHINES = 'machine_id IN (${machines:sqlstring})'
UP_DOWN = words(_1=('up', GREEN), _0=('down', RED))
AT = column('at', 'dateTimeFromNow')
PERCENT_COLUMNS = [column('position_pct', 'percent', 0), column('confidence', 'percentunit', 0),
                   column('temperature_c', 'celsius', 1), column('humidity_pct', 'humidity', 0),
                   column('sound_volume', 'percentunit', 1), column('latency_ms', 'ms', 2),
                   column('said_pct', 'percent', 0), column('said_confidence', 'percentunit', 0),
                   column('requested_pct', 'percent', 0)]
# A question that nobody answered has a row too.
ANSWERED = "decision != 'no_answer'"
# A person's row has what the model had said before it.
CORRECTED = 'isNotNull(said_pct) AND isNotNull(position_pct)'
CONFIDENCE = steps(RED, (0.4, YELLOW), (0.7, GREEN))
OPEN_WIDTH = steps(BLUE, (10, GREEN), (70, YELLOW))
COMFORT = steps(BLUE, (19, GREEN), (25, YELLOW), (28, RED))


def reading_series(kind, where, value='avg(value)', alias=None, by_machine=True):
    name = 'machine_id, ' if by_machine else ''
    return series(f"SELECT {BUCKET} AS time, {name}{value} AS {alias or kind} FROM sensor_readings "
                  f"WHERE type = '{kind}' AND {where} AND {IN_RANGE} GROUP BY time{', machine_id' if by_machine else ''} "
                  f"ORDER BY time")


def rate(metric, by=None, legend='__auto'):
    inner = f'rate({metric}[$__rate_interval])'
    return over_time(f'sum by ({by}) ({inner})' if by else f'sum({inner})', legend)


def quantiles(metric):
    return [over_time(f'histogram_quantile({q}, sum by (le) (rate({metric}_bucket[$__rate_interval])))', name)
            for q, name in ((0.5, 'half are faster than'), (0.95, '95% are faster than'), (0.99, '99% are faster than'))]


# ---- system overview ----

def system_overview():
    readings = [
        stat('How many devices are online?', 'Machines heard of within their own interval.',
             now('sum(automat_machines{state="online"})'), thresholds=steps(RED, (1, GREEN))),
        stat('How many devices fell silent?', 'Registered machines that should have been heard of and were not.',
             now('sum(automat_machines{state="inactive"})'), thresholds=steps(GREEN, (1, YELLOW), (3, RED))),
        stat('How many devices wait to be admitted?', 'They announced themselves; staff has not decided yet.',
             now('sum(automat_machines{state="waiting"})'), thresholds=steps(GREEN, (1, YELLOW))),
        stat('How many alerts are open?', 'Raised and not resolved.', now('automat_alerts_open'),
             thresholds=steps(GREEN, (1, YELLOW), (5, RED))),
        stat('How many devices sent readings in this range?', 'Distinct machines with a stored reading.',
             rows(f'SELECT uniqExact(machine_id) AS devices FROM sensor_readings WHERE {MACHINES} AND {IN_RANGE}')),
        stat('How many readings were stored in this range?', 'Rows of sensor_readings.',
             rows(f'SELECT count() AS readings FROM sensor_readings WHERE {MACHINES} AND {IN_RANGE}')),
        lines('How warm is each room?', 'Mean of the readings in each interval, one line a device.',
              reading_series('temperature', MACHINES), unit='celsius', decimals=1, thresholds=COMFORT),
        lines('How humid is each room?', 'Mean relative humidity in each interval, one line a device.',
              reading_series('humidity', MACHINES), unit='humidity', low=0, high=100),
        lines('How loud is each room?', 'Loudest RMS volume in each interval, as a share of full scale.',
              reading_series('sound_volume', MACHINES, 'max(value)'), unit='percentunit', low=0),
        table('What did every device read last?', 'The newest stored reading of each device and type, with its age. '
              'Provenance says whether it was measured, simulated by a twin, or estimated.',
              rows('SELECT machine_id, type, argMax(value, at) AS value, argMax(provenance, at) AS provenance, '
                   f'max(at) AS last_at FROM sensor_readings WHERE {MACHINES} AND {IN_RANGE} '
                   'GROUP BY machine_id, type ORDER BY machine_id, type'),
              overrides=[column('last_at', 'dateTimeFromNow'), column('value', None, 2)], width=12, height=9),
        lines('How steadily do readings arrive?', 'Stored readings in each interval, by device: a gap is a device or '
              'a network that was away.',
              series(f'SELECT {BUCKET} AS time, machine_id, count() AS readings FROM sensor_readings '
                     f'WHERE {MACHINES} AND {IN_RANGE} GROUP BY time, machine_id ORDER BY time'),
              width=12, height=9, low=0),
    ]
    windows = [
        gauge('How far is each window open?', 'The last position that was measured or estimated; 0 is shut, 100 wide '
              'open.',
              rows('SELECT machine_id, argMax(position_pct, at) AS position FROM window_actions '
                   f'WHERE isNotNull(position_pct) AND {MACHINES} AND {IN_RANGE} GROUP BY machine_id ORDER BY machine_id'),
              each=True, unit='percent', low=0, high=100, thresholds=OPEN_WIDTH, width=12),
        lines('Who moves the windows?', 'Window actions in each interval by who asked for them: the model, a person, '
              'an external service, a rule.',
              series(f'SELECT {BUCKET} AS time, source, count() AS actions FROM window_actions '
                     f'WHERE {MACHINES} AND {IN_RANGE} GROUP BY time, source ORDER BY time'),
              style='bars', stack=True, width=12),
        table('What did the model say lately?', 'The fifty newest predictions, what they were made from, and what '
              'became of them.',
              rows('SELECT at, machine_id, temperature_c, humidity_pct, sound_volume, position_pct, confidence, '
                   f'decision, model_version, latency_ms FROM ml_predictions WHERE {MACHINES} AND {IN_RANGE} '
                   'ORDER BY at DESC LIMIT 50'),
              overrides=[AT, *PERCENT_COLUMNS], height=9),
    ]
    traffic = [
        lines('How many messages pass through MQTT?', 'Messages a second, in and out.',
              rate('automat_mqtt_messages_total', 'direction', '{{direction}}'), unit='cps'),
        lines('How many readings a second are stored, how many refused?', 'A refused reading is counted with its '
              'reason and never stored.',
              [rate('automat_telemetry_readings_total', legend='stored'),
               rate('automat_telemetry_refused_total', legend='refused')], unit='cps'),
        lines('How many requests a second does the web door answer?', 'HTTP answers by class of status.',
              rate('automat_http_answers_total', 'class', '{{class}}'), unit='reqps'),
    ]
    return dashboard('automat-system-overview', 'Automat: system overview',
                     'What the rooms feel like now, what the windows do, and whether messages flow.',
                     [('Rooms', readings), ('Windows', windows), ('Traffic', traffic)],
                     [choice('machines', 'Devices', 'SELECT DISTINCT machine_id FROM device_registry ORDER BY machine_id',
                             many=True)], refresh='10s')


# ---- device detail ----

def device_detail():
    def last(kind):
        return rows(f"SELECT argMax(value, at) AS value FROM sensor_readings WHERE type = '{kind}' AND {DEVICE} "
                    f'AND {IN_RANGE} HAVING count() > 0')

    present = [
        stat('How warm is it now?', 'The newest temperature in the range.', last('temperature'), unit='celsius',
             decimals=1, thresholds=COMFORT),
        stat('How humid is it now?', 'The newest relative humidity in the range.', last('humidity'), unit='humidity',
             decimals=0, thresholds=steps(YELLOW, (30, GREEN), (65, YELLOW), (80, RED))),
        stat('How loud is it now?', 'The newest sound volume in the range: RMS as a share of full scale.',
             last('sound_volume'), unit='percentunit', decimals=1, thresholds=steps(GREEN, (0.2, YELLOW), (0.5, RED))),
        gauge('How far is the window open?', 'The last known position; 0 is shut, 100 wide open.',
              rows(f'SELECT argMax(position_pct, at) AS position FROM window_actions WHERE isNotNull(position_pct) '
                   f'AND {DEVICE} AND {IN_RANGE} HAVING count() > 0'),
              unit='percent', low=0, high=100, thresholds=OPEN_WIDTH, width=4, height=4),
        stat('How long ago was it heard of?', 'Since the newest reading came in, by the clock of the server, not of the '
             'device.',
             rows(f'SELECT toUnixTimestamp(now()) - toUnixTimestamp(max(received_at)) AS age FROM sensor_readings '
                  f'WHERE {DEVICE} AND $__timeFilter(received_at) HAVING count() > 0'),
             unit='s', thresholds=steps(GREEN, (120, YELLOW), (600, RED))),
        stat('How sure was the model last time?', 'Confidence of the newest prediction.',
             rows(f'SELECT argMax(confidence, at) AS confidence FROM ml_predictions WHERE {DEVICE} AND {IN_RANGE} '
                  'HAVING count() > 0'),
             unit='percentunit', decimals=0, thresholds=CONFIDENCE),
    ]
    spread = ['avg(value) AS mean', 'min(value) AS least', 'max(value) AS most']

    def history(kind):
        return series(f"SELECT {BUCKET} AS time, {', '.join(spread)} FROM sensor_readings WHERE type = '{kind}' "
                      f'AND {DEVICE} AND {IN_RANGE} GROUP BY time ORDER BY time')

    past = [
        lines('How did the temperature go?', 'Mean, least and most of each interval.', history('temperature'),
              unit='celsius', decimals=1, thresholds=COMFORT, width=12),
        lines('How did the humidity go?', 'Mean, least and most of each interval.', history('humidity'),
              unit='humidity', low=0, high=100, width=12),
        lines('How loud was it?', 'RMS volume of the recordings as a share of full scale: mean and most of each '
              'interval.', history('sound_volume'), unit='percentunit', low=0, width=12),
        lines('How loud was it in decibels?', 'Level against full scale (dBFS): 0 is as loud as the microphone can say.',
              history('sound_dbfs'), unit='suffix: dBFS', decimals=0, width=12),
    ]
    window = [
        lines('Where was the window, and where should it have been?', 'Known position beside the one asked for. '
              'A gap between them that stays is a window that does not obey.',
              series(f'SELECT {BUCKET} AS time, avg(position_pct) AS position, avg(requested_pct) AS requested '
                     f'FROM window_actions WHERE {DEVICE} AND {IN_RANGE} GROUP BY time ORDER BY time'),
              unit='percent', low=0, high=100, width=12, custom={'lineInterpolation': 'stepAfter', 'spanNulls': True}),
        lines('What did the model want over time?', 'Position it asked for, and how sure it was (0 to 100).',
              series(f'SELECT {BUCKET} AS time, avg(position_pct) AS position, avg(confidence) * 100 AS confidence '
                     f'FROM ml_predictions WHERE {DEVICE} AND {IN_RANGE} GROUP BY time ORDER BY time'),
              unit='percent', low=0, high=100, width=12, custom={'showPoints': 'auto', 'spanNulls': True}),
        lines('How loud was it when the window moved?', 'Sound volume noted with each window action.',
              series(f'SELECT {BUCKET} AS time, max(sound_volume) AS sound FROM window_actions '
                     f'WHERE {DEVICE} AND {IN_RANGE} GROUP BY time ORDER BY time'),
              unit='percentunit', low=0, width=12, style='bars'),
        states('What became of its predictions?', 'Last decision of each interval: commanded, or held and why.',
               series(f'SELECT {BUCKET} AS time, argMax(decision, at) AS decision FROM ml_predictions '
                      f'WHERE {DEVICE} AND {IN_RANGE} GROUP BY time ORDER BY time'), width=12),
        table('What moved the window?', 'The hundred newest actions: who asked, for what, and how it ended.',
              rows('SELECT at, source, requested_pct, position_pct, confidence, temperature_c, humidity_pct, '
                   f'sound_volume, state, command_id FROM window_actions WHERE {DEVICE} AND {IN_RANGE} '
                   'ORDER BY at DESC LIMIT 100'),
              overrides=[AT, *PERCENT_COLUMNS]),
    ]
    device = [
        table('What is this device?', 'Its line in the registry as last written.',
              rows('SELECT machine_id, argMax(kind, at) AS kind, argMax(name, at) AS name, '
                   'argMax(firmware, at) AS firmware, argMax(admission, at) AS admission, '
                   'max(last_seen_at) AS last_seen, min(created_at) AS created '
                   f'FROM device_registry WHERE {DEVICE} GROUP BY machine_id'),
              overrides=[column('last_seen', 'dateTimeFromNow'), column('created', 'dateTimeAsLocal')], width=12),
        states('When was it online?', 'As noted in the registry whenever it changed.',
               series(f'SELECT toDateTime(at) AS time, online FROM device_registry WHERE {DEVICE} AND {IN_RANGE} '
                      'ORDER BY time'),
               mappings=words(_1=('online', GREEN), _0=('offline', RED)), width=12),
    ]
    return dashboard('automat-device-detail', 'Automat: device detail', 'One device: what it feels, where its window '
                     'is, what the model wanted.',
                     [('Now', present), ('Readings', past), ('Window', window), ('Device', device)],
                     [choice('device', 'Device', 'SELECT DISTINCT machine_id FROM device_registry ORDER BY machine_id')])


# ---- ML metrics ----

def ml_metrics():
    def error(value):
        return (f'SELECT {BUCKET} AS time, {value} FROM window_actions WHERE {CORRECTED} AND {MACHINES} '
                f'AND {IN_RANGE} GROUP BY time ORDER BY time')

    asked = [
        stat('Which model answers now?', 'Version of the model file in use.', now('automat_climate_model_version'),
             unit='none', decimals=0),
        stat('How far is it off, by its own test?', 'Error of the model in use on samples kept aside, in points of '
             'position.', now('automat_climate_model_error_percent'), unit='percent', decimals=1,
             thresholds=steps(GREEN, (10, YELLOW), (20, RED))),
        stat('How many predictions were made?', 'Questions that were answered, in this range.',
             rows(f'SELECT count() AS predictions FROM ml_predictions WHERE {ANSWERED} AND {MACHINES} AND {IN_RANGE}')),
        stat('How sure is it on average?', 'Mean confidence in this range.',
             rows(f'SELECT avg(confidence) AS confidence FROM ml_predictions WHERE {MACHINES} AND {IN_RANGE} '
                  'HAVING count() > 0'), unit='percentunit', decimals=0, thresholds=CONFIDENCE),
        stat('How often is a prediction held back?', 'Share of predictions that became no command because the model '
             'was not sure enough, or because people had decided.',
             rows("SELECT countIf(decision IN ('held_low_confidence', 'held_manual')) / count() AS held "
                  f'FROM ml_predictions WHERE {ANSWERED} AND {MACHINES} AND {IN_RANGE} HAVING count() > 0'), unit='percentunit', decimals=0,
             thresholds=steps(GREEN, (0.3, YELLOW), (0.6, RED))),
        stat('How often do people agree?', 'Share of settings by hand within 10 points of what the model had said '
             'before.',
             rows('SELECT countIf(abs(said_pct - position_pct) <= 10) / count() AS agree FROM window_actions '
                  f'WHERE {CORRECTED} AND {MACHINES} AND {IN_RANGE} HAVING count() > 0'),
             unit='percentunit', decimals=0, thresholds=steps(RED, (0.5, YELLOW), (0.8, GREEN))),
        lines('How often is each device asked about?', 'Questions in each interval, by device, answered or not.',
              series(f'SELECT {BUCKET} AS time, machine_id, count() AS questions FROM ml_predictions '
                     f'WHERE {MACHINES} AND {IN_RANGE} GROUP BY time, machine_id ORDER BY time'),
              style='bars', stack=True, width=12),
        lines('What becomes of predictions?', 'Decisions in each interval: commanded, held and why, or no answer in '
              'time.',
              series(f'SELECT {BUCKET} AS time, decision, count() AS predictions FROM ml_predictions '
                     f'WHERE {MACHINES} AND {IN_RANGE} GROUP BY time, decision ORDER BY time'),
              style='bars', stack=True, width=12),
    ]
    sure = [
        columns('How is confidence distributed?', 'Predictions by confidence, in tenths.',
                rows("SELECT concat(toString(tenth * 10), '%') AS confidence, predictions FROM (SELECT "
                     'least(toUInt32(floor(confidence * 10)), 9) AS tenth, count() AS predictions '
                     f'FROM ml_predictions WHERE isNotNull(confidence) AND {MACHINES} AND {IN_RANGE} '
                     'GROUP BY tenth) ORDER BY tenth'), x='confidence', width=12),
        lines('Does confidence drift?', 'Median and lowest tenth of confidence in each interval.',
              series(f'SELECT {BUCKET} AS time, quantile(0.5)(confidence) AS median, quantile(0.1)(confidence) AS '
                     f'lowest_tenth FROM ml_predictions WHERE isNotNull(confidence) AND {MACHINES} AND {IN_RANGE} '
                     'GROUP BY time ORDER BY time'), unit='percentunit', low=0, high=1, width=12),
    ]
    fast = [
        lines('How long does an answer take?', 'From request to answer, out of the stored predictions. '
              'What was never answered is not in it.',
              series(f'SELECT {BUCKET} AS time, quantile(0.5)(latency_ms) AS p50, quantile(0.95)(latency_ms) AS p95, '
                     f'quantile(0.99)(latency_ms) AS p99 FROM ml_predictions WHERE isNotNull(latency_ms) AND {ANSWERED} '
                     f'AND {MACHINES} AND {IN_RANGE} GROUP BY time ORDER BY time'), unit='ms', low=0),
        lines('How long from reading to command?', 'From the reading that asked to the command that was made, as the '
              'server counts it.', quantiles('automat_sensor_to_command_seconds'), unit='s', low=0),
        lines('Who answers?', 'Answers a second by source: the own model, an external service.',
              rate('automat_climate_answers_total', 'source', '{{source}}'), unit='cps'),
    ]
    right = [
        lines('How far off is it, over time?', 'Mean and 90th percentile of the distance between what a person set '
              'and what the model had said before, in points of position.',
              series(error('avg(abs(said_pct - position_pct)) AS mean, '
                           'quantile(0.9)(abs(said_pct - position_pct)) AS p90')),
              unit='percent', low=0, thresholds=steps(GREEN, (10, YELLOW), (20, RED))),
        lines('Does it open too far or too little?', 'Mean signed distance: above zero it opens wider than people do.',
              series(error('avg(said_pct - position_pct) AS wider')), unit='percent'),
        table('Which version was better?', 'How often it answered and how sure it was; how often people set the '
              'window after it, and how far from what it had said.',
              rows('SELECT model_version, predictions, corrected, mean_error_pct, confidence FROM ('
                   'SELECT model_version, count() AS predictions, avg(confidence) AS confidence '
                   f'FROM ml_predictions WHERE {ANSWERED} AND {MACHINES} AND {IN_RANGE} GROUP BY model_version) '
                   'ANY LEFT JOIN (SELECT said_version AS model_version, count() AS corrected, '
                   'avg(abs(said_pct - position_pct)) AS mean_error_pct FROM window_actions '
                   f'WHERE {CORRECTED} AND {MACHINES} AND {IN_RANGE} GROUP BY said_version) '
                   'USING model_version ORDER BY model_version'),
              overrides=[column('mean_error_pct', 'percent', 1), *PERCENT_COLUMNS], width=8),
        table('Where did people disagree most?', 'The twenty settings by hand furthest from what the model had said '
              'before.',
              rows('SELECT at, machine_id, temperature_c, humidity_pct, sound_volume, said_pct, position_pct, '
                   f'said_confidence, said_version FROM window_actions WHERE {CORRECTED} '
                   f'AND {MACHINES} AND {IN_RANGE} ORDER BY abs(said_pct - position_pct) DESC LIMIT 20'),
              overrides=[AT, *PERCENT_COLUMNS], width=12),
        table('What does the position depend on?', 'Correlation of each feature with the predicted position and with '
              'confidence: 1 rises with it, -1 falls with it, 0 neither.',
              rows(' UNION ALL '.join(
                  f"SELECT '{feature}' AS feature, corr(assumeNotNull({feature}), assumeNotNull(position_pct)) AS "
                  f'with_position, corr(assumeNotNull({feature}), assumeNotNull(confidence)) AS with_confidence '
                  f'FROM ml_predictions WHERE isNotNull({feature}) AND isNotNull(position_pct) AND '
                  f'isNotNull(confidence) AND {MACHINES} AND {IN_RANGE}'
                  for feature in ('temperature_c', 'humidity_pct', 'sound_volume'))),
              overrides=[column('with_position', None, 2), column('with_confidence', None, 2)], width=12),
        columns('How wide does it open at which temperature?', 'Mean predicted position by degree.',
                rows("SELECT concat(toString(degree), ' C') AS temperature, position FROM (SELECT "
                     'toInt32(floor(assumeNotNull(temperature_c))) AS degree, avg(position_pct) AS position '
                     f'FROM ml_predictions WHERE isNotNull(temperature_c) AND {MACHINES} AND {IN_RANGE} '
                     'GROUP BY degree) ORDER BY degree'), x='temperature', unit='percent', width=24),
    ]
    return dashboard('automat-ml-metrics', 'Automat: ML metrics', 'How often the window model is asked, how sure and '
                     'how fast it is, and whether people agree with it.',
                     [('Asked', asked), ('Sure', sure), ('Fast', fast), ('Right', right)],
                     [choice('machines', 'Devices', 'SELECT DISTINCT machine_id FROM ml_predictions ORDER BY machine_id',
                             many=True)], time_from='now-24h')


# ---- system health ----

def system_health():
    services = [
        stat('Is the server up?', 'Prometheus could read its figures.', now('up{job="automat"}', 'automat'),
             mappings=UP_DOWN, thresholds=steps(RED, (1, GREEN)), color='background'),
        stat('Is ClickHouse up?', 'The server could reach it the last time it tried.', now('automat_clickhouse_up'),
             mappings=UP_DOWN, thresholds=steps(RED, (1, GREEN)), color='background'),
        stat('Does the database take changes?', 'No when the last commit failed: a full disk, most often.',
             now('automat_store_failing'), mappings=words(_0=('yes', GREEN), _1=('no', RED)),
             thresholds=steps(GREEN, (1, RED)), color='background'),
        stat('How many devices hold an MQTT connection?', 'Connections now.', now('automat_mqtt_connections'),
             thresholds=steps(YELLOW, (1, GREEN))),
        stat('How many errors were logged in the last hour?', 'Lines of level error.',
             now('sum(increase(automat_log_lines_total{level="error"}[1h]))'), decimals=0,
             thresholds=steps(GREEN, (1, RED))),
        stat('How many alerts are open?', 'Raised and not resolved.', now('automat_alerts_open'),
             thresholds=steps(GREEN, (1, YELLOW), (5, RED))),
    ]
    mqtt = [
        lines('How many MQTT messages pass, by quality of service?', 'Messages a second, by direction and QoS.',
              rate('automat_mqtt_messages_total', 'direction, qos', '{{direction}} QoS {{qos}}'), unit='cps'),
        lines('How many bytes pass through MQTT?', 'Bytes a second by direction.',
              rate('automat_mqtt_bytes_total', 'direction', '{{direction}}'), unit='Bps'),
        lines('How many connections, sessions and retained messages are there?', 'A session may outlive its '
              'connection.',
              [over_time('automat_mqtt_connections', 'connections'), over_time('automat_mqtt_sessions', 'sessions'),
               over_time('automat_mqtt_retained', 'retained messages')], low=0),
        lines('What does MQTT turn away?', 'A second: denied by rights, dropped for a full queue, malformed, and '
              'repeats of what was stored already.',
              [rate('automat_mqtt_denied_total', legend='denied'), rate('automat_mqtt_dropped_total', legend='dropped'),
               rate('automat_mqtt_malformed_total', legend='malformed'),
               rate('automat_mqtt_duplicates_total', legend='repeats')], unit='cps'),
        lines('How much waits to be acknowledged?', 'Messages and readings taken in and not yet on disk.',
              [over_time('automat_mqtt_pending', 'messages'), over_time('automat_telemetry_pending', 'readings')],
              low=0, thresholds=steps(GREEN, (5000, YELLOW), (20000, RED))),
        lines('Why are readings refused?', 'Refused a second, by reason.',
              rate('automat_telemetry_refused_total', 'reason', '{{reason}}'), unit='cps'),
    ]
    database = [
        lines('How long does a commit take?', 'Mean time of a transaction of the embedded database, with its sync.',
              over_time('sum(rate(automat_store_commit_seconds_total[$__rate_interval])) / '
                        'sum(rate(automat_store_commits_total[$__rate_interval]))', 'a commit'),
              unit='s', low=0, thresholds=steps(GREEN, (0.05, YELLOW), (0.5, RED))),
        lines('How busy is the database?', 'Commits a second, and changes that wait for the next one.',
              [rate('automat_store_commits_total', legend='commits a second'),
               over_time('automat_store_waiting', 'waiting changes')], low=0),
        lines('How fast does ClickHouse answer?', 'Queries of these dashboards and of the server, from its own query '
              'log.',
              series('SELECT toDateTime(intDiv(toUnixTimestamp(event_time), $__interval_s) * $__interval_s) AS time, '
                     'quantile(0.5)(query_duration_ms) AS p50, quantile(0.95)(query_duration_ms) AS p95 '
                     'FROM system.query_log WHERE type = 2 AND $__timeFilter(event_time) GROUP BY time ORDER BY time'),
              unit='ms', low=0),
        table('What does ClickHouse keep, and how much?', 'Rows and bytes on disk of each table, and the day of its '
              'oldest and newest part.',
              rows('SELECT table, sum(rows) AS stored, sum(bytes_on_disk) AS disk, count() AS parts, '
                   'min(partition) AS oldest, max(partition) AS newest '
                   'FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table'),
              overrides=[column('disk', 'bytes', 1)], width=12),
        table('Which ClickHouse queries were slow or failed?', 'The twenty slowest of the range.',
              rows('SELECT event_time, query_duration_ms, read_rows, exception, substring(query, 1, 160) AS query '
                   'FROM system.query_log WHERE type IN (2, 3, 4) AND $__timeFilter(event_time) '
                   'ORDER BY query_duration_ms DESC LIMIT 20'),
              overrides=[column('query_duration_ms', 'ms', 0), column('event_time', 'dateTimeFromNow')], width=12),
    ]
    sink = [
        lines('How fast do rows reach ClickHouse?', 'Rows a second, and tries that had to be repeated.',
              [rate('automat_clickhouse_rows_total', legend='rows'),
               rate('automat_clickhouse_retries_total', legend='repeated tries')], unit='cps', low=0),
        lines('How much waits for ClickHouse?', 'Rows kept in the outbox; they are sent when it answers again.',
              over_time('automat_clickhouse_outbox_rows', 'rows'), low=0),
        stat('How old is the oldest row that waits?', 'Grows while ClickHouse is away.',
             now('automat_clickhouse_outbox_age_seconds'), unit='s', thresholds=steps(GREEN, (60, YELLOW), (900, RED)),
             height=8),
        stat('How many rows were given up?', 'Dropped since the start because the outbox was full, or because '
             'ClickHouse would never take them.',
             now('automat_clickhouse_dropped_rows_total'), thresholds=steps(GREEN, (1, RED)), height=8),
    ]
    errors = [
        lines('What does the log say?', 'Lines a second by level.',
              rate('automat_log_lines_total', 'level', '{{level}}'), unit='cps'),
        lines('What share of HTTP answers fails?', 'Answers of class 5xx, of all.',
              over_time('sum(rate(automat_http_answers_total{class="5xx"}[$__rate_interval])) / '
                        'sum(rate(automat_http_answers_total[$__rate_interval]))', '5xx'),
              unit='percentunit', low=0, thresholds=steps(GREEN, (0.01, YELLOW), (0.05, RED))),
        lines('How do commands end?', 'Commands a second, by the state they came into.',
              rate('automat_commands_total', 'state', '{{state}}'), unit='cps'),
        table('When was each device last seen?', 'Seconds since anything was heard from it.',
              now_table('sort_desc(automat_machine_last_seen_seconds)'),
              overrides=[column('Value', 'dtdurations', 0, 'silent for')], width=12,
              transformations=[{'id': 'organize', 'options': {'excludeByName': {'Time': True, '__name__': True,
                                                                                'instance': True, 'job': True},
                                                              'renameByName': {}, 'indexByName': {}}}]),
        bars_now('In which state are the machines?', 'Registered machines by state.',
                 now('automat_machines', '{{state}}'), width=12),
    ]
    return dashboard('automat-system-health', 'Automat: system health', 'Are the services up, do messages flow, does '
                     'the database keep up, what fails.',
                     [('Services', services), ('MQTT', mqtt), ('Databases', database), ('ClickHouse sink', sink),
                      ('Errors and devices', errors)])


ALL = {'system-overview': system_overview, 'device-detail': device_detail, 'ml-metrics': ml_metrics,
       'system-health': system_health}
