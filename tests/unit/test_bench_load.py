"""The load generator of bench/: what it counts from, what it parses, and what a perfect server is."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from http_client import AnswerParser, form, upload
from load import LEFT, Latencies, arrivals, open_loop, stages_of
from queueing import p99_over_unloaded, waits

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nServer-Timing: decode;dur=1.50, total;dur=3.00\r\n\r\nhi"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 7\r\n\r\n"
GONE = b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"


@contextmanager
def serving(answer: Callable[[int], bytes]) -> Iterator[int]:
    """A server of one connection at a time: the n-th request (a head without a body) gets `answer(n)`; b"" hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                while connection.recv(65536):
                    told, number = answer(number), number + 1
                    if not told:
                        break
                    connection.sendall(told)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("n_bytes", [1, 7, 1000])
def test_answers_are_found_wherever_the_network_cuts_them(n_bytes: int) -> None:
    parser, found = AnswerParser(), []
    for answer in (ANSWER, GONE, REFUSAL):  # one request at a time: what is fed ends where an answer ends
        pieces = [answer[begin : begin + n_bytes] for begin in range(0, len(answer), n_bytes)]
        assert [parser.feed(piece) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
        found.append(parser.feed(pieces[-1]))
    answers = [answer for answer in found if answer is not None]
    assert [(a.status, a.body) for a in answers] == [(200, b"hi"), (204, b""), (503, b"")]
    assert [a.header("retry-after") for a in answers] == [None, None, "7"]


def test_an_answer_whose_end_is_not_told_is_no_guesswork() -> None:
    with pytest.raises(ValueError, match="does not tell its length"):
        AnswerParser().feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_a_form_has_its_files_and_its_length() -> None:
    files = [("audio", b"one"), ("audio", b"two")]
    body = form(files, {"top_k": "3"})
    head, _, sent = upload("/v1/identify", files, {"top_k": "3"}).partition(b"\r\n\r\n")
    assert sent == body
    assert f"Content-Length: {len(body)}".encode() in head
    assert (body.count(b'name="audio"'), body.count(b"--a-line-of-no-clip\r\n")) == (2, 3)
    assert body.endswith(b"\r\n--a-line-of-no-clip--\r\n")


def test_latency_counts_from_the_intended_arrival() -> None:
    stall_s = 0.4

    def answer(number: int) -> bytes:
        time.sleep(stall_s if number == 0 else 0.0)  # a server that stalls: everybody due meanwhile is charged for it
        return ANSWER.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)

    due = [0.0, 0.1, 0.2]
    with serving(answer) as port:
        found = open_loop(port, [b"GET / HTTP/1.1\r\n\r\n"], due, 1.0)
    latencies = [e.latency_s for e in found.exchanges]
    expected = [stall_s - t for t in due]
    assert all(took >= least - 0.01 for took, least in zip(latencies, expected, strict=True))
    assert found.latencies_ms().p50 == pytest.approx(1000 * np.median(latencies))
    assert found.stages_ms() == {"decode": 1.5, "total": 3.0}


def test_refusals_and_hang_ups_are_counted_for_what_they_are() -> None:
    answers = [ANSWER, REFUSAL, b"", b"", ANSWER]
    with serving(lambda number: answers[number] if number < len(answers) else ANSWER) as port:
        # The third is hung up on while its connection was used before, so that it is sent again, and again hung up on.
        found = open_loop(port, [b"GET / HTTP/1.1\r\n\r\n"], [0.0, 0.4, 0.8, 1.2], 2.0)
    assert [e.status for e in found.exchanges] == [200, 503, LEFT, 200]
    assert [e.retry_after for e in found.exchanges] == [None, "7", None, None]
    assert found.rate() == 1.0


def test_percentiles_are_of_milliseconds() -> None:
    found = Latencies.of([0.001 * n for n in range(101)])
    assert (found.n, found.p50, found.p95, found.p99, found.max) == pytest.approx((101, 50.0, 95.0, 99.0, 100.0))
    assert np.isnan(Latencies.of([]).p99)


def test_a_timing_header_is_read() -> None:
    assert stages_of("queue;dur=0.21, decode;dur=63.58") == {"queue": 0.21, "decode": 63.58}
    assert stages_of("") == {}


def test_arrivals_are_a_poisson_process() -> None:
    times = np.array(arrivals(rate=50.0, duration_s=400.0, seed=3))
    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)  # exponential
    assert arrivals(50.0, 10.0, 3) == arrivals(50.0, 10.0, 3)


@pytest.mark.parametrize("utilisation", [0.3, 0.7])
def test_one_perfect_server_waits_as_theory_says(utilisation: float) -> None:
    """Pollaczek and Khinchine: rho / (2 (1 - rho)) service times."""
    assert waits(1, utilisation).mean() == pytest.approx(utilisation / (2 * (1 - utilisation)), rel=0.05)


def test_two_perfect_servers_wait_less() -> None:
    """M/D/2 at 0.7: 0.4977 service times (Cosmetatos' approximation, good to 1 %)."""
    rho, c = 0.7, 2
    erlang_c = (2 * rho) ** 2 / (2 * (1 - rho)) / (1 + 2 * rho + (2 * rho) ** 2 / (2 * (1 - rho)))
    m_m_c = erlang_c / (c * (1 - rho))
    m_d_c = m_m_c / 2 * (1 + (1 - rho) * (c - 1) * (np.sqrt(4 + 5 * c) - 2) / (16 * rho * c))
    assert waits(2, rho).mean() == pytest.approx(m_d_c, rel=0.05)
    assert p99_over_unloaded(2, rho) < p99_over_unloaded(1, rho)
    with pytest.raises(ValueError, match="utilisation is 1"):
        waits(1, 1.0)
