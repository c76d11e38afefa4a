"""What the exit status of a voice command says: a script goes by it, and need not read."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand

from model.decision import Outcome

STATUS: Mapping[Outcome, int] = {"accept": 0, "reject": 1, "inconclusive": 2}
ERROR = 3
INTERRUPTED = 130
"""As a shell has it for SIGINT."""


class VoiceCommand(TyperCommand):
    """Whatever fails, fails with `ERROR`: Python's own 1 and a wrong option's 2 would be decisions here."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            wrong: Any = error
            # 0 is --help's. Which class the others are of depends on typer's release.
            if getattr(wrong, "exit_code", 0):
                wrong.exit_code = ERROR
            raise

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
