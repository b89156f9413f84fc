"""The rules of Grafana's dashboard-linter (its docs/rules), on the dashboards as they are committed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.models import units

from tests.support.promql import matched, nodes, parsed, selectors

BOARDS = sorted((Path(__file__).parents[2] / "deploy/grafana/dashboards").glob("*.json"))
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COUNTERS = ("_total", "_bucket", "_count", "_sum")
RATES = {"rate", "increase", "irate"}
UNITS = {value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_")}
WIDTH = 24


@pytest.fixture(params=BOARDS, ids=lambda path: str(path.stem))
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (one for one in board["templating"]["list"] if one["name"] == name)
    return dict(found)


def test_all_four_are_there() -> None:
    assert [path.stem for path in BOARDS] == ["drift", "operators", "project", "quality"]
    assert len({json.loads(path.read_text())["uid"] for path in BOARDS}) == len(BOARDS)


def test_there_is_one_data_source_and_it_is_a_variable(board: dict[str, Any]) -> None:
    """template-datasource-rule, panel-datasource-rule."""
    sources = [one["name"] for one in board["templating"]["list"] if one["type"] == "datasource"]
    assert sources == ["datasource"]
    assert variable(board, "datasource")["query"] == "prometheus"
    for panel in panels(board):
        assert panel["datasource"] == DATASOURCE, panel["title"]
        assert all(target["datasource"] == DATASOURCE for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", ["job", "instance"])
def test_what_to_look_at_is_chosen(board: dict[str, Any], name: str) -> None:
    """template-job-rule, template-instance-rule, template-on-time-change-reload-rule."""
    found = variable(board, name)
    assert (found["multi"], found["includeAll"], found["allValue"], found["refresh"]) == (True, True, ".+", 2)
    assert found["datasource"] == DATASOURCE
    assert found["query"]["query"] == f"label_values(up, {name})"


def test_the_project_is_chosen_where_the_board_speaks_of_projects(board: dict[str, Any]) -> None:
    used = any("$project" in expression for _, expression in expressions(board))
    named = [one["name"] for one in board["templating"]["list"]]
    assert ("project" in named) == used
    assert variable(board, "project")["multi"] == (board["uid"] != "labelstream-project")


def test_panels_say_what_they_show_in_which_unit(board: dict[str, Any]) -> None:
    """panel-title-description-rule, panel-units-rule, panel-no-targets-rule."""
    for panel in panels(board):
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"], panel["title"]


def test_every_expression_is_promql(board: dict[str, Any]) -> None:
    """target-promql-rule."""
    for title, expression in expressions(board):
        assert parsed(expression) is not None, title


def test_variables_ask_for_labels_of_series(board: dict[str, Any]) -> None:
    """template-label-promql-rule."""
    asked = [one for one in board["templating"]["list"] if one["type"] == "query"]
    assert asked
    for one in asked:
        match = re.fullmatch(r"label_values\((.+), ([a-z_]+)\)", one["query"]["query"])
        assert match is not None, one["name"]
        assert isinstance(parsed(match[1]), promql_parser.VectorSelector), one["name"]
        assert one["label"], one["name"]


def test_series_are_narrowed_by_job_and_instance(board: dict[str, Any]) -> None:
    """target-job-rule, target-instance-rule; recorded series have no instance."""
    for title, expression in expressions(board):
        for selector, _ in selectors(expression):
            recorded = ":" in selector.name
            assert matched(selector) >= ({"job"} if recorded else {"job", "instance"}), f"{title}: {selector.name}"


def test_ranges_are_those_of_the_panel(board: dict[str, Any]) -> None:
    """target-rate-interval-rule."""
    for title, expression in expressions(board):
        ranges = expression.split("[")[1:]
        assert all(each.startswith("$__rate_interval]") for each in ranges), title


def test_counters_are_rated_before_anything_else(board: dict[str, Any]) -> None:
    """target-counter-agg-rule."""
    for title, expression in expressions(board):
        for selector, above in selectors(expression):
            if selector.name.endswith(COUNTERS) and ":" not in selector.name:
                nearest = next(node for node in reversed(above) if not isinstance(node, promql_parser.MatrixSelector))
                assert isinstance(nearest, promql_parser.Call), title
                assert nearest.func.name in RATES, title


def test_what_is_not_a_counter_is_not_rated(board: dict[str, Any]) -> None:
    for title, expression in expressions(board):
        for node, _ in nodes(parsed(expression)):
            if isinstance(node, promql_parser.Call) and node.func.name in RATES:
                (matrix,) = node.args
                assert matrix.vector_selector.name.endswith(COUNTERS), title


def test_nobody_changes_it_by_hand_and_boards_lead_to_each_other(board: dict[str, Any]) -> None:
    """uneditable-dashboard."""
    assert board["editable"] is False
    assert board["uid"] == f"labelstream-{board['title'].removeprefix('Labelstream: ')}"
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["includeVars"]) == ("dashboards", board["tags"], True)


def test_panels_lie_side_by_side_and_are_numbered(board: dict[str, Any]) -> None:
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= WIDTH, panel["title"]
        taken |= cells
