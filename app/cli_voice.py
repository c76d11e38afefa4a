"""`vouch compare`, `enroll`, `verify` and `identify`: in this process, or by a running service."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.api.forms import DEFAULT_TOP_K, MAX_TOP_K, MIN_TOP_K
from app.cli_answers import say, show_enrolled, show_identification, show_verification
from app.cli_clips import STDIN, ClipFile, Files, by_file, clip_files, with_progress
from app.cli_options import AsJson, KeyFile, Url
from app.cli_sentences import sentences
from app.cli_status import ERROR, STATUS
from app.cli_voices import OperatingPoint, Tenant, Voices, enroll_or_make, opened
from app.records import DEFAULT_TENANT
from app.settings import Settings
from model.errors import AudioError, InvalidArgument, VouchError

N_CLIPS_PER_CALL: int = Settings.model_fields["max_clips"].default

Answer = TypeVar("Answer", bound=Mapping[str, Any])
SpeakerId = Annotated[str, typer.Argument(metavar="SPEAKER", help="The speaker's id.")]
Clip = Annotated[Path, typer.Argument(metavar="FILE", help=f"A clip, or {STDIN} for standard input.")]


def compare(
    file: Clip,
    others: Files,
    operating_point: OperatingPoint = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Are two clips one voice? FILE is compared with each of the others, and nothing is stored.

    Status: 0 accept, 1 reject, 2 inconclusive, 3 an error; of several the highest.
    """
    with sentences(ERROR):
        if file.is_dir():
            raise InvalidArgument(f"The first one, {file}, is a folder; it must be one clip.")
        first, *found = clip_files([file, *others])
        audio_a = first.read()
        with opened(url, key_file, "compare", keeps_nothing=True) as voices:
            status = _ask_each(
                found,
                lambda audio: voices.compare(audio_a, audio, operating_point),
                lambda answer, name: show_verification(answer, [first.name, name]),
                as_json=as_json,
                named={"audio_a": first.name},
            )
    raise typer.Exit(status)


def verify(
    speaker_id: SpeakerId,
    files: Files,
    operating_point: OperatingPoint = None,
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Is each clip that speaker? Status: 0 accept, 1 reject, 2 inconclusive, 3 an error; of several the highest."""
    with sentences(ERROR):
        found = clip_files(files)
        with opened(url, key_file, "verify", tenant) as voices:
            status = _ask_each(
                found,
                lambda audio: voices.verify(speaker_id, audio, operating_point),
                lambda answer, name: show_verification(answer, [name]),
                as_json=as_json,
            )
    raise typer.Exit(status)


def identify(
    files: Files,
    top_k: Annotated[int, typer.Option(min=MIN_TOP_K, max=MAX_TOP_K, help="Most candidates to name.")] = DEFAULT_TOP_K,
    operating_point: OperatingPoint = None,
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Who speaks in each clip, or nobody? Status: 0 somebody, 1 nobody, 2 inconclusive, 3 an error; of several the highest."""
    with sentences(ERROR):
        found = clip_files(files)
        with opened(url, key_file, "identify", tenant) as voices:
            status = _ask_each(
                found,
                lambda audio: voices.identify(audio, top_k, operating_point),
                show_identification,
                as_json=as_json,
            )
    raise typer.Exit(status)


def enroll(
    speaker_id: SpeakerId,
    files: Files,
    display_name: Annotated[str | None, typer.Option(help="Of a speaker who is new.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Take clips that do not sound like the others.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Enrols clips of one speaker, who is made where there is none: all of a call's, up to ten, or none.

    Status 3 where it fails.
    """
    with sentences(ERROR):
        found = clip_files(files)
        with opened(url, key_file, "enroll", tenant) as voices:
            groups = [found[i : i + N_CLIPS_PER_CALL] for i in range(0, len(found), N_CLIPS_PER_CALL)]
            for group in with_progress(groups, "enrolling", len(groups)):
                _enroll_group(voices, speaker_id, group, display_name, is_forced=force, as_json=as_json)


def _enroll_group(
    voices: Voices,
    speaker_id: str,
    files: Sequence[ClipFile],
    display_name: str | None,
    *,
    is_forced: bool,
    as_json: bool,
) -> None:
    names = {f"clip {i} of {len(files)}": file.name for i, file in enumerate(files, 1)}
    clips = [file.read() for file in files]
    try:
        answer = enroll_or_make(voices, speaker_id, display_name, clips, is_forced=is_forced)
    except VouchError as error:
        raise type(error)(by_file(error, names)) from error
    if as_json:
        typer.echo(json.dumps(answer))
    else:
        show_enrolled(answer, list(names.values()))


def _ask_each(
    files: Sequence[ClipFile],
    ask: Callable[[bytes], Answer],
    show: Callable[[Answer, str], None],
    *,
    as_json: bool,
    named: Mapping[str, str] | None = None,
) -> int:
    """The highest status. A clip that cannot be heard is said so, and the others are heard; what else fails is raised."""
    status = 0
    is_only_one = len(files) == 1
    for file in with_progress(files, "listening", len(files)):
        # Which file a line is about shows where there are several; one alone is answered as over HTTP.
        about = {} if is_only_one else {"file": file.name}
        try:
            answer = ask(file.read())
        except AudioError as error:
            status = ERROR
            said = by_file(error, {"audio": file.name, "audio_b": file.name, **(named or {})})
            typer.echo(f"vouch: {said}", err=True)
            if as_json and not is_only_one:
                typer.echo(json.dumps({**about, "code": error.code, "detail": said}))
            continue
        status = max(status, STATUS[answer["decision"]])
        if as_json:
            typer.echo(json.dumps({**about, **answer}))
            continue
        show(answer, file.name)
        if not is_only_one:
            say("")
    return status
