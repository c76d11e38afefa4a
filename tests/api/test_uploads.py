"""What an upload may look like, and how it is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_audio
from api_client import Answer, DocumentedClient, audio, pair, post_scope, problem, serving
from fake_audio import FakeDecoder, clip

MIB = 1024 * 1024
BOUNDARY = "b0undary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(headers: str, data: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + data + b"\r\n"


def file(name: str, data: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"; filename="x.wav"', data)


def text(name: str, data: bytes) -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', data)


END = f"--{BOUNDARY}--\r\n".encode()


def compare(client: DocumentedClient, *parts: bytes, headers: dict[str, str] | None = None) -> Answer:
    return client.post("/v1/compare", content=b"".join(parts), headers=headers or FORM)


def test_a_form_written_by_hand(client: DocumentedClient) -> None:
    parts = [file("audio_a", clip()), text("operating_point", b"fmr_1e-2"), file("audio_b", clip())]
    answer = compare(client, *parts, END)
    assert answer.status_code == 200
    assert answer.json()["threshold"]["operating_point"] == "fmr_1e-2"


def test_a_file_may_come_without_a_name_but_with_its_type(client: DocumentedClient) -> None:
    header = 'Content-Disposition: form-data; name="audio_a"\r\nContent-Type: audio/wav'
    assert compare(client, part(header, clip()), file("audio_b", clip()), END).status_code == 200


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            [file("audio_a", b"x"), END],
            "The file field 'audio_b' is missing; this call takes: audio_a, audio_b, operat",
        ),
        ([END], "The file field 'audio_a' is missing"),
        (
            [text("audio_a", b"x"), END],
            "The field 'audio_a' must be a file, and text was sent; with curl: -F audio_a=@",
        ),
        ([file("operating_point", b"eer"), END], "The field 'operating_point' is text, and a file was sent"),
        ([file("audio_a", b"x"), file("audio_a", b"x"), END], "The field 'audio_a' holds 2 files or more; at most 1"),
        (
            [text("operating_point", b"a"), text("operating_point", b"b"), END],
            "The field 'operating_point' was sent tw",
        ),
        ([text("operating_point", b"x" * 1025), END], "The field 'operating_point' is longer than 1024 bytes"),
        ([text("operating_point", b"\xff"), END], "The field 'operating_point' is not text in UTF-8"),
        ([file("audio", b"x"), END], "There is no field 'audio' here; this call takes: audio_a, audio_b"),
        ([part("Content-Disposition: form-data", b"x"), END], "There is no field '' here"),
        ([part("X-Nothing: at all", b"x"), END], "There is no field '' here"),
        ([file("audio_a", b"x"), file("audio_b", b"x")], "The body ends before its closing boundary"),
        ([file("audio_a", b"x")[:-9]], "The body ends before its closing boundary"),
        ([b""], "The body ends before its closing boundary"),
        ([b"no form at all"], "The body is not valid multipart/form-data"),
        ([part("Content Disposition", b"x"), END], "The body is not valid multipart/form-data"),
        ([part("X: " + "x" * 100_000, b"x"), END], "The body is not valid multipart/form-data"),
    ],
)
def test_odd_forms_are_refused_with_a_sentence(client: DocumentedClient, parts: list[bytes], sentence: str) -> None:
    detail = problem(compare(client, *parts), 422, "invalid_argument")
    assert detail.startswith(sentence)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "audio/wav",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
    ],
)
def test_another_content_type_is_refused(client: DocumentedClient, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {"X-Nothing": "at all"}
    detail = problem(compare(client, file("audio_a", b"x"), END, headers=headers), 422, "invalid_argument")
    assert "multipart/form-data with a boundary" in detail
    assert (content_type or "missing") in detail


def test_an_empty_file_is_broken_audio(client: DocumentedClient) -> None:
    detail = problem(client.post("/v1/identify", files=audio(b"")), 422, "audio_corrupt")
    assert detail == "audio: the file is empty (0 bytes). Send a recording."


def test_a_file_of_the_size_allowed_is_heard_and_one_byte_more_is_not() -> None:
    decoder = FakeDecoder()
    with serving(fake_audio.components(decoder=decoder), max_upload_mb=1) as client:
        problem(client.post("/v1/identify", files=audio(b"x" * MIB)), 415, "unsupported_audio")
        assert decoder.n_decoded == 1
        answer = client.post("/v1/identify", files=audio(b"x" * (MIB + 1)))
        detail = problem(answer, 413, "audio_too_large")
        assert "larger than 1 MiB (VOUCH_MAX_UPLOAD_MB)" in detail
        assert answer.request.headers["content-length"] in detail
        assert decoder.n_decoded == 1


def test_two_files_of_the_size_allowed_fit_in_one_request() -> None:
    with serving(max_upload_mb=1) as client:
        problem(client.post("/v1/compare", files=pair(b"x" * MIB, b"x" * MIB)), 415, "unsupported_audio")


def stream(
    client: DocumentedClient,
    path: str,
    head: bytes,
    n_chunks: int,
    content_type: str,
    leaves_after: int | None = None,
) -> tuple[list[Any], int]:
    """POSTs a body of 64 KiB chunks, without a length -> what was answered, and how many chunks were read.

    The test client would join them first, so this speaks ASGI itself.
    """
    n_read = 0
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal n_read
        n_read += 1
        if leaves_after is not None and n_read > leaves_after:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": head if n_read == 1 else bytes(65536), "more_body": n_read < n_chunks}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app(post_scope(path, content_type), receive, send))
    return sent, n_read


def refusal(sent: list[Any]) -> tuple[int, str]:
    return sent[0]["status"], json.loads(sent[1]["body"])["code"]


def test_a_file_without_a_length_is_cut_off_at_the_limit() -> None:
    with serving(max_upload_mb=1) as client:
        head = file("audio", b"")[:-2]
        sent, n_read = stream(client, "/v1/identify", head, 1000, FORM["Content-Type"])
        assert refusal(sent) == (413, "audio_too_large")
        assert n_read == 1 + 16 + 1, "head, 1 MiB, and the chunk that was too much"


def test_a_plain_body_without_a_length_is_cut_off_at_the_limit(client: DocumentedClient) -> None:
    sent, n_read = stream(client, "/v1/speakers", b'{"', 1000, "application/json")
    assert (refusal(sent), n_read) == ((413, "request_too_large"), 2)


@pytest.mark.parametrize("path", ["/v1/speakers", "/v1/speakers/alice", "/nothing", "/livez"])
def test_a_form_s_header_lifts_no_limit_where_no_form_is_taken(client: DocumentedClient, path: str) -> None:
    body = b"x" * 65537
    for method in ("POST", "PATCH"):
        problem(client.request(method, path, content=body, headers=FORM), 413, "request_too_large")
    sent, n_read = stream(client, "/v1/speakers", b'{"', 1000, FORM["Content-Type"])
    assert (refusal(sent), n_read) == ((413, "request_too_large"), 2)


def test_what_cannot_be_a_form_is_not_read(client: DocumentedClient) -> None:
    sent, n_read = stream(client, "/v1/identify", b"", 1000, "audio/wav")
    assert (refusal(sent), n_read) == ((422, "invalid_argument"), 0)


def test_a_caller_who_leaves_halfway_is_no_error_and_gives_the_memory_back(caplog: pytest.LogCaptureFixture) -> None:
    with serving(max_upload_mb=1, upload_memory_mb=2) as client, caplog.at_level(logging.INFO, logger="vouch"):
        for _ in range(4):
            head = file("audio", b"")[:-2]
            sent, _ = stream(client, "/v1/identify", head, 1000, FORM["Content-Type"], leaves_after=15)
            assert sent == []
        assert "the client went away" in caplog.text
        assert not [record for record in caplog.records if record.levelno > logging.INFO]
        assert client.post("/v1/compare", files=pair(clip(), clip())).status_code == 200


def test_the_whole_body_is_bounded_declared_or_not() -> None:
    with serving(max_upload_mb=1) as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        many = [b"x" * (MIB // 2)] * 8
        answer = client.post("/v1/speakers/alice/enrollments", files=audio(*many))
        assert "twice VOUCH_MAX_UPLOAD_MB" in problem(answer, 413, "audio_too_large")
        body = b"".join(file("audio", data) for data in many)
        answer = client.post("/v1/speakers/alice/enrollments", content=iter([body[:MIB], body[MIB:]]), headers=FORM)
        assert "twice VOUCH_MAX_UPLOAD_MB" in problem(answer, 413, "audio_too_large")


def test_a_plain_body_is_bounded_declared_or_not(client: DocumentedClient) -> None:
    body = b'{"display_name": "' + b"x" * 65536 + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/speakers", content=body, headers=headers)
    assert f"{len(body)} bytes" in problem(answer, 413, "request_too_large")
    answer = client.post("/v1/speakers", content=iter([body[:100], body[100:]]), headers=headers)
    assert "content-length" not in answer.request.headers
    problem(answer, 413, "request_too_large")
    answer = client.patch("/v1/speakers/alice", content=iter([body]), headers=headers)
    problem(answer, 413, "request_too_large")
    assert client.post("/v1/speakers", json={}).status_code == 201


def test_uploads_in_flight_share_one_budget_and_give_it_back() -> None:
    with serving(max_upload_mb=1, upload_memory_mb=2) as client:
        too_much = pair(b"x" * MIB, b"x" * MIB)  # with the form around it, a little over the budget
        for _ in range(3):
            answer = client.post("/v1/compare", files=too_much)
            assert "VOUCH_UPLOAD_MEMORY_MB" in problem(answer, 503, "overloaded")
            assert int(answer.headers["Retry-After"]) >= 1
            problem(client.post("/v1/identify", files=audio(b"x" * MIB)), 415, "unsupported_audio")
            assert client.post("/v1/compare", files=pair(clip(), clip())).status_code == 200


PIECES = [
    *(b"--", BOUNDARY.encode(), b"\r\n", b"\r\n\r\n", b": ", b'"', b";", b"\x00", END, clip(), b"eer"),
    *(
        b'Content-Disposition: form-data; name="',
        b'audio_a"; filename="x"',
        b'audio_b"; filename=""',
        b'operating_point"',
    ),
    *(file("audio_a", clip()), file("audio_b", clip()), text("operating_point", b"eer")),
]
CONTENT_TYPES = [
    *(FORM["Content-Type"], "multipart/form-data; boundary=", "multipart/form-data; boundary", ";"),
    *(f"multipart/form-data; boundary={'x' * 300}", f"MULTIPART/FORM-DATA; BOUNDARY={BOUNDARY}"),
]


def test_no_body_makes_it_stumble(client: DocumentedClient) -> None:
    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(
        st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=20),
        st.sampled_from(CONTENT_TYPES),
    )
    def check(pieces: list[bytes], content_type: str) -> None:
        answer = compare(client, *pieces, headers={"Content-Type": content_type})
        assert answer.status_code in (200, 415, 422), answer.text

    check()
