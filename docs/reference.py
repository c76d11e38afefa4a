"""docs/api.md out of the OpenAPI document: every call with its fields, statuses, an example and a curl to type.

    curl -fsS http://127.0.0.1:8000/openapi.json | python docs/reference.py > docs/api.md

Needs nothing but Python and the document. What erases comes last, so that the calls of the page can be typed in its order.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

SERVICE = "http://127.0.0.1:8000"
CLIPS = {
    "audio_a": ("speaker-a-1.ogg",),
    "audio_b": ("speaker-a-2.ogg",),
    "audio": ("speaker-a-3.ogg",),
    "several": ("speaker-a-1.ogg", "speaker-a-2.ogg"),
}
"""Which of examples/clips a field of a form is given; `several` where it takes more than one."""
NAMED = {"speaker_id": "alice", "enrollment_id": "$ENROLLMENT_ID", "key_id": "$KEY_ID"}
LISTED = {"enrollment_id": "/v1/speakers/alice/enrollments", "key_id": "/v1/keys"}
"""Where an id that the service chose is read from: the last of the list."""

INTRODUCTION = """\
# API reference

Made from the OpenAPI document of release {version} by `docs/reference.py`; do not edit. The service itself has the document at `/openapi.json`. New
here? Begin with the [quickstart](quickstart.md).

{description}

The calls below can be typed in this order, in the repository's folder, after `make install`. They need a key with every scope, made while no service
runs. With a key a database asks for one for good, so this is one of its own:

```sh
. .venv/bin/activate
export VOUCH_DATA_DIR=runs/reference
export VOUCH_API_KEY=$(vouch keys create reference {scopes} --json |
    python -c 'import json, sys; print(json.load(sys.stdin)["key"])')
```

and a service, in a second terminal. Raw embeddings are off unless asked for:

```sh
VOUCH_DATA_DIR=runs/reference VOUCH_EMBEDDINGS_ENABLED=1 .venv/bin/vouch serve
```

