"""The description of the API: OpenAPI for programs, and the same for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi.openapi.utils import get_openapi

from birdwatchd.web.records import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

TROUBLE = "#/components/schemas/Trouble"
REFUSALS = {"401": "No token, or none that is known", "422": "Asked for in a way that means nothing"}
"""What any path may answer, beside what it says itself."""
USUAL = {"401", "404", "422", "503"}
"""What is told once for all of them."""


def describing(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What makes the OpenAPI of the app, once."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            # Refusals are a sentence, and not pydantic's list.
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            schemas["Trouble"] = Trouble.model_json_schema()
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}, {}]
            for _, _, operation in _operations(made):
                content = {"application/json": {"schema": {"$ref": TROUBLE}}}
                for status, words in REFUSALS.items():
                    operation["responses"][status] = {"description": words, "content": content}
            app.openapi_schema = made
        return app.openapi_schema

    return describe


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a path, or one field of what it answers."""

    name: str
    type: str
    meaning: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What can be asked of one path."""

    method: str
    path: str
    summary: str
    words: list[str]
    """Paragraphs."""
    parameters: list[Field]
    body: list[Field]
    answers: list[tuple[str, str]]
    """Status, and what it means or gives."""
    example: str
    """Path and query."""

    @property
    def anchor(self) -> str:
        """For links."""
        return f"{self.method}-{self.path.strip('/').replace('/', '-').replace('{', '').replace('}', '')}".lower()


@dataclass(slots=True)
class Group:
    """Operations on one noun."""

    name: str
    operations: list[Operation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Record:
    """What an answer is made of."""

    name: str
    words: str
    fields: list[Field]


def groups(schema: dict[str, Any]) -> list[Group]:
    """All that can be asked, by noun."""
    found: dict[str, Group] = {}
    for path, method, operation in _operations(schema):
        name = operation.get("tags", ["other"])[0]
        found.setdefault(name, Group(name)).operations.append(_operation(schema, path, method, operation))
    return [found[name] for name in sorted(found)]


def records(schema: dict[str, Any]) -> list[Record]:
    """What answers are made of."""
    made = []
    for name, one in sorted(schema["components"]["schemas"].items()):
        required = one.get("required", ())
        fields = [
            Field(key, _type(inner), _meaning(inner), key in required)
            for key, inner in one.get("properties", {}).items()
        ]
        made.append(Record(name, one.get("description", ""), fields))
    return made


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _operation(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> Operation:
    summary, *words = operation.get("description", operation.get("summary", "")).split("\n\n")
    return Operation(
        method=method,
        path=path,
        summary=" ".join(summary.split()),
        words=[" ".join(one.split()) for one in words],
        parameters=[
            Field(
                one["name"],
                _type(one["schema"]),
                _meaning({**one["schema"], **one}),
                one.get("required", False),
            )
            for one in operation.get("parameters", ())
        ],
        body=list(_body(schema, operation)),
        answers=[
            (status, _answer(one))
            for status, one in sorted(operation["responses"].items())
            if status not in USUAL or "Trouble" not in json.dumps(one)
        ],
        example=_example(path, operation),
    )


def _body(schema: dict[str, Any], operation: dict[str, Any]) -> Iterator[Field]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        one = content["schema"]
        if "$ref" in one:
            one = schema["components"]["schemas"][_name(one)]
        for key, inner in one.get("properties", {}).items():
            yield Field(key, _type(inner), _meaning(inner), key in one.get("required", ()))


def _answer(response: dict[str, Any]) -> str:
    kinds = [
        _type(content["schema"]) if content.get("schema") else kind
        for kind, content in response.get("content", {}).items()
    ]
    what = ", ".join(kinds)
    words = response.get("description", "")
    plain = words if words not in {"Successful Response", ""} else ""
    return f"{plain} ({what})" if plain and what else plain or what or words


def _example(path: str, operation: dict[str, Any]) -> str:
    query = []
    for one in operation.get("parameters", ()):
        given = one.get("examples") or one["schema"].get("examples")
        value = next(iter(given)) if isinstance(given, list) and given else None
        if value is None and one["in"] == "path":
            value = "{" + one["name"] + "}"
        if value is None:
            continue
        if one["in"] == "path":
            path = path.replace("{" + one["name"] + "}", str(value))
        elif one["in"] == "query":
            query += [(one["name"], each) for each in (value if isinstance(value, list) else [value])]
    return f"{path}?{urlencode(query)}" if query else path


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _meaning(schema: dict[str, Any]) -> str:
    words = " ".join(str(schema.get("description", "")).split())
    default = schema.get("default")
    said = f"{json.dumps(default)} when left out." if default not in (None, [], "") else ""
    return " ".join(filter(None, (words, said)))


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _name(schema)
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_type(inner)}" if isinstance(inner, dict) else "object"
    bounds = [
        f"{sign} {schema[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("format") or schema.get("type", "anything")), *bounds])
