"""The four dashboards: for operators, for quality leads, about drift, and of one project."""

from cli.docs.dashboards.panels import OWN, Board, Panel, Row, number, one, quantiles, recorded, total
from cli.docs.dashboards.shared import (
    ACCURACY,
    AGREEMENT,
    AUDITS,
    CLASSES,
    COST,
    DISAGREEMENT,
    EVIDENCE,
    FLOW,
    GOLD,
    LATENCY,
    OBJECTS,
    OVERVIEW,
    SHARE,
    SUREST,
    SUSPECTS,
    people_present,
)
from cli.docs.objectives import OBJECTIVES, ratio

ROWS = " / ".join(
    f"sum({total(f'labelstream_prelabel_model_call_rows_{part}', over='rate')})" for part in ("sum", "count")
)
DELIVERY = Row(
    "Delivery",
    (
        Panel(
            "Records per second",
            "Records that services read, by topic.",
            ((recorded("service_topic:labelstream_records:rate5m"), "{{service}} {{topic}}"),),
            "ops",
        ),
        Panel(
            "Lag",
            "Records that a service has still to process, all partitions together.",
            ((recorded("service_topic:labelstream_consumer_lag_records:sum"), "{{service}} {{topic}}"),),
        ),
        Panel(
            "Age of the oldest unprocessed record",
            "How late a service is on a topic.",
            ((recorded("service_topic:labelstream_consumer_oldest_unprocessed_seconds:max"), "{{service}} {{topic}}"),),
            "s",
        ),
        Panel(
            "Time per batch",
            "Median and 95th percentile of a batch's transaction; exemplars lead to traces.",
            quantiles("labelstream_batch_seconds", "service, topic", "{{service}} {{topic}}", flow=False),
            "s",
            exemplars=True,
        ),
        Panel(
            "Dead letters",
            "Records refused, per second.",
            ((total("labelstream_records_total", 'outcome="rejected"', over="rate", by="service, topic"),
              "{{service}} {{topic}}"),),
            "ops",
        ),
        Panel(
            "Waiting to be published",
            "Age of the oldest row of an outbox: Kafka does not acknowledge.",
            ((recorded("service:labelstream_outbox_oldest_seconds:max"), "{{service}}"),),
            "s",
        ),
        Panel(
            "Published per second",
            "Records handed to the outbox or to Kafka.",
            ((total("labelstream_published_records_total", over="rate", by="service"), "{{service}}"),),
            "ops",
        ),
        Panel(
            "Rebalances and failed jobs",
            "Partitions assigned anew, and periodic jobs that failed, over the interval.",
            (
                (total("labelstream_rebalances_total", over="increase", by="service"), "{{service}} rebalances"),
                (total("labelstream_job_failures_total", over="increase", by="service"), "{{service}} failed jobs"),
            ),
        ),
    ),
)  # fmt: skip
PROMISES = Row(
    "Objectives",
    tuple(
        Panel(
            f"Bad share: {each.name.replace('_', ' ')}",
            f"Of this objective, over an hour; {each.allowed:g} is allowed.",
            ((recorded(ratio(each, "1h")), " ".join(f"{{{{{label}}}}}" for label in each.level.split("_"))),),
            "percentunit",
            width=8,
            height=6,
        )
        for each in OBJECTIVES
    ),
)
PEOPLE = Row(
    "People and the API",
    (
        people_present(),
        Panel(
            "Calls per second",
            "Calls of annotators' API, by route.",
            ((total("labelstream_assignment_request_seconds_count", over="rate", by="route"), "{{route}}"),),
            "ops",
            width=10,
        ),
        Panel(
            "Time per call",
            "Median and 95th percentile, by route.",
            quantiles("labelstream_assignment_request_seconds", "route", "{{route}}", flow=False),
            "s",
            width=10,
        ),
        Panel(
            "Leases",
            "Tasks given to people, and those that ran out, per second.",
            (
                (
                    total("labelstream_assignment_leases_total", OWN, over="rate", by="project, event"),
                    "{{project}} {{event}}",
                ),
            ),
            "ops",
        ),
    ),
)
MODELS = Row(
    "Models",
    (
        Panel(
            "Time per model call",
            "Median and 95th percentile of one call of ONNX Runtime.",
            quantiles("labelstream_prelabel_model_call_seconds", "", "", flow=False),
            "s",
        ),
        Panel(
            "Rows per model call",
            "How full the batches are.",
            ((ROWS, "rows"),),
        ),
        Panel(
            "Generation that serves",
            "Counts the swaps of the live model.",
            ((total("labelstream_prelabel_model_generation", OWN).replace("sum", "max", 1), "{{project}}"),),
        ),
        Panel(
            "Labels since the last training",
            "What a next training would have on top.",
            ((total("labelstream_trainer_labels_since_training", OWN).replace("sum", "max", 1), "{{project}}"),),
        ),
    ),
)  # fmt: skip
ANNOTATORS = Row(
    "Annotators",
    (
        Panel(
            "Skills",
            "Annotators whose skill was measured, by their accuracy.",
            ((f"sum by (accuracy) ({one('labelstream_annotators')})", "{{accuracy}}"),),
            kind="bars",
        ),
        number(
            "In quarantine", "Annotators in quarantine.", f"sum({one('labelstream_annotators_quarantined')})", warn=1
        ),
        Panel(
            "Classes that people agree least on",
            "Gwet's AC1 of a class against the rest; the lowest are ambiguous.",
            ((f"bottomk(10, {one('labelstream_class_agreement_ac1')})", "{{project}} {{class}}"),),
            kind="bars",
            width=8,
            most=1,
        ),
    ),
)
WORTH = Row(
    "What labels cost and are worth",
    (
        AGREEMENT,
        GOLD,
        AUDITS,
        Panel(
            "Audits in the window",
            "How many blind labels the accuracy beside stands on.",
            ((one("labelstream_audited_labels"), "{{project}} {{model_version}}"),),
        ),
        Panel(
            "Calibration error",
            "Debiased gap between the posteriors of labels and how often they are right.",
            ((one("labelstream_calibration_error_ratio"), "{{project}} {{against}}"),),
            "percentunit",
        ),
        Panel(
            "Certificate",
            "1 while the model's proposals may be accepted without a person; and from which confidence.",
            (
                (one("labelstream_certificate_granted"), "{{project}} granted"),
                (one("labelstream_certificate_threshold_ratio"), "{{project}} threshold"),
                (one("labelstream_certificate_breached"), "{{project}} {{class}} breached"),
            ),
        ),
        COST,
        Panel(
            "Opinions per accepted label",
            "Answers that a label of six hours took, by path. One given again without asking is no label more.",
            ((recorded("project_path:labelstream_label_opinions:per_label_increase6h", OWN), "{{project}} {{path}}"),),
        ),
        DISAGREEMENT,
        Panel(
            "Anchoring on the model's proposals",
            "By how much more of people's answers equal the proposal where they see it. Above 0: they lean on it.",
            ((one("labelstream_anchoring_ratio"), "{{project}}"),),
            "percentunit",
        ),
        Panel(
            "Relabel requests",
            "Asked for by monitor, per second, by cause.",
            ((one("labelstream_relabels_total", over="rate"), "{{project}} {{cause}}"),),
            "ops",
        ),
        Panel(
            "Relabel budget left",
            "Relabel requests that monitor may still make in the rolling 24 hours.",
            ((one("labelstream_relabel_budget_remaining"), "{{project}}"),),
        ),
    ),
)
WATCHED = Row(
    "Evidence",
    (
        EVIDENCE,
        SHARE,
        Panel(
            "Detectors",
            "Of all signals, slices and annotators. While a reference is learned, only large changes are found.",
            ((f"sum by (project, state) ({one('labelstream_drift_detectors')})", "{{project}} {{state}}"),),
            stacked=True,
        ),
        Panel(
            "False alarms to expect",
            "Per 100,000 events at most, of all detectors of a project together, while nothing changes.",
            ((f"100000 * {one('labelstream_drift_false_alarm_ratio')}", "{{project}}"),),
        ),
    ),
)
ALARMS = Row(
    "Alarms",
    (
        Panel(
            "Open alarms",
            "About drift, by severity. monitor tests for it with its false alarms controlled.",
            ((one("labelstream_alarms_open"), "{{project}} {{severity}}"),),
            stacked=True,
        ),
        SUREST,
        Panel(
            "Distance from the reference",
            "Total variation distance of the largest open alarm, by signal.",
            ((one("labelstream_alarm_distance_ratio"), "{{project}} {{signal}}"),),
            "percentunit",
            most=1,
        ),
        SUSPECTS,
        Panel(
            "Items since the change",
            "Of the open alarm with most, by signal.",
            ((one("labelstream_alarm_affected_items"), "{{project}} {{signal}}"),),
        ),
        DISAGREEMENT,
    ),
)
BOARDS = (
    Board(
        "labelstream-operators",
        "Labelstream: operators",
        "Is everything moving: flow, lag, latency, dead letters, objectives, the API, models.",
        (OVERVIEW, FLOW, DELIVERY, LATENCY, PROMISES, PEOPLE, MODELS),
    ),
    Board(
        "labelstream-quality",
        "Labelstream: quality",
        "What labels are worth and cost: accuracy, agreement, gold, audits, skills, ambiguous classes, objects, cost.",
        (ACCURACY, WORTH, ANNOTATORS, CLASSES, OBJECTS),
        since="now-24h",
    ),
    Board(
        "labelstream-drift",
        "Labelstream: drift",
        "What has moved, how surely, how far, and what is suspected. Who and which items: monitor's status page.",
        (ALARMS, WATCHED, CLASSES, OBJECTS),
        since="now-24h",
    ),
    Board(
        "labelstream-project",
        "Labelstream: project",
        "One project: its flow, its latency, its quality, its alarms.",
        (OVERVIEW, FLOW, LATENCY, CLASSES, ACCURACY, Row("Quality", (AGREEMENT, GOLD, AUDITS, COST)), OBJECTS,
         Row("Drift", (SHARE, SUSPECTS))),
        choice="one",
        since="now-6h",
    ),
)  # fmt: skip
