"""Who a service without keys answers to: the sentences, and headers that no client makes by itself."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from app.api.keyless import KeylessRule
from app.errors import Forbidden


def refusal(*headers: tuple[str, str], loopback_only: bool = True) -> str:
    with pytest.raises(Forbidden) as caught:
        KeylessRule(loopback_only).check(Headers(raw=[(name.encode(), value.encode()) for name, value in headers]))
    return str(caught.value)


def test_another_name_is_told_which_names_are_answered() -> None:
    host = "voice.example" + "e" * 100
    assert refusal(("host", host)) == (
        f"The Host is '{host[:100]}'; without keys this service answers to loopback names only, such as localhost or "
        "127.0.0.1."
    )


@pytest.mark.parametrize("headers", [(), (("host", "localhost"), ("host", "localhost"))])
def test_no_host_and_two_hosts_are_none(headers: tuple[tuple[str, str], ...]) -> None:
    assert refusal(*headers).startswith("The Host is ''; ")


def test_a_page_of_another_site_is_told_why_it_is_refused() -> None:
    assert refusal(("host", "localhost"), ("sec-fetch-site", " Cross-Site ")) == (
        "Sec-Fetch-Site is 'cross-site'; without keys no other web site may send requests here."
    )
    origin, host = "http://" + "o" * 100, "h" * 101
    assert refusal(("host", host), ("origin", origin), loopback_only=False) == (
        f"The Origin is '{origin[:100]}', and the Host '{host[:100]}'; without keys no other web site may send requests "
        "here."
    )


def test_one_origin_among_several_is_enough_to_refuse() -> None:
    headers = (("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://voice.example"))
    assert "The Origin is 'http://voice.example'" in refusal(*headers)


@pytest.mark.parametrize("name", ["", "[::1", "voice.example:x"])
def test_an_origin_and_a_host_that_are_both_no_names_are_not_the_same(name: str) -> None:
    assert "The Origin is" in refusal(("host", name), ("origin", f"http://{name}"), loopback_only=False)
    assert "The Origin is" in refusal(("origin", f"http://{name}"), loopback_only=False)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("voice.example.", "https://VOICE.example"),
        ("Voice.Example:443", "HTTPS://voice.example"),
        ("voice.example", "http://voice.example.:80"),
    ],
)
def test_one_name_may_be_written_in_several_ways(host: str, origin: str) -> None:
    KeylessRule(loopback_only=False).check(Headers({"host": host, "origin": origin}))
