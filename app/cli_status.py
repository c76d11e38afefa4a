"""What the exit status of a voice command says: a script goes by it, and need not read."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from model.decision import Outcome

STATUS: Mapping[Outcome, int] = {"accept": 0, "reject": 1, "inconclusive": 2}
ERROR = 3
INTERRUPTED = 130
"""As a shell has it for SIGINT."""


class AllCommands(TyperGroup):
    """The root. A wrong command, option or argument ends with `ERROR`: typer's own 2 would be a decision."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _wrong_use_is_an_error():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with _wrong_use_is_an_error():  # of the commands below, which are parsed here
            return super().invoke(ctx)


@contextmanager
def _wrong_use_is_an_error() -> Iterator[None]:
    try:
        yield
    except typer.Exit:  # a command's own status, or --help's 0
        raise
    except Exception as error:
        wrong: Any = error
        # Which class it is of depends on typer's release.
        if hasattr(wrong, "exit_code"):
            wrong.exit_code = ERROR
        raise


class VoiceCommand(TyperCommand):
    """Whatever fails, fails with `ERROR`: Python's own 1 would be a decision here."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except (KeyboardInterrupt, typer.Abort):
            raise typer.Exit(INTERRUPTED) from None
        except Exception:
            traceback.print_exc()
            raise typer.Exit(ERROR) from None
