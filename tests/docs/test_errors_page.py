"""docs/errors.md is the table of problems, and the table has every error of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.api.problems import KINDS
from app.errors import SettingsError
from model.errors import BundleError, VouchError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
STOP_THE_START = {BundleError.code, SettingsError.code}
"""No caller can meet these: a service that has one does not serve."""


def errors_below(parent: type[VouchError]) -> Iterator[type[VouchError]]:
    for error in parent.__subclasses__():
        if error.__module__ in ("model.errors", "app.errors"):
            yield error
            yield from errors_below(error)


def test_the_page_is_the_table() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [f"| `{kind.code}` | {kind.status} | {kind.meaning} |" for kind in KINDS.values()]


def test_every_error_has_its_place_in_the_table() -> None:
    codes = {error.code for error in errors_below(VouchError)}
    framework = {"not_found", "method_not_allowed"}
    assert set(KINDS) == (codes - STOP_THE_START) | framework


def test_every_example_is_a_sentence() -> None:
    for kind in KINDS.values():
        assert kind.example[-1] == ".", kind.code
        assert kind.meaning[-1] == ".", kind.code
        assert kind.title[-1] != ".", kind.code
        assert 400 <= kind.status < 600
