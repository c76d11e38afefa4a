"""What a voice command ends with: never, by accident, with a decision."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from app.cli_status import VoiceCommand
from cli_runs import run


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["comprae", "a.wav", "b.wav"], "No such command 'comprae'"),
        (["speakers", "lsit"], "No such command 'lsit'"),
        (["--nonsense"], "--nonsense"),
        (["compare", "a.wav", "b.wav", "--nonsense"], "--nonsense"),
        (["keys", "--nonsense"], "--nonsense"),
        (["serve", "--port", "x"], "--port"),
        (["backup"], "Missing argument"),
        (["keys", "create"], "Missing argument"),
        ([], ""),
        (["audit"], ""),
    ],
    ids=" ".join,
)
def test_a_wrong_command_option_or_argument_is_an_error(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 3
    assert sentence in result.stderr


@pytest.mark.parametrize("command", [[], ["compare"], ["keys"], ["keys", "create"], ["serve"]], ids=" ".join)
def test_help_is_no_error(command: list[str]) -> None:
    assert run(*command, "--help").exit_code == 0
