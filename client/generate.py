"""Writes `vouch_client/schemas.py` from the service's OpenAPI document.

    python client/generate.py

Runs where the service and ruff are installed, as `make install-dev` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent / "vouch_client" / "schemas.py"
HEAD = '''"""What goes over the wire, as typed dicts. Made from the service's OpenAPI document by `generate.py`; do not edit.

Times are ISO 8601 with a time zone. A later service may answer with more fields.
"""

from typing import Any, Literal, NotRequired, TypedDict
'''
LEFT_OUT = {"Problem", "Live", "Ready"}
"""An error is an exception here, and a probe a bool."""
WIDTH = 110
_PREFIX = "#/components/schemas/"
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

Schema = Mapping[str, Any]


def module(document: Schema) -> str:
    """The whole file, formatted. Raises ValueError for a schema of a kind that no typed dict has."""
    schemas: Schema = document["components"]["schemas"]
    classes = [_typed_dict(name, schemas[name]) for name in _ordered(schemas)]
    # The project's own formatter, so that what is committed passes its checks.
    formatted = subprocess.run(  # nosec B603 # our own command
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"],
        input="\n\n".join([HEAD, *classes]),
        cwd=TARGET.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return formatted.stdout


def python_type(schema: Schema) -> str:
    """A schema as an annotation."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_PREFIX)
    if "anyOf" in schema:
        return " | ".join(python_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return f"Literal[{', '.join(map(json.dumps, schema['enum']))}]"
    if "const" in schema:
        return f"Literal[{json.dumps(schema['const'])}]"
    kind = schema.get("type")
    if kind == "array" and "prefixItems" in schema:
        # JSON has no tuples: what arrives is a list.
        return f"list[{' | '.join(dict.fromkeys(map(python_type, schema['prefixItems'])))}]"
    if kind == "array":
        return f"list[{python_type(schema['items'])}]"
    if kind == "object" and "properties" not in schema:
        values = schema.get("additionalProperties", True)
        return f"dict[str, {'Any' if values is True else python_type(values)}]"
    if kind in _PLAIN:
        return _PLAIN[kind]
    raise ValueError(f"no annotation for {schema}")


def _typed_dict(name: str, schema: Schema) -> str:
    lines = [f"class {name}(TypedDict):", *_docstring(schema)]
    required = set(schema.get("required", []))
    for field, about in schema["properties"].items():
        annotation = python_type(about)
        lines.append(f"    {field}: {annotation if field in required else f'NotRequired[{annotation}]'}")
        lines += _docstring(about)
    return "\n".join(lines) + "\n"


def _docstring(schema: Schema) -> Iterator[str]:
    if "description" not in schema:
        return
    paragraphs = str(schema["description"]).split("\n\n")
    wrapped = "\n\n".join(textwrap.fill(paragraph, WIDTH) for paragraph in paragraphs)
    yield textwrap.indent(f'"""{wrapped}"""', "    ")


def _ordered(schemas: Schema) -> Iterator[str]:
    """Names, each after those that it refers to: annotations that are evaluated tell what may be left out."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done:
            return
        done.add(name)
        for other in schemas:
            if f'"{_PREFIX}{other}"' in json.dumps(schemas[name]):
                yield from visit(other)
        yield name

    for name in schemas:
        if name not in LEFT_OUT:
            yield from visit(name)


def main() -> None:
    sys.path.insert(0, str(TARGET.parents[2]))
    from app.main import create_app
    from app.settings import Settings

    TARGET.write_text(module(create_app(Settings()).openapi()), encoding="utf-8")


if __name__ == "__main__":
    main()
