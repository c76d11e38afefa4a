"""bench/covered.py: what coverage measured, by file and by package."""

from __future__ import annotations

from typing import Any

import pytest
from covered import Covered, report, spans, total


def measured(n_lines: int, n_run: int, n_branches: int, n_taken: int, missing: tuple[int, ...] = ()) -> dict[str, Any]:
    return {
        "summary": {
            "num_statements": n_lines,
            "covered_lines": n_run,
            "num_branches": n_branches,
            "covered_branches": n_taken,
        },
        "missing_lines": list(missing),
    }


@pytest.mark.parametrize(("lines", "told"), [([], ""), ([7], "7"), ([1, 2, 3, 7], "1-3, 7"), ([1, 3, 4], "1, 3-4")])
def test_lines_are_told_in_spans(lines: list[int], told: str) -> None:
    assert spans(lines) == told


def test_a_package_is_all_its_files_and_a_file_without_branches_has_them_all() -> None:
    files = {
        "app/a.py": measured(90, 90, 10, 10),
        "app/b.py": measured(10, 5, 10, 8, (3, 4, 5, 8, 9)),
        "model/c.py": measured(20, 20, 0, 0),
    }
    lines, packages = report({"files": files})
    assert [line.split() for line in lines] == [["app/b.py", "50.0", "80.0", "3-5,", "8-9"]]
    assert packages == {"app": Covered(100, 95, 20, 18), "model": Covered(20, 20, 0, 0)}
    assert (packages["app"].lines_percent, packages["app"].branches_percent) == (95.0, 90.0)
    assert not packages["app"].is_enough
    assert packages["model"].is_enough


def test_lines_do_not_make_up_for_branches() -> None:
    parts = [Covered(100, 95, 100, 95), Covered(100, 100, 1, 0)]
    assert [part.is_enough for part in parts] == [True, False]
    assert total(parts) == Covered(200, 195, 101, 95)