Every call may also answer 500 `internal_error`. What each code means is in [Errors](errors.md), what the words mean in the [Glossary](glossary.md), and
which key may do what in [Keys](keys.md). `WS /v1/speakers/{{speaker_id}}/verify/stream`, which OpenAPI cannot describe, is in [Streaming](streaming.md).
"""


def reference(document: Mapping[str, Any]) -> str:
    """The page as Markdown, of an OpenAPI 3.1 document."""
    info, schemas = document["info"], document["components"]["schemas"]
    scopes = schemas["KeyIn"]["properties"]["scopes"]["items"]["enum"]
    parts = [
        INTRODUCTION.format(
            version=info["version"],
            description=info["description"],
            scopes=" ".join(f"--scope {scope}" for scope in scopes),
        )
    ]
    calls = [
        (method, path, call)
        for tag in document["tags"]
        for path, methods in document["paths"].items()
        for method, call in methods.items()
        if call["tags"] == [tag["name"]]
    ]
    for tag in document["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        parts += [section(*call) for call in calls if call[2]["tags"] == [tag["name"]] and call[0] != "delete"]
    parts.append("## Erase and revoke\n\nThere is no undo.\n")
    ending = [call for call in calls if call[0] == "delete"]
    # What lies deeper goes first: with the speaker its enrollments are gone.
    parts += [section(*call) for call in sorted(ending, key=lambda call: -call[1].count("/"))]
    parts.append(
        "## Objects\n\nFields that may be left out of a request are marked; an answer has all of its fields.\n"
    )
    parts += [schema_section(name, schemas[name]) for name in sorted(schemas)]
    return "\n".join(parts)


def section(method: str, path: str, call: Mapping[str, Any]) -> str:
    asked = call["summary"] if call["summary"].endswith("?") else f"{call['summary']}."
    lines = [f"### {method.upper()} {path}", "", f"**{asked}** {' '.join(call['description'].split())}", ""]
    lines += [f"Key: {needed_key(call)}.", "", "```sh", curl(method, path, call), "```", ""]
    fields = [*parameters(call), *body_fields(call)]
    if fields:
        lines += ["| field | in | type | |", "| --- | --- | --- | --- |", *fields, ""]
    lines += answers(call)
    return "\n".join(lines)


def needed_key(call: Mapping[str, Any]) -> str:
    if not call["security"]:
        return "none"
    scopes = next(iter(call["security"][0].values()))
    return ", ".join(f"scope `{scope}`" for scope in scopes) or "any"


def parameters(call: Mapping[str, Any]) -> Iterator[str]:
    for one in call.get("parameters", []):
        yield row(one["name"], one["in"], one["schema"], one["required"])


def body_fields(call: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        if "$ref" in schema:
            yield f"| the body | JSON | {type_of(schema)} | |"
        for name, field in schema.get("properties", {}).items():
            yield row(name, "form" if kind.startswith("multipart") else "JSON", field, name in schema["required"])


def row(name: str, where: str, schema: Mapping[str, Any], required: bool) -> str:
    return f"| `{name}`{'' if required else ', may be left out'} | {where} | {type_of(schema)} | {meaning(schema)} |"


def answers(call: Mapping[str, Any]) -> list[str]:
    lines = []
    for status, answer in call["responses"].items():
        if status.startswith("2"):
            content = answer.get("content", {})
            for media in content.values():
                kind = f", {type_of(media['schema'])}" if "$ref" in media.get("schema", {}) else ""
                lines += [f"**{status}**{kind}: {answer['description']}", ""]
                if isinstance(media["example"], dict):
                    lines += ["```json", json.dumps(media["example"], indent=1, ensure_ascii=False), "```", ""]
                else:
                    lines += ["```text", str(media["example"]).rstrip("\n"), "```", ""]
            if not content:
                lines += [f"**{status}**, without a body: {answer['description']}", ""]
    refused = [
        f"{status} {', '.join(f'`{code}`' for code in media['examples'])}"
        for status, answer in call["responses"].items()
        if not status.startswith("2") and status != "500"
        for media in answer["content"].values()
    ]
    return [*lines, f"Refused: {'; '.join(refused)}.", ""]


def curl(method: str, path: str, call: Mapping[str, Any]) -> str:
    """A command that works as it stands, after those above it on the page."""
    words = ["curl -fsS"]
    if call["security"]:
        words.append('-H "X-API-Key: $VOUCH_API_KEY"')
    if method in ("patch", "delete"):
        words.append(f"-X {method.upper()}")
    for kind, content in call.get("requestBody", {}).get("content", {}).items():
        if kind.startswith("multipart"):
            words += form(content["schema"])
        else:
            example = next(iter(content["examples"].values()))["value"]
            # A consent would end one day, and the command with it.
            short = {
                name: value for name, value in example.items() if value is not None and not isinstance(value, dict)
            }
            words.append(f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(short))}")
    address, before = f"{SERVICE}{path}", ""
    for name, value in NAMED.items():
        if f"{{{name}}}" in path:
            address = address.replace(f"{{{name}}}", value)
            before = last_of(name) if name in LISTED else ""
    return f"{before}{' '.join(words)} \\\n    {address}"


def form(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema["properties"].items():
        if name in schema["required"]:
            for clip in CLIPS["several" if field["type"] == "array" else name]:
                yield f"-F {name}=@examples/clips/{clip}"


def last_of(name: str) -> str:
    """Reads into a variable the id of what was made last."""
    path = LISTED[name]
    program = f'import json, sys; print(json.load(sys.stdin)["{path.rpartition("/")[2]}"][-1]["{name}"])'
    listed = f'curl -fsS -H "X-API-Key: $VOUCH_API_KEY" {SERVICE}{path}'
    return f"{NAMED[name][1:]}=$({listed} |\n    python -c '{program}')\n"


def schema_section(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f"### {name}", ""]
    if "description" in schema:
        lines += [" ".join(schema["description"].split()), ""]
    lines += ["| field | type | |", "| --- | --- | --- |"]
    for field, of_field in schema["properties"].items():
        left_out = "" if field in schema.get("required", ()) else ", may be left out"
        lines.append(f"| `{field}`{left_out} | {type_of(of_field)} | {meaning(of_field)} |")
    return "\n".join([*lines, ""])


def type_of(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        inner = f" of {type_of(schema['items'])}" if "items" in schema else f" of {schema['maxItems']} numbers"
        return f"list{inner}"
    if schema.get("format") in ("binary", "date-time"):
        return {"binary": "file", "date-time": "time"}[schema["format"]]
    return str({"object": "object"}.get(schema["type"], schema["type"]))


def meaning(schema: Mapping[str, Any]) -> str:
    words = [" ".join(schema.get("description", "").split())]
    bounds = [schema, *schema.get("anyOf", [])]
    for key, text in LIMITS.items():
        words += [text.format(_plain(one[key])) for one in bounds if key in one]
    if schema.get("default") is not None:
        words.append(f"Default `{schema['default']}`.")
    return " ".join(word for word in words if word).replace("|", "\\|")


def _plain(limit: Any) -> str:
    """The framework writes some whole limits as floats."""
    return f"{limit:.0f}" if isinstance(limit, float) and limit.is_integer() else str(limit)


LIMITS = {
    "minimum": "At least {}.",
    "ge": "At least {}.",
    "maximum": "At most {}.",
    "le": "At most {}.",
    "maxLength": "At most {} characters.",
    "pattern": "Matches `{}`.",
}
"""Keyword of a schema -> how the page says it."""


def main() -> None:
    sys.stdout.write(reference(json.load(sys.stdin)))


if __name__ == "__main__":
    main()
