"""What a voice command ends with: never, by accident, with a decision."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from app.cli_status import VoiceCommand


def failing(error: BaseException) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command(cls=VoiceCommand)
    def command(number: int = 0) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError("a mistake"), 3),
        (BrokenPipeError(), 3),
        (typer.BadParameter("wrong"), 3),
        (typer.Exit(1), 1),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
    ],
)
def test_only_a_decision_is_status_1_or_2(error: BaseException, status: int) -> None:
    assert CliRunner().invoke(failing(error), []).exit_code == status


def test_a_mistake_shows_where_it_is() -> None:
    assert "ZeroDivisionError: a mistake" in CliRunner().invoke(failing(ZeroDivisionError("a mistake")), []).stderr


def test_a_wrong_option_is_an_error_and_help_is_none() -> None:
    runner, app = CliRunner(), failing(typer.Exit(1))
    assert [runner.invoke(app, [option]).exit_code for option in ("--nonsense", "--number=x", "--help")] == [3, 3, 0]
