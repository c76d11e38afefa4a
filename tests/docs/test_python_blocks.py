"""Every block of Python in the pages, run as it is printed against the real service, prints what is printed below it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import GUIDE, ROOT, Block, answers_agree, blocks, make_clone, type_in

IN_ORDER = {ROOT / "docs" / f"{name}.md" for name in GUIDE}
"""Pages whose blocks are run among their commands (`test_commands.py`)."""
PAGES = {
    str(path.relative_to(ROOT)): python
    for pattern in ("*.md", "docs/*.md", "client/*.md", "examples/*.md")
    for path in sorted(ROOT.glob(pattern))
    if path not in IN_ORDER
    and (python := [block for block in blocks(path.read_text(encoding="utf-8")) if block.language == "python"])
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_s_python_prints_what_is_printed(name: str, tmp_path: Path) -> None:
    typed = type_in([Block("sh", "make serve"), *PAGES[name]], make_clone(tmp_path), tmp_path / "printed")
    assert answers_agree(typed) == sum(block.answer is not None for block in PAGES[name])


def test_the_readme_and_the_client_s_page_are_among_them() -> None:
    assert {"README.md", "client/README.md"} <= set(PAGES)
    for name, python in PAGES.items():
        assert any(block.answer for block in python), f"no block of {name} says what it prints"


def test_python_that_fails_fails_with_its_error(tmp_path: Path) -> None:
    page = [Block("python", "print('begun')"), Block("python", "raise ValueError('odd')")]
    with pytest.raises(pytest.fail.Exception, match="ValueError: odd"):
        type_in(page, make_clone(tmp_path), tmp_path / "printed")


def test_another_answer_than_the_printed_one_is_found() -> None:
    block = Block("python", "f()", answer="reject -5.95")
    assert answers_agree([(block, "reject -5.952\n")]) == 1
    for other in ("accept -5.952", "reject -6.2", "reject"):
        with pytest.raises(AssertionError):
            answers_agree([(block, other)])
