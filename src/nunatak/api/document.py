"""The OpenAPI 3.1 document of the API, completed with what is the same for all routes, and its page for people."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from nunatak import __version__
from nunatak.accounts import policy
from nunatak.api import batches
from nunatak.api.metrics import Metrics
from nunatak.api.problems import MEDIA_TYPE, TITLES
from nunatak.api.views import answers

REF = "#/components/schemas/{model}"
ALWAYS = (401, 403, 413, 422, 503)
EXTRA: dict[str, tuple[int, ...]] = {
    "submit_dataset": (409,), "more_jobs": (409,), "act": (409,), "create_token": (409,), "edit_dataset": (412, 428),
    "edit_recipe": (409, 412, 428),
    "register_engine": (409,), "heartbeat": (409,), "claim": (409,), "report": (409,), "upload_logs": (409,),
    "upload_scripts": (409,),
    "list_leases": (409,), "unheard_claims": (409,),
    "return_tasks": (409,), "leave_engine": (409,), "get_content": (409, 416), "unset_share": (404,),
    "split_dataset": (409,), "drain_node": (404, 409), "undrain_node": (404, 409),
}  # fmt: skip
"""Statuses of single routes, beside those that any route may give."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document; made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title="Nunatak",
        version=__version__,
        openapi_version="3.1.0",
        summary="The HTTP API of a production system.",
        routes=app.routes,
        tags=[
            {"name": name}
            for name in ("datasets", "addresses", "actions", "blobs", "engines", "nodes", "tokens", "server")
        ],
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _, problem = models_json_schema([(answers.Problem, "serialization")], ref_template=REF)
    schemas.update(problem["$defs"])
    for adapter, _ in batches.BODIES.values():
        schema = adapter.json_schema(ref_template=REF)
        schemas.update(schema.pop("$defs", {}))
        schemas[schema["title"]] = schema
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _complete(path, operation)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    app.openapi_schema = document
    return document


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Add errors and scopes to one operation."""
    name = operation["operationId"]
    statuses = {503} if name in policy.PUBLIC else {*ALWAYS, *EXTRA.get(name, ())}
    if "{" in path or name == "act":
        statuses.add(404)
    if name == "metrics":
        statuses.add(404)
    operation["responses"].pop("422", None)
    for status in sorted(statuses):
        content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}}
        operation["responses"][str(status)] = {"description": TITLES[status], "content": content}
    if name not in policy.PUBLIC:
        operation["security"] = [{"token": []}]
        operation["x-scopes"] = sorted(policy.RULES[name].scopes)


def text(app: FastAPI) -> str:
    """Return the document as it is published."""
    return json.dumps(describe(app), indent=1, ensure_ascii=False) + "\n"


def page(app: FastAPI) -> str:
    """Return the reference page, in Markdown."""
    document = describe(app)
    lines = [
        "# HTTP API",
        "",
        "Generated from the routes; `openapi.json` beside it has every field (OpenAPI 3.1), and a server has the same at",
        "`/api/v1/openapi.json`. Every request but the two of health carries `Authorization: Bearer TOKEN`. Times are RFC",
        "3339 in UTC, amounts are bytes and seconds. In a path the `#` of an address is written `%23`. Errors are",
        "`application/problem+json` with a stable `code`, a sentence in `detail` and what to do in `hint`. Lists come in",
        "pages: ask again with `after` set to the `next` of the page before, until it is null. A POST that creates may be",
        "sent again with the same `Idempotency-Key`: it is done once and answered alike for a day.",
        "",
    ]
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", "", "| route | what | scope |", "|---|---|---|"]
        for path, methods in document["paths"].items():
            lines += [_row(method, path, found) for method, found in methods.items() if tag["name"] in found["tags"]]
        lines.append("")
    for tag in document["tags"]:
        for path, methods in document["paths"].items():
            for method, found in methods.items():
                if tag["name"] in found["tags"]:
                    lines += _section(method, path, found)
    lines += ["## Metrics", "", "`GET /metrics` has these, beside what every exporter adds.", ""]
    lines += ["| metric | kind | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in Metrics().described()]
    return "\n".join(lines) + "\n"


def _row(method: str, path: str, operation: dict[str, Any]) -> str:
    scopes = " or ".join(operation.get("x-scopes", ("-",)))
    return f"| [{method.upper()} {path}](#{operation['operationId']}) | {operation['summary']} | {scopes} |"


def _section(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    lines = [f'### <a id="{operation["operationId"]}"></a>{method.upper()} {path}', "", operation["description"], ""]
    for parameter in operation.get("parameters", ()):
        what = parameter.get("description") or parameter.get("schema", {}).get("description", "")
        need = ", needed" if parameter.get("required") else ""
        lines.append(f"- `{parameter['name']}` ({parameter['in']}{need}){': ' + what if what else ''}")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        reference = content["schema"].get("$ref", "")
        lines.append(f"- body: {kind}{', `' + reference.rsplit('/', 1)[-1] + '`' if reference else ''}")
        if "example" in content:
            lines += ["", "```json", json.dumps(content["example"], indent=1), "```", ""]
    statuses = ", ".join(f"{status} {found['description']}" for status, found in sorted(operation["responses"].items()))
    return [*lines, f"- answers: {statuses}", ""]
