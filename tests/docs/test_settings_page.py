"""docs/settings.md is the settings class as a table: every setting, its default and its meaning."""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from app.settings import Settings, variable

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def default_of(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the cores it may use"
    if field.default is None:
        return "none"
    if isinstance(field.default, bool):
        return f"`{int(field.default)}`"
    if isinstance(field.default, float):
        return f"`{field.default:g}`"
    return f"`{field.default}`"


def test_the_table_is_the_settings_class() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `VOUCH_")]
    expected = [
        f"| `{variable(name)}` | {default_of(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    assert rows == expected
