"""`vouch bench`: how many requests this machine does, and what the time goes to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli_answers import say
from app.cli_clips import STDIN, by_file, clip_files, with_progress
from app.cli_options import AsJson
from app.cli_sentences import sentences
from app.cli_status import ERROR
from app.cli_threads import one_thread_per_library
from app.records import DEFAULT_TENANT
from app.settings import load_settings
from model.errors import AudioError, InvalidArgument

if TYPE_CHECKING:
    from app.cli_load import Measured, Request
    from app.stages import Stage
    from app.usecases.catalogue import UseCases

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "clips"
SPEAKER = "bench"


def bench(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Clips, or folders of clips; default examples/clips.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long each of six measurements takes.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """How many comparisons and verifications does this machine do a second?

    In this process, with one caller, as many as there are cores, and twice as many. HTTP is not in it. Nothing is stored.
    """
    with sentences(ERROR):
        settings = load_settings()
        chosen = files or [EXAMPLES]
        if STDIN in map(str, chosen):
            raise InvalidArgument("Standard input is one clip, and a bench hears clips again and again; give files.")
        if files is None and not EXAMPLES.is_dir():
            raise InvalidArgument(f"There are no clips at {EXAMPLES}, which come with the sources; give some of yours.")
        clips = {file.name: file.read() for file in clip_files(chosen)}
        one_thread_per_library()
        from app.cli_load import measure
        from app.cli_local import built

        with built(settings, keeps_nothing=True) as parts:
            # One clip is enough to be verified against.
            use_cases = parts.use_cases(settings.model_copy(update={"enroll_min_speech_s": settings.min_speech_s}))
            clip_s = _hear_all(use_cases, clips)
            requests = _requests(use_cases, list(clips.values()))
            cores = settings.workers
            plan = [(what, n_callers) for what in requests for n_callers in sorted({1, cores, 2 * cores})]
            found: dict[str, list[Measured]] = {what: [] for what in requests}
            for what, n_callers in with_progress(plan, "measuring", len(plan)):
                found[what].append(measure(parts.work, requests[what], n_callers, seconds))
    source = "the examples that come with Vouch" if files is None else "your clips"
    _tell(found, clip_s, f"{len(clips)} of {source}", cores, as_json=as_json)


def _hear_all(use_cases: UseCases, clips: Mapping[str, bytes]) -> float:
    """Their mean length in seconds. Raises InvalidArgument for one on which nothing can be measured."""
    durations_s = []
    for name, clip in clips.items():
        try:
            heard = use_cases.compare(clip, clip)
        except AudioError as error:
            raise InvalidArgument(by_file(error, {"audio_a": name})) from error
        if heard.decision.outcome == "inconclusive":
            raise InvalidArgument(
                f"{name} decides nothing ({', '.join(heard.decision.reasons)}); give a clip of a voice."
            )
        durations_s.append(heard.clips[0].quality.duration_s)
    return sum(durations_s) / len(durations_s)


def _requests(use_cases: UseCases, clips: Sequence[bytes]) -> Mapping[str, Request]:
    """By name. Each compares or verifies the clips by turns."""
    speakers = use_cases.speakers
    speakers.create(DEFAULT_TENANT, SPEAKER, None, {}, None)
    # Who speaks is all the same for the time it takes.
    use_cases.enroll(DEFAULT_TENANT, SPEAKER, clips, is_forced=True)

    def compare(number: int) -> object:
        return use_cases.compare(clips[number % len(clips)], clips[(number + 1) % len(clips)])

    def verify(number: int) -> object:
        return use_cases.verify(DEFAULT_TENANT, SPEAKER, clips[number % len(clips)])

    return {"compare": compare, "verify": verify}


def _tell(found: Mapping[str, Sequence[Measured]], clip_s: float, clips: str, cores: int, *, as_json: bool) -> None:
    if as_json:
        measured = {what: [asdict(one) for one in rounds] for what, rounds in found.items()}
        typer.echo(json.dumps({"mean_clip_s": round(clip_s, 3), "cores": cores, **measured}))
        return
    table = Table("request", "callers", "a second", "p50 ms", "p95 ms", "what the time goes to")
    for what, rounds in found.items():
        for one in rounds:
            row = [f"{one.per_second:.1f}", f"{one.p50_ms:.0f}", f"{one.p95_ms:.0f}", _shares(one.stage_ms)]
            table.add_row(what, str(one.n_callers), *row)
    Console().print(table)
    compared, verified = (max(one.per_second for one in found[what]) for what in ("compare", "verify"))
    say(
        f"This machine does about {compared:.0f} comparisons or {verified:.0f} verifications a second of clips of {clip_s:.1f} s, "
        f"with {cores} workers and without HTTP. Measured on {clips}."
    )


def _shares(stage_ms: Mapping[Stage, float]) -> str:
    """Whole percent, the most first."""
    total_ms = sum(stage_ms.values())
    ranked = sorted(stage_ms.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {took_ms / total_ms:.0%}" for name, took_ms in ranked if took_ms >= 0.01 * total_ms)
