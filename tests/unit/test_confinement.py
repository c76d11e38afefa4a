"""A decoder's process that was taken over: what it tries, the system refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shipped
from app.adapters.confinement import NOBODY
from app.adapters.decoder_pool import DecoderPool
from app.adapters.syscalls import JUDGED, REFUSED, SECCOMP
from model.decoding import DecodingLimits

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"),
    reason="only Linux lets a process give up system calls, and these are the machines whose numbers are known",
)

PROGRAM = """
import ctypes, json, os, resource, socket, sys, threading
from app.adapters.confinement import confine

ours, theirs = socket.socketpair()
folder = sys.argv[1]
kept = confine()
libc = ctypes.CDLL(None, use_errno=True)
attempts = {
    "a socket": lambda: socket.socket(),
    "a connection": lambda: ours.connect("/tmp/none"),
    "a program": lambda: os.execv("/bin/true", ["true"]),
    "a child": lambda: os.fork(),
    "a spawned child": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "a file to write": lambda: os.open(folder + "/made", os.O_CREAT | os.O_WRONLY),
    "a file to read": lambda: os.open("/proc/self/status", os.O_RDONLY),
    "a folder": lambda: os.mkdir(folder + "/folder"),
    "a removal": lambda: os.unlink(folder + "/there"),
    "a signal to its service": lambda: os.kill(os.getppid(), 0),
    "a file in memory": lambda: os.memfd_create("made"),
    "another limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)),
    "another process's limit": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)),
}
refused = {}
for name, attempt in attempts.items():
    try:
        attempt()
        refused[name] = False
    except (PermissionError, ValueError):
        refused[name] = True
if libc.ptrace(16, os.getppid(), 0, 0) == -1:
    refused["a debugger"] = True
thread = threading.Thread(target=lambda: refused.update({"threads": True}))
thread.start()
thread.join()
resource.setrlimit(resource.RLIMIT_CPU, (60, resource.getrlimit(resource.RLIMIT_CPU)[1]))
ours.send(b"still")
assert theirs.recv(5) == b"still"
print(json.dumps({"kept": kept, "refused": refused, "uid": os.getuid()}))
"""


def test_what_a_taken_over_decoder_may_try_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    program = f"import sys; sys.path[:] = {sys.path!r}\n{PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, cwd=shipped.ROOT
    )
    told = json.loads(ran.stdout)
    if "system calls that no decoder needs" in told["kept"]:
        pytest.skip("this kernel or container allows no filter of system calls")
    assert set(told["refused"].values()) == {True}, told
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    if os.geteuid() == 0 and "the rights of root" not in told["kept"]:
        assert told["uid"] == NOBODY


def test_the_pool_s_children_are_confined() -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    before = set(children.read_text().split())
    pool = DecoderPool(DecodingLimits(), 1)
    try:
        (pid,) = set(children.read_text().split()) - before
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        limits = Path(f"/proc/{pid}/limits").read_text()
    finally:
        pool.close()
    assert re.search(r"Max open files +0 +0 ", limits)
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    if os.geteuid() == 0:
        assert status["Uid"] == [str(NOBODY)] * 4
        assert int(status["CapEff"][0], 16) == 0


@pytest.mark.skipif(not HEADERS.is_file(), reason="there are no kernel headers here to compare the numbers with")
def test_the_numbers_are_the_kernel_s() -> None:
    theirs = dict(re.findall(r"#define __NR_(\w+) (\d+)", HEADERS.read_text()))
    for name, (number, _) in {**REFUSED, **JUDGED, "seccomp": SECCOMP}.items():
        assert number == int(theirs.get(name, number)), name
