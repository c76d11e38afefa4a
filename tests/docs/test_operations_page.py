"""docs/operations.md explains every stage and every metric of ours, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from api_client import serving
from app.stages import STAGES
from app.usecases.score_drift import N_RECENT, N_REFERENCE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, set[str]]:
    """First column -> the names in the second, of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| `(\w+)` \|(.*?)\|", section, flags=re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", second)) for name, second in cells}


def test_the_stages_are_explained_in_their_order() -> None:
    assert list(rows("Where the time goes")) == [*STAGES, "total"]


def test_the_metrics_are_explained_with_their_labels() -> None:
    with serving() as client:
        client.get("/livez")
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    found: dict[str, set[str]] = {}
    for family in families:
        if family.name.startswith("vouch_") and not family.name.endswith("_created"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    assert rows("Metrics") == found


def test_the_windows_of_the_drift_are_those_of_the_code() -> None:
    assert f"of the last {N_RECENT} decided trials of a call against the first {N_REFERENCE} since the start" in PAGE
    assert f"until there are {N_RECENT + N_REFERENCE} trials" in PAGE


def test_the_queries_ask_for_metrics_that_there_are() -> None:
    queries = re.findall(r"```promql\n(.*?)```", PAGE, flags=re.DOTALL)
    asked_for = set(re.findall(r"vouch_\w+", " ".join(queries)))
    assert asked_for
    assert {name.removesuffix("_bucket") for name in asked_for} <= set(rows("Metrics"))
