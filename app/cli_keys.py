"""`vouch keys`: makes, lists, rotates and revokes API keys, by the service where one runs, else in the database itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.table import Column, Table

from app.access import SCOPES
from app.api.key_schema import KeyAnswer, KeyIn, KeyList, MadeKeyAnswer, RotationIn
from app.cli_options import AsJson, Url, ask_the_service, read_key
from app.cli_sentences import sentences
from app.errors import StoreInUse
from app.records import DEFAULT_TENANT
from app.settings import load_settings
from app.usecases.keys import ApiKeys

keys = typer.Typer(no_args_is_help=True, help="API keys: who may ask, for which tenant, and what.")


class Keys(Protocol):
    def create(self, body: KeyIn) -> MadeKeyAnswer: ...
    def list(self) -> KeyList: ...
    def revoke(self, key_id: str) -> None: ...
    def rotate(self, key_id: str, body: RotationIn) -> MadeKeyAnswer: ...


class StoredKeys:
    """Those of the database."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._keys = api_keys

    def create(self, body: KeyIn) -> MadeKeyAnswer:
        return MadeKeyAnswer.of_made(self._keys.create(body.name, body.tenant, body.scopes, body.expires_at))

    def list(self) -> KeyList:
        return KeyList(keys=[KeyAnswer.of(key) for key in self._keys.list()])

    def revoke(self, key_id: str) -> None:
        self._keys.revoke(key_id)

    def rotate(self, key_id: str, body: RotationIn) -> MadeKeyAnswer:
        return MadeKeyAnswer.of_made(self._keys.rotate(key_id, timedelta(seconds=body.overlap_s)))


KeyFile = Annotated[Path | None, typer.Option(help="File of a key with the scope admin; default VOUCH_API_KEY.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `vouch keys list` shows it.")]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do, again for more: {', '.join(SCOPES)}.")],
    tenant: Annotated[str, typer.Option(help="Whose speakers it sees.")] = DEFAULT_TENANT,
    expires_days: Annotated[int | None, typer.Option(min=1, max=36500, help="Days until it ends.")] = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Makes a key and shows it, once."""
    expires_at = None if expires_days is None else datetime.now(UTC) + timedelta(days=expires_days)
    with sentences(), _opened(url, key_file) as opened:
        sent = {"name": name, "tenant": tenant, "scopes": scope, "expires_at": expires_at}
        _show_made(opened.create(KeyIn.model_validate(sent)), as_json)


@keys.command("list")
def list_keys(url: Url = None, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """Lists every key, never the keys themselves."""
    with sentences(), _opened(url, key_file) as opened:
        found = opened.list()
    if as_json:
        typer.echo(found.model_dump_json())
        return
    # The id is what `revoke` asks for: it is never cut.
    table = Table(Column("id", no_wrap=True, min_width=16), "name", "tenant", "scopes", "created", "last used", "state")
    for key in found.keys:
        used = "" if key.last_used_at is None else f"{key.last_used_at:%Y-%m-%d %H:%M}"
        created = f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.key_id, key.name, key.tenant, " ".join(key.scopes), created, used, _state(key))
    Console().print(table)


@keys.command()
def revoke(key_id: KeyId, url: Url = None, key_file: KeyFile = None, as_json: AsJson = False) -> None:
    """Revokes a key, at once and for good."""
    with sentences(), _opened(url, key_file) as opened:
        opened.revoke(key_id)
    typer.echo(json.dumps({"revoked": key_id}) if as_json else f"Revoked {key_id}.")


@keys.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[float, typer.Option(min=0, max=720, help="How long the old key stays valid.")] = 0,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Makes a key that may do the same, and ends the old one."""
    with sentences(), _opened(url, key_file) as opened:
        _show_made(opened.rotate(key_id, RotationIn(overlap_s=round(3600 * overlap_hours))), as_json)


def _show_made(made: MadeKeyAnswer, as_json: bool) -> None:
    if as_json:
        typer.echo(made.model_dump_json())
        return
    typer.echo(f"{made.about.key_id}, for {made.about.name!r}. Keep the key now; it is not shown again:", err=True)
    typer.echo(made.key)


def _state(key: KeyAnswer) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid to' if datetime.now(UTC) < key.expires_at else 'expired'} {key.expires_at:%Y-%m-%d %H:%M}"


@contextmanager
def _opened(url: str | None, key_file: Path | None) -> Iterator[Keys]:
    if url is not None:
        from app.cli_client import client
        from app.cli_served_keys import ServedKeys

        with client(url, read_key(key_file)) as vouch:
            yield ServedKeys(vouch)
        return
    from app.components import open_keys

    try:
        with open_keys(load_settings()) as api_keys:
            yield StoredKeys(api_keys)
    except StoreInUse as error:
        raise ask_the_service(error, "admin") from None
