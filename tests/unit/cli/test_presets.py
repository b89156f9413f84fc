"""Presets: ordinary policies to begin with, and what a project file makes of them."""

import pytest

from cli.project import presets
from cli.project.loader import ProjectFileError, loads
from shared.events import ProjectSpec

HEAD = """\
project: digits
data: features
label: {kind: choice, classes: ["0", "1"]}
"""


def read(rest: str) -> ProjectSpec:
    return loads((HEAD + rest).encode())


def refused(rest: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ProjectFileError) as caught:
        read(rest)
    return [(one.place.line, one.path, one.message) for one in caught.value.mistakes]


def test_the_five_presets_are_there_and_each_says_what_it_is() -> None:
    assert presets.names() == ("active_learning", "ai_assisted", "crowdsourced", "full_manual", "random")
    for name in presets.names():
        policy = presets.policy_of(name)
        assert policy.preset == name
        assert len(presets.about(name)) > 40
        assert read(f"policy: {{preset: {name}}}\n").policy == policy
    with pytest.raises(KeyError):
        presets.policy_of("semi_manual")


def test_what_the_presets_stand_for() -> None:
    manual, assisted, crowd, active, drawn = (
        presets.policy_of(name) for name in ("full_manual", "ai_assisted", "crowdsourced", "active_learning", "random")
    )
    assert manual.auto_accept is None
    assert (manual.overlap.min, manual.overlap.max) == (3, 3)
    assert not manual.consensus.prediction
    assert manual.blind_share == 1.0
    for one in (assisted, active):
        assert one.auto_accept is not None
        assert one.auto_accept.guarantee is not None  # never by the threshold alone
        assert one.overlap.min == 1 < one.overlap.max
        assert one.consensus.prediction
    assert crowd.auto_accept is None
    assert (crowd.overlap.min, crowd.overlap.max, crowd.experts) == (2, 7, False)
    assert crowd.target_posterior > 0.97
    assert crowd.gold.share > assisted.gold.share
    same = active.model_dump(exclude={"preset", "order"})
    assert same == drawn.model_dump(exclude={"preset", "order"})  # but for the order of the queue


def test_overrides_are_laid_over_a_preset_at_every_level() -> None:
    spec = read("policy: {preset: ai_assisted, overlap: {max: 5}, auto_accept: {guarantee: {target_error: 0.01}}}\n")
    preset = presets.policy_of("ai_assisted")
    assert (spec.policy.overlap.min, spec.policy.overlap.max) == (1, 5)
    assert spec.policy.auto_accept is not None
    assert preset.auto_accept is not None
    assert spec.policy.auto_accept.guarantee is not None
    assert preset.auto_accept.guarantee is not None
    assert spec.policy.auto_accept.guarantee.target_error == 0.01
    assert spec.policy.auto_accept.guarantee.starting_share == preset.auto_accept.guarantee.starting_share
    assert spec.policy.auto_accept.threshold == preset.auto_accept.threshold
    assert spec.policy == presets.policy_of(
        "ai_assisted", overlap={"max": 5}, auto_accept={"guarantee": {"target_error": 0.01}}
    )
    assert read("policy: {preset: ai_assisted, auto_accept: null}\n").policy.auto_accept is None


def test_a_slice_has_the_projects_policy_its_presets_and_its_own_word_in_this_order() -> None:
    spec = read(
        "policy: {preset: ai_assisted, target_posterior: 0.9, lease_s: 60, consensus: {method: one-coin}}\n"
        "slices:\n"
        "  - {name: medical, when: {metadata: {domain: [medical, legal]}}, policy: {preset: full_manual}}\n"
        "  - {name: cheap, when: {source: shop}, policy: {overlap: {max: 2}}}\n"
        "  - {name: crowd, when: {metadata: {domain: chat}}, policy: {preset: crowdsourced, overlap: {max: 4}}}\n"
    )
    medical, cheap, crowd = (spec.policy_of(name) for name in ("medical", "cheap", "crowd"))
    assert (medical.preset, medical.overlap.min, medical.auto_accept) == ("full_manual", 3, None)
    assert (medical.consensus.method, medical.consensus.prediction) == ("one-coin", False)
    assert medical.gold == cheap.gold == crowd.gold == spec.policy.gold  # of the whole project
    assert medical.lease_s == 60
    assert (cheap.preset, cheap.overlap.max, cheap.target_posterior) == (None, 2, 0.9)
    assert cheap.auto_accept == spec.policy.auto_accept == spec.guaranteed
    assert (crowd.preset, crowd.overlap.min, crowd.overlap.max) == ("crowdsourced", 2, 4)
    assert spec.policy_of("gone") is spec.policy is spec.policy_of(None)


def test_mistakes_in_presets_and_slices_are_named_with_their_lines() -> None:
    assert refused("policy: {preset: full_manul}\n") == [
        (4, "policy.preset", "there is no preset 'full_manul'; did you mean 'full_manual'?")
    ]
    ((line, path, message),) = refused("policy: {preset: full_manual, overlap: {min: 4}}\n")
    assert (line, path) == (4, "policy.overlap")
    assert "max 3 is below min 4" in message
    head = "slices:\n  - name: a\n    when: {metadata: {x: 1}}\n    policy: "
    ((line, path, _),) = refused(head + "{preset: 7}\n")
    assert (line, path) == (7, "slices[0].policy.preset")
    ((line, path, _),) = refused(head + "{overlapp: {max: 2}}\n")
    assert (line, path) == (7, "slices[0].policy.overlapp")
    ((_, _, message),) = refused(head + "{lease_s: 3}\n")
    assert "'a' has its own lease_s" in message
    guarantee = "{auto_accept: {threshold: 0.9, guarantee: {target_error: 0.01}}}\n"
    ((_, _, message),) = refused("policy: {preset: ai_assisted}\n" + head + guarantee)
    assert "must ask for the same" in message
    assert refused(head.replace("{metadata: {x: 1}}", "{}") + "{}\n")[0][1] == "slices[0].when"
    assert refused("policy: 3\n")[0][1] == "policy"
    assert refused("slices: [3]\n")[0][1] == "slices[0]"
