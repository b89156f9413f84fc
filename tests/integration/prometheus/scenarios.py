"""For every alert, series that make it fire and series that come near and do not."""

from tests.integration.prometheus.promtool import Expected, Scenario

ONE = 'instance="a", job="labelstream"'
LEASES = f'{ONE}, service="assignment"'
MONITOR = f'{ONE}, service="monitor"'


def _at(alert: str, at: str, severity: str, **labels: str) -> Expected:
    return Expected(alert, at, [{"job": "labelstream", "severity": severity, **labels}])


DELIVERY = Scenario(
    "delivery",
    {
        f'up{{{ONE}, service="qc"}}': "1x20 0x40",
        f'labelstream_ready{{{ONE}, service="qc"}}': "0x60",
        f'labelstream_consumer_oldest_unprocessed_seconds{{{ONE}, service="qc", topic="t", partition="0"}}': "400x60",
        f'labelstream_consumer_oldest_unprocessed_seconds{{{ONE}, service="qc", topic="t", partition="1"}}': "1x60",
        f'labelstream_consumer_lag_records{{{ONE}, service="qc", topic="t", partition="0"}}': "0+500x60",
        f'labelstream_records_total{{{ONE}, service="qc", topic="t", outcome="rejected"}}': "0x30 1x30",
        f'labelstream_outbox_oldest_seconds{{{ONE}, service="qc"}}': "61x60",
        f'labelstream_offsets_lost_total{{{ONE}, service="qc", topic="t"}}': "0x10 5x50",
        f'labelstream_batch_retries_total{{{ONE}, service="qc", topic="t", cause="OSError"}}': "0+6x60",
        f'labelstream_job_failures_total{{{ONE}, service="qc", task="refresh"}}': "0+1x60",
        f'labelstream_prelabel_model_refused{{{ONE}, service="prelabel", project="p"}}': "1x60",
        f'labelstream_prelabel_source_stopped{{{ONE}, service="prelabel", project="p", source="s"}}': "1x60",
    },
    [
        _at("LabelstreamServiceDown", "30m", "page", service="qc", instance="a"),
        _at("LabelstreamNotReady", "10m", "warning", service="qc", instance="a"),
        _at("LabelstreamBehind", "15m", "warning", service="qc", topic="t"),
        _at("LabelstreamLagGrows", "40m", "warning", service="qc", topic="t"),
        _at("LabelstreamDeadLetters", "35m", "info", service="qc", topic="t"),
        _at("LabelstreamOutboxWaits", "10m", "page", service="qc"),
        _at("LabelstreamOffsetsLost", "20m", "page", service="qc", topic="t"),
        _at("LabelstreamBatchesRetried", "40m", "warning", service="qc", topic="t"),
        _at("LabelstreamJobFails", "40m", "warning", service="qc", task="refresh"),
        _at("LabelstreamModelRefused", "10m", "page", service="prelabel", project="p"),
        _at("LabelstreamSourceStopped", "10m", "page", service="prelabel", project="p", source="s"),
        Expected("LabelstreamNotScraped", "50m"),
    ],
    rules=["delivery.yml"],
)
NOTHING = Scenario(
    "nothing is scraped", {'up{job="other"}': "1x20"},
    [_at("LabelstreamNotScraped", "10m", "page"), Expected("LabelstreamServiceDown", "10m")],
    rules=["delivery.yml"],
)  # fmt: skip
WELL = Scenario(
    "delivery, well",
    {
        f'up{{{ONE}, service="qc"}}': "1x60",
        f'labelstream_ready{{{ONE}, service="qc"}}': "1x60",
        f'labelstream_consumer_oldest_unprocessed_seconds{{{ONE}, service="qc", topic="t", partition="0"}}': "20x60",
        # Lag that comes and goes, and lag that grows while its oldest record is young.
        f'labelstream_consumer_lag_records{{{ONE}, service="qc", topic="t", partition="0"}}': "0+500x60",
        f'labelstream_consumer_oldest_unprocessed_seconds{{{ONE}, service="qc", topic="u", partition="0"}}': "40x60",
        f'labelstream_consumer_lag_records{{{ONE}, service="qc", topic="u", partition="0"}}': "5000-50x60",
        f'labelstream_records_total{{{ONE}, service="qc", topic="t", outcome="rejected"}}': "7x60",
        f'labelstream_outbox_oldest_seconds{{{ONE}, service="qc"}}': "0.1x20 70x1 0.1x40",
        f'labelstream_offsets_lost_total{{{ONE}, service="qc", topic="t"}}': "5x60",
        f'labelstream_batch_retries_total{{{ONE}, service="qc", topic="t", cause="OSError"}}': "0x20 3x40",
        f'labelstream_batch_retries_total{{{ONE}, service="qc", topic="t", cause="fenced"}}': "0+60x60",
        f'labelstream_job_failures_total{{{ONE}, service="qc", task="refresh"}}': "0x20 1x20 2x20",
        f'labelstream_prelabel_model_refused{{{ONE}, service="prelabel", project="p"}}': "0x60",
        f'labelstream_prelabel_source_stopped{{{ONE}, service="prelabel", project="p", source="s"}}': "0x60",
    },
    [
        Expected(alert, at)
        for at in ("25m", "50m")
        for alert in (
            "LabelstreamServiceDown", "LabelstreamNotReady", "LabelstreamBehind", "LabelstreamLagGrows",
            "LabelstreamDeadLetters", "LabelstreamOutboxWaits", "LabelstreamOffsetsLost", "LabelstreamBatchesRetried",
            "LabelstreamJobFails", "LabelstreamModelRefused", "LabelstreamSourceStopped",
        )
    ],
    rules=["delivery.yml"],
)  # fmt: skip


