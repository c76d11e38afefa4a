"""The guide names no call, setting or heading that there is not."""

from __future__ import annotations

import re

import pytest

import fake_audio
from app.main import create_app
from app.settings import Settings, variable
from pages import GUIDE, ROOT

TEXTS = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in GUIDE}
READ_BY_COMMANDS = {"VOUCH_API_KEY", "VOUCH_URL"}
"""Variables that a service ignores (docs/settings.md)."""


def headings(page: str) -> set[str]:
    """The anchors that a renderer gives a page's headings."""
    found = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("name", GUIDE)
def test_every_call_that_it_names_exists(name: str) -> None:
    paths = create_app(fake_audio.settings(), fake_audio.components()).openapi()["paths"]
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/v1/[^`\s?]*)", TEXTS[name]):
        assert method.lower() in paths.get(path, {}), f"{method} {path}"


@pytest.mark.parametrize("name", GUIDE)
def test_every_setting_that_it_names_exists(name: str) -> None:
    named = set(re.findall(r"VOUCH_\w+", TEXTS[name]))
    assert named <= {variable(field) for field in Settings.model_fields} | READ_BY_COMMANDS


@pytest.mark.parametrize("name", GUIDE)
def test_every_heading_that_it_links_within_itself_exists(name: str) -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXTS[name])) <= headings(TEXTS[name])
