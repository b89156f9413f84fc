"""A project file is refused with the line of each mistake, and accepted exactly as written."""

import pytest

from cli.project.loader import ProjectFileError, loads
from cli.project.yamltree import MAX_BYTES
from shared.events import Action

GOOD = """\
project: digits
data: features
label:
  kind: choice
  classes: ["0", "1"]
policy:
  auto_accept: {threshold: 0.95}
  overlap: {min: 1, max: 3}
rules:
  - name: too-fast
    collect: {what: seconds_per_answer, over: 30}
    when: {below: 1.5, after: 20}
    then: {do: pause, for_s: 600}
  - name: copies
    collect: {what: proposal_copying}
    when: {above: 0.3}
    then: {do: flag}
sources:
  - name: shop
    topic: shop.events
    map: {id: id, features: "x.y"}
"""


def mistakes(text: str | bytes) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ProjectFileError) as caught:
        loads(text.encode() if isinstance(text, str) else text)
    return [(one.place.line, one.place.column, one.path, one.message) for one in caught.value.mistakes]


def test_a_good_file_is_read_as_it_stands() -> None:
    spec = loads(GOOD.encode())
    assert spec.project == "digits"
    assert spec.policy.overlap.max == 3
    assert [(rule.name, rule.then.do, rule.collect.over) for rule in spec.rules] == [
        ("too-fast", Action.PAUSE, 30), ("copies", Action.FLAG, 50),
    ]  # fmt: skip
    assert spec.sources[0].map.features == "x.y"


@pytest.mark.parametrize(
    ("before", "after", "place", "path", "says"),
    [
        ("project: digits", "project: Digits", (1, 10), "project", "lower-case"),
        ("data: features", "data: featurs", (2, 7), "data", "should be 'text', 'features'"),
        ('["0", "1"]', '["0", 1]', (5, 18), "label.classes[1]", 'write it in quotes: "1"'),
        ('["0", "1"]', '["0", no]', (5, 18), "label.classes[1]", 'write it in quotes: "no"'),
        ('["0", "1"]', '["0", "0"]', (4, 3), "label", "holds a name twice"),
        ("kind: choice", "kind: chioce", (4, 3), "label", "did you mean 'choice'?"),
        ("{threshold: 0.95}", "{treshold: 0.95}", (7, 16), "policy.auto_accept.threshold", "is missing"),
        ("{min: 1, max: 3}", "{min: 4, max: 3}", (8, 12), "policy.overlap", "max 3 is below min 4"),
        ("  overlap:", "  overlp:", (8, 3), "policy.overlp", "did you mean 'overlap'?"),
        ('"x.y"', '"x.["', (21, 29), "sources[0].map.features", "not a JMESPath expression"),
        ("topic: shop", "tpoic: shop", (20, 5), "sources[0].tpoic", "did you mean 'topic'?"),
        (
            "seconds_per_answer",
            "seconds_per_anser",
            (11, 21),
            "rules[0].collect.what",
            "should be 'seconds_per_answer'",
        ),
        ("after: 20", "after: 31", (10, 5), "rules[0]", "more than collect.over 30"),
        ("below: 1.5, ", "", (12, 11), "rules[0].when", "exactly one of below and above"),
        ("above: 0.3", "above: 3", (14, 5), "rules[1]", "is a share from -1 to 1"),
        ("do: pause", "do: stop", (13, 16), "rules[0].then.do", "should be 'flag', 'pause'"),
        ("name: copies", "name: too-fast", (1, 1), "", "two rules have the name 'too-fast'"),
        ("data: features", "data: features\ndata: text", (3, 1), "data", "given twice (first in line 2)"),
        ("  kind: choice", "\tkind: choice", (4, 1), "", "a tab"),
    ],
)
def test_each_mistake_has_its_line(before: str, after: str, place: tuple[int, int], path: str, says: str) -> None:
    found = mistakes(GOOD.replace(before, after, 1))
    assert any(((line, column), at) == (place, path) and says in message for line, column, at, message in found), found


def test_all_mistakes_are_reported_at_once_in_order() -> None:
    found = mistakes(GOOD.replace("digits", "Digits").replace("overlap", "overlp").replace("x.y", "x.["))
    assert [line for line, *_ in found] == [1, 8]  # expressions are judged once the rest is right


def test_an_alias_bomb_is_refused_quickly() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "more than 50000 values" in mistakes("\n".join(rows))[0][3]


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", 1, "empty"),
        (b"- a", 1, "is a mapping"),
        (b"a: 1\n---\nb: 2", 2, "second document"),
        (b"a: 1\nb: \xff", 2, "not UTF-8"),
        (b'a: "\x01"', 1, "U+0001"),
        (b"a: !!python/object:os.system x", 1, "could not determine a constructor"),
        (b"[" * 5000, 1, "nested"),
        (b"a: &a\n  b: *a", 1, "levels"),
        (b"a: [1,", 1, "not YAML"),
        (b"<<: {a: 1}", 1, "merge keys"),
        (b"? [a, b]\n: 1", 1, "a key must be one word"),
        (b"a" * (MAX_BYTES + 1), 1, "make it smaller"),
    ],
)
def test_what_is_not_a_project_file_is_refused_with_its_line(content: bytes, line: int, says: str) -> None:
    first = mistakes(content)[0]
    assert first[0] == line
    assert says in first[3]