def _flow(state: str, project: str = "p") -> str:
    return f'labelstream_items{{{MONITOR}, project="{project}", state="{state}"}}'


FLOW = Scenario(
    "flow",
    {
        _flow("blocked"): "3x150",
        _flow("blocked").replace('"a"', '"b"'): "3x150",  # another replica of monitor shows the same
        _flow("awaiting_prediction"): "9x150",
        _flow("queued"): "40x150",
        f'labelstream_predictions_total{{{MONITOR}, project="p", outcome="proposed"}}': "100x150",
        f'labelstream_annotations_total{{{MONITOR}, project="p", outcome="answered", lane="round"}}': "55x150",
        f'labelstream_assignment_leases_total{{{LEASES}, project="p", event="granted"}}': "0+1x150",
        f'labelstream_assignment_leases_total{{{LEASES}, project="p", event="expired"}}': (
            "0x3 0+0.9x146"
        ),
        f"labelstream_monitor_snapshot_timestamp_seconds{{{MONITOR}}}": "0x150",
        f'labelstream_relabel_budget_remaining{{{MONITOR}, project="p"}}': "0x150",
    },
    [
        _at("LabelstreamRoundsBlocked", "20m", "warning", service="monitor", project="p", state="blocked"),
        _at(
            "LabelstreamItemsWithoutPrediction", "20m", "page", service="monitor", project="p",
            state="awaiting_prediction",
        ),
        _at("LabelstreamNobodyAnswers", "130m", "info", service="monitor", project="p", state="queued"),
        _at("LabelstreamLeasesExpire", "100m", "warning", service="assignment", project="p"),
        _at("LabelstreamMonitorStale", "20m", "warning", service="monitor"),
        _at("LabelstreamRelabelBudgetSpent", "70m", "info", service="monitor", project="p"),
    ],
    rules=["flow.yml"],
)  # fmt: skip
FLOWS = Scenario(
    "flow, well",
    {
        _flow("blocked"): "0x30 2x5 0x115",
        _flow("awaiting_prediction"): "9x150",
        _flow("queued"): "40x150",
        f'labelstream_predictions_total{{{MONITOR}, project="p", outcome="no_model"}}': "0+10x150",
        f'labelstream_annotations_total{{{MONITOR}, project="p", outcome="answered", lane="round"}}': "0+1x150",
        # Few leases, all of them lost; and many, of which a fifth is.
        f'labelstream_assignment_leases_total{{{LEASES}, project="p", event="granted"}}': "0+0.2x150",
        f'labelstream_assignment_leases_total{{{LEASES}, project="p", event="expired"}}': "0+0.2x150",
        f'labelstream_assignment_leases_total{{{LEASES}, project="q", event="granted"}}': "0+5x150",
        f'labelstream_assignment_leases_total{{{LEASES}, project="q", event="expired"}}': "0+1x150",
        f"labelstream_monitor_snapshot_timestamp_seconds{{{MONITOR}}}": "0+60x150",
        f'labelstream_relabel_budget_remaining{{{MONITOR}, project="p"}}': "5x150",
    },
    [
        Expected(alert, at)
        for at in ("36m", "140m")
        for alert in (
            "LabelstreamRoundsBlocked", "LabelstreamItemsWithoutPrediction", "LabelstreamNobodyAnswers",
            "LabelstreamLeasesExpire", "LabelstreamMonitorStale", "LabelstreamRelabelBudgetSpent",
        )
    ],
    rules=["flow.yml"],
)  # fmt: skip
QUALITY = Scenario(
    "quality",
    {
        f'labelstream_gold_answers_total{{{MONITOR}, project="p", result="correct"}}': "0+1x120",
        f'labelstream_gold_answers_total{{{MONITOR}, project="p", result="wrong"}}': "0+2x120",
        f'labelstream_certificate_granted{{{MONITOR}, project="p"}}': "1x50 0x70",
        f'labelstream_certificate_breached{{{MONITOR}, project="q", class="cat"}}': "_x50 1x70",
        f'labelstream_alarms_open{{{MONITOR}, project="p", severity="critical"}}': "1x120",
        f'labelstream_audit_agreement_high_ratio{{{MONITOR}, project="p", model_version="m"}}': "0.79x120",
    },
    [
        _at("LabelstreamGoldMissed", "110m", "warning", service="monitor", project="p"),
        _at("LabelstreamCertificateWithdrawn", "60m", "warning", service="monitor", project="p"),
        _at("LabelstreamClassWithdrawn", "60m", "warning", service="monitor", project="q", **{"class": "cat"}),
        _at("LabelstreamModelDisagrees", "30m", "warning", service="monitor", project="p", model_version="m"),
        _at("LabelstreamDrift", "30m", "page", service="monitor", project="p"),
    ],
    rules=["quality.yml"],
)
GOOD = Scenario(
    "quality, well",
    {
        f'labelstream_gold_answers_total{{{MONITOR}, project="p", result="correct"}}': "0+0.1x120",  # wrong, but few
        f'labelstream_gold_answers_total{{{MONITOR}, project="p", result="wrong"}}': "0+0.2x120",
        f'labelstream_gold_answers_total{{{MONITOR}, project="q", result="correct"}}': "0+2x120",
        f'labelstream_gold_answers_total{{{MONITOR}, project="q", result="wrong"}}': "0+1x120",
        f'labelstream_certificate_granted{{{MONITOR}, project="p"}}': "0x120",  # withdrawn long ago
        f'labelstream_certificate_granted{{{MONITOR}, project="q"}}': "1x120",
        f'labelstream_alarms_open{{{MONITOR}, project="q", severity="info"}}': "1x120",
        f'labelstream_alarms_open{{{MONITOR}, project="q", severity="warning"}}': "0x120",
        f'labelstream_audit_agreement_ratio{{{MONITOR}, project="p", model_version="m"}}': "0.7x120",  # of too few
        f'labelstream_audit_agreement_high_ratio{{{MONITOR}, project="p", model_version="m"}}': "0.85x120",
    },
    [
        Expected(alert, "110m")
        for alert in (
            "LabelstreamGoldMissed",
            "LabelstreamCertificateWithdrawn",
            "LabelstreamClassWithdrawn",
            "LabelstreamModelDisagrees",
            "LabelstreamDrift",
        )
    ],
    rules=["quality.yml"],
)
SCENARIOS = (DELIVERY, NOTHING, WELL, FLOW, FLOWS, QUALITY, GOOD)
