"""HTML made on the server: the front page where the dashboard is not built, and the API's documentation.

Nothing is loaded from anywhere: no script, no font, no image, and the content security policy says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

import msgspec
from litestar import Litestar

from raingauge.contract import Contract, Intake

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8883; --dim: #777; --accent: #0a7bbd; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h1 + p { color: var(--dim); margin-top: .25rem; }
pre, code { font: 13px/1.5 ui-monospace, monospace; }
pre { border: 1px solid var(--line); border-radius: 8px; padding: .75rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .8rem .3rem 0;
vertical-align: top; border-bottom: 1px solid var(--line); } th { font-weight: 600; }
a { color: var(--accent); } .dim { color: var(--dim); }
details { border-bottom: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; }
.verb { display: inline-block; min-width: 3.5rem; font-weight: 600; }
"""


def _page(title: str, body: str) -> bytes:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body>{body}</body></html>"
    ).encode()


USED_LINK: Final = _page(
    "Raingauge: sign in",
    "<h1>This link has been used or is too old</h1><p>A sign-in link works once and only for a short time.</p>"
    "<p>For a new one, ask an admin of your team, or run this on the machine of the server:</p>"
    "<pre>raingauge signin-link --email you@example.com</pre>"
    '<p>Signed in already? <a href="/">Go to the dashboard.</a></p>',
)
"""What a one-time sign-in link shows that cannot be used."""


def front(contracts: Sequence[Contract], base_url: str, problems: Sequence[str]) -> bytes:
    """What is running here and how to connect to it."""
    state = "Running." if not problems else "Not ready: " + "; ".join(escape(problem) for problem in problems)
    routes = "".join(
        f"<tr><td>{escape(contract.title)}</td><td>"
        + "<br>".join(f"<code>{escape(' '.join(i.methods))} {escape(i.path)}</code>" for i in contract.intakes)
        + "</td></tr>"
        for contract in contracts
    )
    example = (
        f"curl -sS {base_url}/v1/stats -H 'Authorization: Bearer rgk_…'\n"
        "raingauge token issue --name my-team      # a token for a customer of its own\n"
        "raingauge connect loopgain                # settings to paste for a client"
    )
    return _page(
        "Raingauge",
        f"<h1>Raingauge</h1><p>{state}</p>"
        "<p>The dashboard is not built: run <code>make dashboard</code> and start the server again.</p>"
        f"<h2>It receives</h2><table>{routes}</table>"
        f"<p class=dim>Clients that cannot set a header post to <code>/k/&lt;token&gt;/…</code> in front of the same "
        f"path.</p><h2>Connect</h2><pre>{escape(example)}</pre>"
        '<h2>More</h2><p><a href="/docs">API</a> · <a href="/openapi.json">OpenAPI</a> · '
        '<a href="/-/ready">readiness</a> · <a href="/-/metrics">metrics of this server</a></p>',
    )


def openapi(app: Litestar, contracts: Sequence[Contract]) -> Mapping[str, Any]:
    """The OpenAPI 3.1 document: the API's own routes from its types, plus the ingest routes of the edge."""
    document = _any_of(app.openapi_schema.to_schema())
    paths = dict(document.get("paths", {}))
    for contract in contracts:
        # A path with two slashes is a second spelling for clients that join addresses carelessly.
        for intake in [intake for intake in contract.intakes if "//" not in intake.path]:
            paths[intake.path] = {**paths.get(intake.path, {}), **_intake_path(contract, intake)}
    components = dict(document.get("components", {}))
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token with the scope the route needs."}
    }
    return {**document, "paths": paths, "components": components, "security": [{"token": []}]}


def _any_of(node: Any) -> Any:
    """Unions as `anyOf`, because 1 is both an integer and a number, and headers in order, because they come from sets.

    litestar writes `oneOf`, and headers in another order in each process.
    """
    if isinstance(node, dict):
        plain = {"anyOf" if key == "oneOf" else key: _any_of(value) for key, value in node.items()}
        return plain | {"headers": dict(sorted(plain["headers"].items()))} if "headers" in plain else plain
    return [_any_of(value) for value in node] if isinstance(node, list) else node


def _intake_path(contract: Contract, intake: Intake) -> dict[str, Any]:
    answers = {
        "2XX": "On disk.", "400": "Not what the content type or the contract says.", "401": "No valid credential.",
        "413": "Larger than allowed, as sent or after decompression.", "429": "A rate limit or cap is reached.",
        "503": "The queue is full; retry after the time in Retry-After.",
    }  # fmt: skip
    operation: dict[str, Any] = {
        "summary": f"Send {contract.title} data",
        "operationId": f"ingest_{intake.name.replace('.', '_')}",
        "tags": [contract.name],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}} | _example(intake)}},
        "responses": {status: {"description": text} for status, text in answers.items()},
    }
    if intake.public:
        operation["security"] = [{"token": []}, {}]
    return {method.lower(): operation for method in intake.methods}


def _example(intake: Intake) -> dict[str, Any]:
    return {"example": msgspec.json.decode(intake.example)} if intake.example else {}


def docs(document: Mapping[str, Any]) -> bytes:
    """The OpenAPI document as a page to read."""
    sections = "".join(_operation(path, verb, op) for path, verb, op in _operations(document))
    return _page(
        "Raingauge API",
        f"<h1>Raingauge API</h1><p>Version {escape(str(document['info']['version']))}, from "
        f'<a href="/openapi.json">openapi.json</a>. Every read sees the caller’s own customer only.</p>{sections}',
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in sorted(document["paths"].items()):
        for verb in ("get", "post", "put", "delete"):
            if verb in item:
                yield path, verb, item[verb]


def _operation(path: str, verb: str, op: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(_type(p.get('schema', {})))}</td>"
        f"<td>{escape(p.get('description') or p.get('schema', {}).get('description', ''))}</td></tr>"
        for p in op.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td colspan=2>{escape(answer.get('description', ''))} "
        f"{escape(_content(answer))}</td></tr>"
        for status, answer in op.get("responses", {}).items()
    )
    return (
        f"<details><summary><span class=verb>{verb.upper()}</span> <code>{escape(path)}</code> "
        f"<span class=dim>{escape(op.get('summary', ''))}</span></summary>"
        f"<p>{escape(op.get('description', ''))}</p><table>{rows}{answers}</table></details>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}[]"
    return str(schema.get("type", ""))


def _content(answer: Mapping[str, Any]) -> str:
    return ", ".join(_type(media.get("schema", {})) for media in answer.get("content", {}).values())
