"""The figures of /metrics that dashboards and alerts rely on, and samples of them for a Prometheus that has no time to
wait.  metrics_test.py holds the names against the real server."""

REASONS = ('bad_number', 'out_of_range')
# name -> (type, sets of labels)
FAMILIES = {
    'automat_mqtt_messages_total': ('counter', [{'direction': d, 'qos': q} for d in ('in', 'out') for q in '01']),
    'automat_mqtt_bytes_total': ('counter', [{'direction': 'in'}, {'direction': 'out'}]),
    'automat_mqtt_connections': ('gauge', [{}]),
    'automat_mqtt_sessions': ('gauge', [{}]),
    'automat_mqtt_retained': ('gauge', [{}]),
    'automat_mqtt_pending': ('gauge', [{}]),
    'automat_mqtt_denied_total': ('counter', [{}]),
    'automat_mqtt_dropped_total': ('counter', [{}]),
    'automat_mqtt_duplicates_total': ('counter', [{}]),
    'automat_mqtt_malformed_total': ('counter', [{}]),
    'automat_telemetry_messages_total': ('counter', [{}]),
    'automat_telemetry_readings_total': ('counter', [{}]),
    'automat_telemetry_refused_total': ('counter', [{'reason': reason} for reason in REASONS]),
    'automat_telemetry_series': ('gauge', [{}]),
    'automat_telemetry_pending': ('gauge', [{}]),
    'automat_clickhouse_up': ('gauge', [{}]),
    'automat_clickhouse_configured': ('gauge', [{}]),
    'automat_clickhouse_rows_total': ('counter', [{}]),
    'automat_clickhouse_batches_total': ('counter', [{}]),
    'automat_clickhouse_retries_total': ('counter', [{}]),
    'automat_clickhouse_dropped_rows_total': ('counter', [{}]),
    'automat_clickhouse_outbox_rows': ('gauge', [{}]),
    'automat_clickhouse_outbox_bytes': ('gauge', [{}]),
    'automat_clickhouse_outbox_age_seconds': ('gauge', [{}]),
    'automat_climate_requests_total': ('counter', [{}]),
    'automat_climate_answers_total': ('counter', [{'source': 'own'}, {'source': 'external'}]),
    'automat_climate_decisions_total': ('counter', [{'decision': 'commanded'}]),
    'automat_climate_latency_seconds': ('histogram', [{}]),
    'automat_climate_confidence': ('histogram', [{}]),
    'automat_climate_model_version': ('gauge', [{}]),
    'automat_climate_model_error_percent': ('gauge', [{}]),
    'automat_sensor_to_command_seconds': ('histogram', [{}]),
    'automat_machines': ('gauge', [{'state': s} for s in ('online', 'offline', 'waiting', 'inactive')]),
    'automat_machine_last_seen_seconds': ('gauge', [{'machine': 'window-1'}, {'machine': 'window-2'}]),
    'automat_store_commits_total': ('counter', [{}]),
    'automat_store_commit_seconds_total': ('counter', [{}]),
    'automat_store_waiting': ('gauge', [{}]),
    'automat_store_failing': ('gauge', [{}]),
    'automat_log_lines_total': ('counter', [{'level': level} for level in ('info', 'warn', 'error')]),
    'automat_alerts_open': ('gauge', [{}]),
    'automat_http_answers_total': ('counter', [{'class': '2xx'}, {'class': '5xx'}]),
    'automat_commands_total': ('counter', [{'state': 'complete'}, {'state': 'unknown'}]),
}
BOUNDS = ('0.001', '0.01', '0.1', '+Inf')


def series():
    """(name with labels, counts up) of every sample."""
    yield 'up{job="automat"}', False
    for name, (kind, labels) in FAMILIES.items():
        for one in labels:
            if kind != 'histogram':
                yield written(name, one), kind == 'counter'
                continue
            for bound in BOUNDS:
                yield written(name + '_bucket', dict(one, le=bound)), True
            yield written(name + '_sum', one), True
            yield written(name + '_count', one), True


def written(name, labels):
    inside = ','.join(f'{key}="{value}"' for key, value in dict(labels, job='automat').items())
    return f'{name}{{{inside}}}'


def open_metrics(time_from, time_to, step=60):
    """OpenMetrics text for promtool tsdb create-blocks-from."""
    lines = []
    for name, counts in series():
        for at in range(time_from, time_to + 1, step):
            lines.append(f'{name} {(at - time_from) // step * 3 if counts else 1} {at}')
    return '\n'.join(lines) + '\n# EOF\n'
