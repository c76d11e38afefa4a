"""`vouch enroll-all`: everybody in a manifest, once, also where it is killed and run again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app.cli_answers import say
from app.cli_clips import ClipFile, by_file, with_progress
from app.cli_manifest import JOURNAL_SUFFIX, Journal, Row, idempotency_key, open_journal, read_manifest
from app.cli_options import AsJson, KeyFile, Url
from app.cli_sentences import sentences
from app.cli_status import ERROR
from app.cli_voices import Tenant, Voices, enroll_or_make, opened
from app.errors import IdempotencyConflict, ModelMismatch
from app.records import DEFAULT_TENANT
from model.errors import AudioError, InvalidArgument, QualityError, ServiceError, VouchError

OF_A_ROW = (InvalidArgument, AudioError, QualityError, ModelMismatch, IdempotencyConflict)
"""What is wrong with one row. Anything else would be wrong with the next one too, and stops the run."""


@dataclass(frozen=True)
class Failed:
    row: Row
    code: str
    detail: str


def enroll_all(
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST", help="CSV: speaker_id,path[,display_name].")],
    tenant: Tenant = DEFAULT_TENANT,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Enrols every clip of a manifest. Run it again after a stop of any kind: nobody is enrolled twice.

    Paths are from the manifest's folder. A row that fails is told at the end, with status 3, and stops no other.
    """
    with sentences(ERROR):
        rows = read_manifest(manifest)
        n_enrolled, failed = 0, list[Failed]()
        with (
            opened(url, key_file, "enroll", tenant) as voices,
            open_journal(manifest, voices.place) as journal,
            _threads(voices.n_side_by_side) as threads,
        ):
            begun = [threads.submit(_enroll_row, voices, journal, manifest.parent, row) for row in rows]
            for row, enrolled in with_progress(zip(rows, begun, strict=True), "enrolling", len(rows)):
                try:
                    n_enrolled += enrolled.result()
                except OF_A_ROW as error:
                    failed.append(Failed(row, error.code, by_file(error, {"clip 1 of 1": row.path})))
                except VouchError as error:
                    raise ServiceError(
                        f"Line {row.line}: {error} Stopped there. Run the same command again to go on."
                    ) from error
    _tell(manifest, n_enrolled, len(rows) - n_enrolled - len(failed), failed, as_json=as_json)
    raise typer.Exit(ERROR if failed else 0)


@contextmanager
def _threads(n_threads: int) -> Iterator[ThreadPoolExecutor]:
    """Left early, it waits for what has begun, and the rest never begins."""
    pool = ThreadPoolExecutor(n_threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _enroll_row(voices: Voices, journal: Journal, folder: Path, row: Row) -> bool:
    """False where it was done before. Raises a VouchError."""
    if row.problem is not None:
        raise InvalidArgument(row.problem)
    audio = ClipFile(folder / row.path).read()
    key = idempotency_key(row.speaker_id, audio)
    if journal.has(key):
        return False
    enroll_or_make(voices, row.speaker_id, row.display_name, [audio], idempotency_key=key)
    # After the enrolment: killed in between, the next run sends it again under the same key, which writes nothing.
    journal.add(key)
    return True


def _tell(manifest: Path, n_enrolled: int, n_before: int, failed: Sequence[Failed], *, as_json: bool) -> None:
    if as_json:
        told = [
            {
                "line": one.row.line,
                "speaker_id": one.row.speaker_id,
                "path": one.row.path,
                "code": one.code,
                "detail": one.detail,
            }
            for one in failed
        ]
        typer.echo(json.dumps({"enrolled": n_enrolled, "enrolled_before": n_before, "failed": told}))
        return
    for one in failed:
        typer.echo(f"vouch: {manifest}, line {one.row.line}, {one.row.speaker_id or 'nobody'}: {one.detail}", err=True)
    say(
        f"{n_enrolled} clips enrolled, {n_before} were enrolled before (by {manifest.name}{JOURNAL_SUFFIX}), "
        f"{len(failed)} failed."
    )
