"""bench/advisories.py: no finding is hidden, and what was not asked is never called clean."""

from __future__ import annotations

import json

from advisories import ITSELF, installed, read

ASKED = ["starlette==0.1", "torch==2.11.0", "uvicorn==0.2"]
FINDING = {"id": "PYSEC-1", "fix_versions": ["0.2", "1.0"], "aliases": [], "description": "Reads too much."}
CLEAN = {"vulns": []}


def printed(**rows: object) -> str:
    return json.dumps({"dependencies": [{"name": name, "version": "0.1", **row} for name, row in rows.items()]})


def test_all_answered_and_nothing_known_is_clean() -> None:
    advisories = read(printed(starlette=CLEAN, torch=CLEAN, uvicorn=CLEAN), ASKED)
    assert advisories.status(if_answered=False) == 0
    assert advisories.told() == "0 known vulnerabilities in the 3 packages that were audited"


def test_a_finding_fails_whatever_else_was_not_answered() -> None:
    advisories = read(printed(starlette={"vulns": [FINDING]}, torch={"skip_reason": "not found"}), ASKED)
    assert advisories.status(if_answered=True) == advisories.status(if_answered=False) == 1
    assert "starlette 0.1: PYSEC-1, mended in 0.2 or 1.0. Reads too much." in advisories.told()
    assert "of 2 of 3 packages nothing is known" in advisories.told()
    assert "1 known vulnerabilities in the 1 packages that were audited" in advisories.told()


def test_a_package_without_an_answer_is_named_and_not_called_clean() -> None:
    advisories = read(printed(starlette=CLEAN, torch={"skip_reason": "not found"}, uvicorn=CLEAN), ASKED)
    assert advisories.status(if_answered=False) == 3
    assert advisories.status(if_answered=True) == 0
    assert "NOT AUDITED: of 1 of 3 packages nothing is known" in advisories.told()
    assert "torch" in advisories.told()


def test_where_pip_audit_gave_up_nothing_was_learnt() -> None:
    for output in ("", "no network", "[]", "{}"):
        advisories = read(output, ASKED)
        assert advisories.status(if_answered=False) == 3
        assert list(advisories.unanswered) == ["starlette", "torch", "uvicorn"]


def test_what_is_installed_is_asked_about_as_pypi_has_it() -> None:
    names = {requirement.partition("==")[0] for requirement in installed()}
    assert {"torch", "pytest", "python-multipart"} <= names
    assert ITSELF not in names
    assert not any("+" in requirement for requirement in installed())
