"""How a command fails: with a sentence, and status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from model.errors import VouchError


@contextmanager
def sentences() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        said = " ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}." for one in error.errors())
        typer.echo(f"vouch: {said}", err=True)
    except VouchError as error:
        typer.echo(f"vouch: {error}", err=True)
    else:
        return
    raise typer.Exit(2) from None
