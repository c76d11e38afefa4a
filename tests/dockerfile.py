"""The Dockerfile, read: what the image sets, and who it runs as."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list[tuple[str, str]]:
    """As (INSTRUCTION, arguments), its comments gone and its continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line.strip()]


def arguments(instruction: str) -> list[str]:
    return [text for name, text in instructions() if name == instruction]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    return every[max(index for index, (name, _) in enumerate(every) if name == "FROM") :]


def environment() -> dict[str, str]:
    """What the image sets."""
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(text for name, text in final_stage() if name == "ENV")))


def port() -> int:
    return int(arguments("EXPOSE")[0])


def user() -> tuple[int, int]:
    """uid and gid."""
    uid, _, gid = dict(final_stage())["USER"].partition(":")
    return int(uid), int(gid)


def vouch_variables(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name.startswith("VOUCH_")}
