"""Applying a project file: the next version, what changed, and nothing when nothing did."""

from datetime import UTC, datetime

from cli.project.versions import ABSENT, Change, ProjectHistory, closes_rounds, compare, fold, plan
from shared.events import Overlap, Policy, ProjectPointer, ProjectSpec, ProjectVersion
from shared.labels import ChoiceSchema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = ProjectSpec(project="p", data="text", label=ChoiceSchema(classes=("a", "b")))
WIDER = SPEC.model_copy(update={"policy": Policy(overlap=Overlap(min=2, max=5))})


def applied(history: ProjectHistory, spec: ProjectSpec) -> ProjectHistory:
    made = plan(history, spec, now=NOW)
    assert made.pointer is not None
    return fold([*history.versions.values(), made.version, made.pointer])["p"]


def test_versions_count_from_one_and_the_same_spec_changes_nothing() -> None:
    first = applied(ProjectHistory("p"), SPEC)
    assert first.current is not None
    assert first.current.version == 1
    assert plan(first, SPEC, now=NOW).unchanged
    second = applied(first, WIDER)
    assert second.current is not None
    assert second.current.version == 2
    assert plan(second, SPEC, now=NOW).version.version == 3  # going back is a version of its own


def test_a_pause_survives_a_new_version() -> None:
    first = applied(ProjectHistory("p"), SPEC)
    paused = ProjectPointer(project_id="p", version=1, paused=True, applied_at=NOW)
    history = fold([*first.versions.values(), paused])["p"]
    made = plan(history, WIDER, now=NOW)
    assert made.pointer is not None
    assert made.pointer.paused


def test_changes_name_the_path_in_the_file() -> None:
    assert compare(SPEC, WIDER) == (Change("policy.overlap.max", "3", "5"), Change("policy.overlap.min", "1", "2"))
    assert Change("label.classes", ABSENT, "a, b") in compare(None, SPEC)


def test_a_removed_class_is_told() -> None:
    renamed = SPEC.model_copy(update={"label": ChoiceSchema(classes=("a", "c"))})
    assert closes_rounds(SPEC, renamed) == ("b",)
    assert closes_rounds(None, renamed) == ()


def test_a_version_without_its_pointer_is_not_current() -> None:
    history = fold([ProjectVersion(project_id="p", version=1, spec=SPEC, applied_at=NOW)])["p"]
    assert history.current is None
