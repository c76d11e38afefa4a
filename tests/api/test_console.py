"""The files of the console over HTTP: open, small, cached well, and locked down."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fake_audio
from api_client import DocumentedClient, problem, serving
from app.api.route_console import WEB
from shipped import CLIPS

FILES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.suffix not in ("", ".md"))


def test_the_page_may_run_its_own_scripts_and_nothing_else(client: DocumentedClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert answer.headers["permissions-policy"].startswith("microphone=(self)")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("file", FILES)
def test_every_file_is_served_as_it_is_and_named_once(client: DocumentedClient, file: str) -> None:
    answer = client.get(f"/console/{file}")
    assert answer.content == (WEB / file).read_bytes()
    assert answer.headers["cache-control"] == "no-cache"
    head = client.head(f"/console/{file}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-type", "content-length"):
        assert head.headers[name] == answer.headers[name]
    for known in (answer.headers["etag"], f'W/{answer.headers["etag"]}, "other"', "*"):
        again = client.get(f"/console/{file}", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == answer.headers["etag"]
    assert client.get(f"/console/{file}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_media_types_are_those_that_browsers_ask_for(client: DocumentedClient) -> None:
    for file, media_type in {
        "js/main.js": "text/javascript; charset=utf-8",
        "css/base.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "examples/speaker-a-1.ogg": "audio/ogg",
        "limits.json": "application/json",
    }.items():
        assert client.get(f"/console/{file}").headers["content-type"] == media_type


@pytest.mark.parametrize(
    "path", ["", "nothing.js", "js", "../route_console.py", "%2e%2e/main.py", "examples/README.md", "/etc/passwd"]
)
def test_nothing_else_is_served(client: DocumentedClient, path: str) -> None:
    problem(client.get(f"/console/{path}"), 404, "not_found")


def test_only_get_and_head(client: DocumentedClient) -> None:
    detail = problem(client.post("/"), 405, "method_not_allowed")
    assert set(re.findall("GET|HEAD", detail)) == {"GET", "HEAD"}


def test_the_limits_are_the_settings() -> None:
    with serving(min_speech_s=2.0, enroll_min_speech_s=7.0, max_clips=3) as client:
        limits = client.get("/console/limits.json").json()
    settings = fake_audio.settings()
    assert limits == {
        "min_speech_s": 2.0,
        "enroll_min_speech_s": 7.0,
        "max_clips": 3,
        "min_snr_db": settings.min_snr_db,
        "max_audio_s": settings.max_audio_s,
    }


def test_it_can_be_switched_off() -> None:
    with serving(console=False) as client:
        for path in ("/", "/console/js/main.js"):
            problem(client.get(path), 404, "not_found")


def test_without_keys_it_answers_to_loopback_names_only(client: DocumentedClient) -> None:
    problem(client.get("/", headers={"Host": "voice.example"}), 403, "forbidden")


def test_it_is_no_part_of_the_http_contract(client: DocumentedClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/console")]


class Markup(HTMLParser):
    """What a page's policy would forbid, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.files: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.forbidden += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self.forbidden += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.files += [
            str(given[name]) for name in ("src", "href") if name in given and not str(given[name]).startswith("#")
        ]


def test_the_page_has_nothing_inline_and_links_to_files_that_are_there(client: DocumentedClient) -> None:
    markup = Markup()
    markup.feed(client.get("/").text)
    assert markup.forbidden == []
    assert len(markup.files) > 5
    for file in markup.files:
        assert client.get(f"/{file}").status_code == 200


@pytest.mark.parametrize("file", [file for file in FILES if file.endswith(".js")])
def test_every_module_imports_what_is_there(client: DocumentedClient, file: str) -> None:
    source = (WEB / file).read_text(encoding="utf-8")
    for imported in re.findall(r'from "\./([^"]+)"', source):
        assert f"js/{imported}" in FILES
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", source)


def test_the_examples_are_those_of_the_repository() -> None:
    examples = sorted((WEB / "examples").glob("*.ogg"))
    assert examples
    for example in examples:
        assert example.read_bytes() == Path(CLIPS, example.name).read_bytes()
