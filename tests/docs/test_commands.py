"""A new user's path: every command of the guide's pages, typed as it is printed, in the order of reading, in one clone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pages import GUIDE, NOT_RUN, ROOT, RUN, Block, answers_agree, blocks, make_clone, type_in

TEXTS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in GUIDE}
CONFIGURATION = {"nginx", "caddyfile", "yaml"}
SHOWN = {"json", "text", *CONFIGURATION}
"""Languages of blocks that hold no command."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("path"))


@pytest.mark.parametrize("name", [name for name in GUIDE if "```sh\n" in TEXTS[name]])
def test_every_command_works_as_it_is_printed(name: str, clone: Path, tmp_path: Path) -> None:
    page = blocks(TEXTS[name])
    typed = type_in(page, clone, tmp_path / "printed")
    assert answers_agree(typed) == sum(block.answer is not None for block in page)
    if name == "api":
        examples_have_the_keys_of(typed)


def examples_have_the_keys_of(typed: list[tuple[Block, str]]) -> None:
    """The reference's examples are made up, so only what an answer consists of can be held to them."""
    printed = {block.text: out for block, out in typed}
    held = 0
    for section in TEXTS["api"].split("\n### "):
        command = re.search(r"```sh\n(.*?)\n```", section, flags=re.DOTALL)
        example = re.search(r"```json\n(.*?)\n```", section, flags=re.DOTALL)
        if command and example:
            assert set(json.loads(printed[command[1]])) == set(json.loads(example[1])), command[1]
            held += 1
    assert held > 10


@pytest.mark.parametrize("name", GUIDE)
def test_a_command_that_is_not_run_says_why(name: str) -> None:
    for block in blocks(TEXTS[name]):
        if block.language == "bash":
            assert block.note.startswith(NOT_RUN), block.text
        elif block.language not in RUN:
            assert block.language in SHOWN, block.text
            assert not re.search(r"^(vouch|vouch-train|curl|make|python) ", block.text, flags=re.MULTILINE), block.text


def test_the_readme_lists_the_pages_in_this_order() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    more = readme.partition("\n## More\n")[2]
    assert [name for name in re.findall(r"\]\(docs/([\w-]+)\.md\)", more) if name in GUIDE] == list(GUIDE)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("```sh\nls\n```\n\n```json\n{}\n```\n", [Block("sh", "ls", "", "{}")]),
        ("```python\nf()\n```\n\n```text\n1 2\n```\n", [Block("python", "f()", "", "1 2")]),
        ("```sh\nls\n```\n\nIt prints:\n\n```json\n{}\n```\n", [Block("sh", "ls"), Block("json", "{}")]),
        ("<!-- not run: slow -->\n```bash\nls\n```\n", [Block("bash", "ls", "not run: slow")]),
        ("<!-- the service is stopped -->\n```sh\nls\n```\n", [Block("stop", ""), Block("sh", "ls")]),
    ],
    ids=["answer", "text for an answer", "no answer", "not run", "stop"],
)
def test_a_page_is_read_block_by_block(page: str, expected: list[Block]) -> None:
    assert blocks(page) == expected


def test_a_command_that_fails_fails_with_its_errors(clone: Path, tmp_path: Path) -> None:
    page = [Block("sh", "true"), Block("sh", "ls no-such-file"), Block("sh", "true")]
    with pytest.raises(pytest.fail.Exception, match="no-such-file"):
        type_in(page, clone, tmp_path / "printed")
