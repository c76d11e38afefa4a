"""Holds what was acknowledged against what every replica says, and against PostgreSQL's own rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import psycopg
from fault_clients import Wire
from fault_ledger import Ledger, Life, voice_of
from scale_replicas import Fleet
from sqlalchemy import make_url

ROWS = """
    SELECT speaker_id, (metadata ->> 'n')::bigint, array_remove(array_agg(enrollment_id ORDER BY enrollments.seq), NULL)
    FROM speakers LEFT JOIN enrollments USING (tenant, speaker_id)
    WHERE tenant = %s GROUP BY speakers.seq
"""
Lives = Mapping[str, Life]


def differences(
    fleet: Fleet, headers: Mapping[str, str], ledger: Ledger, clips: Mapping[str, bytes], besides: Collection[str]
) -> list[str]:
    """Sentences that begin with their kind: lost, resurrected, twice, gallery. `besides` are speakers of no ledger."""
    errors = _compared("PostgreSQL", _in_database(fleet.url, "faults"), ledger, besides)
    for number, replica in enumerate(fleet.replicas):
        wire = Wire(replica.port, headers)
        errors += _compared(f"replica {number}", _at_replica(wire), ledger, besides)
        told = wire.upload("/v1/identify", [clips[sorted(clips)[0]]], {"top_k": "100"})
        found = {one["speaker_id"] for one in told.body["candidates"]}
        enrolled = {name for name, life in ledger.lives.items() if life.enrollments}
        if found != enrolled:
            errors.append(f"gallery: replica {number} finds {sorted(found)}, and enrolled are {sorted(enrolled)}")
        wire.close()
    return errors


def _compared(where: str, seen: Lives, ledger: Ledger, besides: Collection[str]) -> list[str]:
    errors = []
    for name in sorted({*seen, *ledger.lives} - set(besides)):
        life, found = ledger.lives.get(name), seen.get(name)
        if found == life:
            continue
        if life is None or (found and ledger.gone & set(found.enrollments)):
            kind = "resurrected"
        elif found is None or set(life.enrollments) - set(found.enrollments) or found.value != life.value:
            kind = "lost"
        else:
            kind = "twice"
        errors.append(f"{kind}: {where} has {found} as {name}, and {life} was acknowledged")
    return errors


def _in_database(url: str, tenant: str) -> Lives:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        rows = connection.execute(ROWS, [tenant]).fetchall()
    return {name: Life(voice_of(name), n, tuple(enrollments)) for name, n, enrollments in rows}


def _at_replica(wire: Wire) -> Lives:
    found = {}
    for speaker in wire.ask("GET", "/v1/speakers?limit=200").body["speakers"]:
        name = speaker["speaker_id"]
        enrollments = wire.ask("GET", f"/v1/speakers/{name}/enrollments").body["enrollments"]
        found[name] = Life(voice_of(name), speaker["metadata"]["n"], tuple(one["enrollment_id"] for one in enrollments))
    return found
