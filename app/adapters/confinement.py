"""What a decoder's process gives up before it sees a stranger's bytes: files, the network, other processes, its rights.

Everything that it needs must be loaded by then. On Linux only, with nothing but what the C library and the kernel have;
where a kernel or a container does not allow a step, the others are taken.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from app.adapters.syscalls import JUDGED, NEWEST, REFUSED, SECCOMP, Numbers

NOBODY = 65_534
"""The user and the group that own nothing, on every distribution."""


def confine() -> list[str]:
    """For good, and for every thread. Returns what this system does not let it give up, in words for a log."""
    if sys.platform != "linux":
        return ["files, the network and other processes, which only Linux lets it give up"]
    import resource  # noqa: F401  # while it can still be read

    steps: dict[str, Callable[[], bool]] = {
        "the rights of root": _become_nobody,
        "new descriptors": _open_nothing,
        "system calls that no decoder needs": _filter_system_calls,
    }
    return [name for name, step in steps.items() if not _done(step)]


def _done(step: Callable[[], bool]) -> bool:
    try:
        return step()
    except (OSError, ValueError):  # what `resource` raises for a limit that may not be set
        return False


# --- the user ---------------------------------------------------------------------------------------------------------

_CAP_KILL = 5


def _become_nobody() -> bool:
    """Nothing to do for whoever is not root."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return True
    if not _has_capability(_CAP_KILL):  # the service has what this process has, and must be able to end it
        return False
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    return True


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


# --- descriptors ------------------------------------------------------------------------------------------------------


def _open_nothing() -> bool:
    """Those that are open go on to work; there will be no other, of a file, a socket or anything else."""
    import resource  # loaded already: nobody may have no right to Python's own folder

    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return True


# --- system calls -----------------------------------------------------------------------------------------------------

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
"""Name -> which of the two numbers it has for a call, and its AUDIT_ARCH."""
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Classic BPF: load a word of the call; compare it with a constant; return."""
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets into the kernel's description of a call."""
_CLONE_THREAD = 0x0001_0000
_RLIMIT_CPU = 0

_Instruction = tuple[int, int, int, int]
"""Code, how many to skip if true, how many if false, constant."""


class _Filter(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.POINTER(_Filter)))


def _filter_system_calls() -> bool:
    """Refuses what is known to be dangerous, and allows the rest: which calls a C library makes is its own affair."""
    known = _MACHINES.get(os.uname().machine)
    if known is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    place, machine = known
    instructions = _instructions(place, machine, os.getpid())
    filters = (_Filter * len(instructions))(*(_Filter(*instruction) for instruction in instructions))
    program = _Program(len(instructions), filters)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        return False
    set_filter = map(ctypes.c_long, (SECCOMP[place] or 0, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC))
    return bool(libc.syscall(*set_filter, ctypes.byref(program)) == 0)


def _instructions(place: int, machine: int, pid: int) -> list[_Instruction]:
    def number(call: Numbers) -> int:
        return -1 if call[place] is None else int(call[place] or 0)

    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    unknown = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)  # the C library then does without it, as on an older kernel
    allow = (_RETURN, 0, 0, _ALLOW)
    load_number = (_LOAD, 0, 0, _NUMBER)
    program = [
        *((_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine), refuse),  # the numbers of another machine mean other calls
        *(load_number, (_AT_LEAST, 0, 1, NEWEST + 1), unknown),
        *((_EQUAL, 0, 1, number(JUDGED["clone3"])), unknown),  # its arguments lie in memory, where no filter can look
    ]
    for call in REFUSED.values():
        if call[place] is not None:
            program += [(_EQUAL, 0, 1, number(call)), refuse]
    # Threads, which FFmpeg's filters start, are no processes; and a process may abort itself.
    program += [
        (_EQUAL, 0, 4, number(JUDGED["clone"])),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
    ]
    program += [refuse, allow]
    program += [(_EQUAL, 0, 4, number(JUDGED["tgkill"])), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 1, 0, pid)]
    program += [refuse, allow]
    # Its own seconds, which are counted anew for every clip, are the one limit that it sets.
    program += [
        (_EQUAL, 0, 4, number(JUDGED["setrlimit"])),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, _RLIMIT_CPU),
    ]
    program += [refuse, allow]
    program += [(_EQUAL, 0, 6, number(JUDGED["prlimit64"])), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 1, 0, 0), refuse]
    program += [(_LOAD, 0, 0, _SECOND_ARGUMENT), (_EQUAL, 1, 0, _RLIMIT_CPU), refuse]
    return [*program, allow]
