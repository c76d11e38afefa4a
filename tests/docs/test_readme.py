"""The README's calls, run as they are printed against the real service, give the answers that are printed."""

from __future__ import annotations

import re
from pathlib import Path

from pages import ROOT, Block, answers_agree, blocks, make_clone, type_in

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_printed_call_gives_its_printed_answer(tmp_path: Path) -> None:
    calls = [block for block in blocks(README) if block.language == "sh" and block.text.startswith("curl ")]
    typed = type_in([Block("sh", "make serve"), *calls], make_clone(tmp_path), tmp_path / "printed")
    assert answers_agree(typed) >= 5
    assert typed[-1][1] == "204", "the README says what erasing prints"


def test_the_annotated_tree_names_what_is_there() -> None:
    tree = re.search(r"```\n(app/.*?)\n```", README, flags=re.DOTALL)
    assert tree
    folder = ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / folder / name).exists(), f"{folder}{name}"


def test_every_link_leads_somewhere() -> None:
    pages = ["README.md", "CONTRIBUTING.md", "docs/*.md", "client/README.md", "examples/README.md"]
    for page in sorted(path for pattern in pages for path in ROOT.glob(pattern)):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith(("http://", "https://")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
