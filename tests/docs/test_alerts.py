"""deploy/alerts.yml asks for metrics, labels and values that there are, and the operations page explains each alert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import fake_audio
from api_client import enroll, serving
from app.api.problems import KINDS
from app.main import create_app
from app.usecases.agreement import LOOK_EVERY_S
from model.decision import Outcome

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
OURS = re.compile(r"\bvouch_\w+")
MATCHER = re.compile(r'(\w+)=~?"([^"]*)"')
SECONDS = {"m": 60, "h": 3600}
OF_THE_SERVER = {"job", "instance"}
"""Labels that Prometheus itself adds to whatever it scrapes."""


def exported() -> dict[str, set[str]]:
    """Every sample of a service that has served, with its labels."""
    found: dict[str, set[str]] = {}
    with serving() as client:
        enroll(client, "alice")
        for family in text_string_to_metric_families(client.get("/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def allowed(label: str) -> set[str] | None:
    """The values of a label that is one of few; None where it is not."""
    paths = create_app(fake_audio.settings(), fake_audio.components()).openapi()["paths"]
    known = {
        "code": set(KINDS),
        "route": set(paths),
        "decision": set(get_args(Outcome)),
        "call": {"compare", "verify", "identify"},
        "status": {"200", *(str(kind.status) for kind in KINDS.values())},
        "method": {"GET", "POST", "PATCH", "DELETE"},
        "job": {"vouch"},
    }
    return known.get(label)


def test_there_are_alerts_and_no_two_of_one_name() -> None:
    assert len(RULES) == sum(len(group["rules"]) for group in GROUPS) > 10


@pytest.mark.parametrize("name", RULES)
def test_an_alert_is_whole(name: str) -> None:
    rule = RULES[name]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Vouch[A-Za-z]+", name)
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
    for opening, closing in ("()", "[]", "{}"):
        assert rule["expr"].count(opening) == rule["expr"].count(closing)


def test_every_metric_and_label_that_is_asked_for_is_there() -> None:
    found = exported()
    for name, rule in RULES.items():
        asked_for = set(OURS.findall(rule["expr"]))
        assert asked_for or rule["expr"].startswith("up{"), name
        assert asked_for <= set(found), name
        labels = set().union(*(found[metric] for metric in asked_for)) | OF_THE_SERVER
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in by.split(",")}
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        for label in grouped | shown | {label for label, _ in MATCHER.findall(rule["expr"])}:
            assert label in labels, f"{name}: {label}"
        if grouped:
            assert shown <= grouped, f"{name}: the sum has no other labels"
        for label, value in MATCHER.findall(rule["expr"]):
            assert value in (allowed(label) or ()), f"{name}: {label}={value}"


def test_an_alert_waits_for_what_puts_itself_right() -> None:
    """A gallery that differs is found by one look and put right by the next."""
    number, unit = re.fullmatch(r"(\d+)([mh])", RULES["VouchGalleryDiffers"]["for"]).groups()  # type: ignore[union-attr]
    assert int(number) * SECONDS[unit] > 2 * LOOK_EVERY_S


def test_the_page_says_what_to_do_on_each_and_of_no_other() -> None:
    section = PAGE.partition("\n## Alerts worth having\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(Vouch\w+)` \|", section, flags=re.MULTILINE) == list(RULES)
