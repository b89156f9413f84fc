"""Rows that more than one dashboard shows."""

from cli.docs.dashboards.panels import OWN, Panel, Row, number, one, quantiles, recorded, total


def items(states: str) -> str:
    series = recorded("project_state:labelstream_items:max", f'{OWN}, state=~"{states}"')
    return f"sum({series})"


UNLABELLED = recorded("project_state:labelstream_items:max", OWN + ', state!="labelled"')
OVERVIEW = Row(
    "Overview",
    (
        number("Items", "Items known to the flow.", items(".+")),
        number("Labelled", "Items whose latest round ended in a label.", items("labelled")),
        number("Open", "Items that wait for a model or for people.", items("awaiting_.+|queued|superseded")),
        number("Blocked", "Items that nobody present may answer.", items("blocked"), warn=1),
        number(
            "Labels per second",
            "Accepted labels of all paths.",
            f"sum({recorded('project_path:labelstream_labels:rate5m', OWN)})",
            "ops",
        ),
        number(
            "Open alarms",
            "Alarms about drift that are open.",
            f"sum({one('labelstream_alarms_open')})",
            warn=1,
        ),
    ),
)
FLOW = Row(
    "Flow",
    (
        Panel(
            "Items by state",
            "Where the items are. Labelled ones are left out: they only grow.",
            ((f"sum by (state) ({UNLABELLED})", "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Labels per second by path",
            "Accepted labels: by the model alone, one person, several, an expert.",
            ((f"sum by (path) ({one('labelstream_labels_total', over='rate')})", "{{path}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Predictions per second by outcome",
            "Proposals, and why the model abstained.",
            ((f"sum by (outcome) ({one('labelstream_predictions_total', over='rate')})", "{{outcome}}"),),
            "ops",
            stacked=True,
        ),
        Panel(
            "Assignments per second by outcome",
            "How leases ended: answered, skipped, or nobody left; gold and late answers apart.",
            ((f"sum by (outcome, lane) ({one('labelstream_annotations_total', over='rate')})",
              "{{outcome}}, {{lane}}"),),
            "ops",
            stacked=True,
        ),
    ),
)  # fmt: skip
LATENCY = Row(
    "Latency",
    (
        Panel(
            "Item to prediction",
            "From an item's creation to its first prediction, by the times in the events.",
            quantiles("labelstream_item_prediction_latency_seconds", "", "", flow=True),
            "s",
        ),
        Panel(
            "Item to label",
            "From an item's creation to its label, by path.",
            quantiles("labelstream_item_label_latency_seconds", "path", "{{path}}", flow=True),
            "s",
        ),
    ),
)
CLASSES = Row(
    "Classes",
    tuple(
        Panel(
            f"Class mix of {of}",
            about,
            ((one("labelstream_class_share_ratio", f'{OWN}, of="{of}"'), "{{project}} {{class}}"),),
            "percentunit",
            stacked=True,
            most=1,
        )
        for of, about in (
            ("predictions", "Share of each class in the first proposals of the window."),
            ("labels", "Share of each class in the labels of the window, however they came about."),
        )
    ),
)


def accurate(of: str, title: str, about: str) -> Panel:
    """Accuracy with both ends of its interval."""
    matchers = f'{OWN}, of="{of}"'
    series = (("accuracy_low", " from"), ("accuracy", ""), ("accuracy_high", " to"))
    legend = "{{project}} {{name}} by {{basis}}"
    return Panel(
        title,
        about,
        tuple((one(f"labelstream_{name}_ratio", matchers), legend + end) for name, end in series),
        "percentunit",
        most=1,
    )


ACCURACY = Row(
    "Accuracy",
    (
        accurate(
            "path",
            "Accuracy of live labels by path",
            "With a 95 % interval, over a rolling week: the model alone by blind audits, others by gold or experts.",
        ),
        accurate(
            "model",
            "Accuracy of models",
            "With a 95 % interval, over a rolling week: by people's labels, weighted by inclusion probability.",
        ),
        Panel(
            "Calibration error of models",
            "Debiased gap between a model's confidence and how often people agree, over a rolling week.",
            ((one("labelstream_model_calibration_error_ratio"), "{{project}} {{model_version}}"),),
            "percentunit",
        ),
    ),
)


def with_interval(
    name: str, by: str = "model_version", matchers: str = OWN, *, unit: str = "_ratio"
) -> tuple[tuple[str, str], ...]:
    """A figure, by one more label than the project, and both ends of its 95 % interval."""
    ends = (("_low", " from"), ("", ""), ("_high", " to"))
    legend = f"{{{{project}}}} {{{{{by}}}}}"
    return tuple((one(f"labelstream_{name}{end}{unit}", matchers), legend + said) for end, said in ends)


OBJECTS = Row(
    "Objects and words",
    (
        Panel(
            "Objects per item",
            "Spans, boxes, polygons, masks, segments or tracks of a prediction or label in the window, the mean; 95 %.",
            with_interval("objects_per_item", "of", unit=""),
        ),
        Panel(
            "Extent disagreement",
            "1 - intersection over union of people's objects and the model's, the mean over those that are matched.",
            with_interval("extent_disagreement"),
            "percentunit",
        ),
        *(
            Panel(
                f"Class mix of objects in {of}",
                "Share of each class in the objects of the window, with a 95 % interval in which items are the trials.",
                with_interval("object_class_share", "class", f'{OWN}, of="{of}"'),
                "percentunit",
                most=1,
            )
            for of in ("predictions", "labels")
        ),
        Panel(
            "Word error rate",
            "Of the model's transcripts, against people's blind audits in the window.",
            with_interval("word_error"),
            "percentunit",
        ),
    ),
)  # fmt: skip
AGREEMENT = Panel(
    "Agreement of annotators",
    "Share of equal pairs of opinions, and the same corrected for chance. Where one class rules, alpha falls.",
    (
        (one("labelstream_agreement_ratio"), "{{project}} percent"),
        (one("labelstream_agreement_alpha"), "{{project}} alpha"),
        (one("labelstream_agreement_ac1"), "{{project}} AC1"),
    ),
    "percentunit",
    most=1,
)
GOLD = Panel(
    "Gold answered right",
    "Share of answers to gold items that were right, over six hours.",
    ((recorded("project:labelstream_gold_answers:ratio_increase6h", OWN), "{{project}}"),),
    "percentunit",
    most=1,
)
AUDITS = Panel(
    "Audit accuracy",
    "Share of what the model would have had accepted that people's blind labels confirm, in the window; with its 95 %.",
    with_interval("audit_agreement"),
    "percentunit",
    most=1,
)
COST = Panel(
    "Cost per accepted label",
    "Of the labels of six hours, by path, in the project's currency.",
    ((recorded("project_path:labelstream_label_cost:per_label_increase6h", OWN), "{{project}} {{path}}"),),
)
DISAGREEMENT = Panel(
    "Disagreement of people with the model",
    "Share of people's labels in the window that differ from the proposal. Not a sample of the traffic.",
    ((one("labelstream_disagreement_ratio"), "{{project}} {{model_version}}"),),
    "percentunit",
    most=1,
)
SURE = one("labelstream_drift_evidence_nats")
NEAR = one("labelstream_drift_limit_nats")
EVIDENCE = Panel(
    "Evidence of drift",
    "Natural logarithm of the evidence against the reference, of each signal's surest detector, and its limit.",
    ((SURE, "{{project}} {{signal}}"), (NEAR, "{{project}} {{signal}}, limit")),
)
SHARE = Panel(
    "Evidence as a share of its limit",
    "How far each signal's surest detector is on the way to an alarm: at 100 % it alarms, also while none is open.",
    ((f"{SURE} / {NEAR}", "{{project}} {{signal}}"),),
    "percentunit",
    most=1,
)
SUREST = Panel(
    "Evidence of open alarms",
    "Natural logarithm of the e-value of the surest open alarm; 13.8 is a million to one.",
    ((one("labelstream_alarm_evidence_nats"), "{{project}} {{signal}}"),),
)
SUSPECTS = Panel(
    "Suspects",
    "Score of the likeliest suspect of open alarms, by what kind of thing it is.",
    ((one("labelstream_alarm_suspect_ratio"), "{{project}} {{signal}}: {{dimension}}"),),
    "percentunit",
    "bars",
    most=1,
)


def people_present() -> Panel:
    return number("People present", "People who may work and were seen of late.",
                  f"max({total('labelstream_assignment_people_present')})")  # fmt: skip
