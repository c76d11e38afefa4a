"""What is raised instead of an answer, and what must not be seen: the key."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest

from api_client import serving
from app.api.problems import KINDS as SERVICE_KINDS
from app.api.problems import problem_body
from vouch_client import BadClip, Problem, TryLater, UnknownAnswer, Unreachable, Vouch, VouchError
from vouch_client.errors import PROBLEMS, InvalidArgument
from vouch_clients import InProcess, Kind, Script, connect

NOBODY = "http://127.0.0.1:9"
KEY = f"vouch_0f3c9a61d27be584_{'5e' * 32}"


@contextmanager
def leaving() -> Iterator[tuple[str, list[str]]]:
    """A server that reads each request and closes the connection; yields its URL and the paths it is asked for."""
    paths = list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", paths
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("code", SERVICE_KINDS)
def test_a_problem_is_raised_by_its_code(code: str, kind: Kind) -> None:
    said = SERVICE_KINDS[code]
    body = problem_body(code, said.example, "req_1")
    script = Script(httpx2.Response(said.status, json=body))
    with pytest.raises(Problem) as caught:
        script.client(kind).model()
    problem = caught.value
    assert type(problem) is PROBLEMS.get(code, Problem)
    assert (problem.status, problem.code, problem.detail) == (said.status, code, said.example)
    assert (problem.request_id, problem.errors, str(problem)) == ("req_1", (), said.example)


def test_every_class_stands_for_a_code_of_the_service() -> None:
    assert PROBLEMS.keys() <= SERVICE_KINDS.keys()
    assert {code for code, error in PROBLEMS.items() if issubclass(error, TryLater)} == {
        code for code, said in SERVICE_KINDS.items() if said.status in (429, 503)
    }


def test_a_code_of_a_later_service_is_a_plain_problem(kind: Kind) -> None:
    script = Script(httpx2.Response(418, json={"code": "teapot", "detail": "Short and stout.", "request_id": "r"}))
    with pytest.raises(Problem, match="Short and stout") as caught:
        script.client(kind).model()
    assert type(caught.value) is Problem


def test_refused_fields_are_listed(kind: Kind) -> None:
    with serving() as service:
        vouch = connect(kind, InProcess(service), [])
        with pytest.raises(InvalidArgument) as caught:
            vouch.create_speaker(speaker_id="not an id")
    assert [error["field"] for error in caught.value.errors] == ["speaker_id"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (502, b"<h1>Bad Gateway</h1>"),
        (404, b'{"detail": "Not Found"}'),
        (500, b'["a list"]'),
        (200, b"<h1>Welcome</h1>"),
        (200, b'{"other": []}'),
        (200, b"\xff"),
    ],
)
def test_an_answer_that_is_none_of_vouch_s_is_told_apart(status: int, said: bytes, kind: Kind) -> None:
    with pytest.raises(UnknownAnswer, match="none of Vouch's") as caught:
        Script(httpx2.Response(status, content=said)).client(kind).api_keys()
    assert caught.value.status == status


def test_a_redirect_is_not_followed_so_the_key_goes_nowhere_else(kind: Kind) -> None:
    script = Script(httpx2.Response(307, headers={"Location": "http://elsewhere.example/v1/model"}))
    with pytest.raises(UnknownAnswer, match=r"a redirect to http://elsewhere\.example"):
        script.client(kind, key=KEY).model()
    assert [request.url.host for request in script.requests] == ["localhost"]


def test_the_key_is_sent_and_nowhere_seen(kind: Kind) -> None:
    script = Script(httpx2.ReadError("reset"))
    vouch = script.client(kind, key=f" {KEY}\n", retries=0)
    with pytest.raises(Unreachable) as caught:
        vouch.model()
    assert script.requests[0].headers["Authorization"] == f"Bearer {KEY}"
    seen = [repr(vouch), repr(vars(vouch)), repr(caught.value), str(caught.value), repr(script.requests[0].headers)]
    for text in seen:
        assert KEY not in text
    assert "localhost" in repr(vouch)


def test_a_key_that_none_can_be_is_refused_unseen(kind: Kind) -> None:
    for key in ("vouch_a b", "vouch_a\nb", "vouch_é"):
        with pytest.raises(ValueError, match="API key") as caught:
            connect(kind, httpx2.MockTransport(Script()), [], key=key)
        assert key not in str(caught.value)


def test_what_is_not_given_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    monkeypatch.setenv("VOUCH_URL", "https://voices.example/vouch/")
    monkeypatch.setenv("VOUCH_API_KEY", KEY)
    answer = {"id": "a-bundle"}
    script = Script(*[httpx2.Response(200, json=answer) for _ in range(3)])
    script.client(kind, url=None).model()
    script.client(kind, url="http://127.0.0.1:9000", key="vouch_other").model()
    script.client(kind, url=None, key="").model()
    sent = [(str(request.url), request.headers.get("Authorization")) for request in script.requests]
    assert sent == [
        ("https://voices.example/vouch/v1/model", f"Bearer {KEY}"),
        ("http://127.0.0.1:9000/v1/model", "Bearer vouch_other"),
        ("https://voices.example/vouch/v1/model", None),
    ]


def test_without_anything_it_is_the_service_on_this_machine(kind: Kind) -> None:
    script = Script(httpx2.Response(200, json={}))
    script.client(kind, url=None).model()
    assert str(script.requests[0].url) == "http://127.0.0.1:8000/v1/model"
    assert "Authorization" not in script.requests[0].headers


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://[::1",
        "http://host/?a=b",
        "http://host/#f",
    ],
)
def test_what_is_no_web_address_is_refused(url: str, kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"it must be such as http://127\.0\.0\.1:8000"):
        connect(kind, httpx2.MockTransport(Script()), [], url=url)


def test_a_password_in_the_url_is_refused_unseen(kind: Kind) -> None:
    with pytest.raises(ValueError, match="user name or a password") as caught:
        connect(kind, httpx2.MockTransport(Script()), [], url="http://me:secret@host")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_an_erasure_goes_to_no_other_path(segment: str, kind: Kind) -> None:
    script = Script()
    with pytest.raises(ValueError, match="is no id"):
        script.client(kind).take_back("alice", segment)


def test_an_id_is_quoted_in_its_path(kind: Kind) -> None:
    script = Script(httpx2.Response(200, json={}))
    script.client(kind).speaker("a/../b?c#d e")
    assert script.requests[0].url.raw_path == b"/v1/speakers/a%2F..%2Fb%3Fc%23d%20e"


def test_file_names_stay_at_home(kind: Kind, tmp_path: Any) -> None:
    clip = tmp_path / "alice-cooper.wav"
    clip.write_bytes(b"a clip")
    script = Script(httpx2.Response(200, json={}))
    script.client(kind).identify(clip)
    assert b"alice-cooper" not in script.requests[0].content


@pytest.mark.parametrize(
    "error",
    [
        Unreachable("nobody there", True),
        UnknownAnswer("a page", 502),
        BadClip("too short", 422, "not_enough_speech", "req_1", ({"field": "audio", "message": "short"},), 2.0),
    ],
)
def test_an_error_can_be_sent_to_another_process(error: VouchError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), vars(copy), str(copy)) == (type(error), vars(error), str(error))


def test_nobody_listens() -> None:
    with Vouch(NOBODY, retries=0) as vouch, pytest.raises(Unreachable, match="cannot be reached") as caught:
        vouch.model()
    assert not caught.value.was_sent


def test_a_service_that_leaves_may_have_done_its_part() -> None:
    with leaving() as (url, paths):
        with Vouch(url) as vouch, pytest.raises(Unreachable, match="did not answer") as caught:
            vouch.verify("alice", b"a clip")
        assert caught.value.was_sent
        assert paths == ["/v1/speakers/alice/verify"]
        with Vouch(url, sleep=lambda _: None) as vouch, pytest.raises(Unreachable):
            vouch.enroll("alice", [b"a clip"])
        assert paths[1:] == ["/v1/speakers/alice/enrollments"] * 3
