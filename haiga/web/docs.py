"""The /docs page: the OpenAPI document as HTML, readable with no network and no script.

Rule: one string out of one document; nothing on the page is fetched from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8d8d2, #3a3a36); --soft: light-dark(#f5f5f0, #232320);
  --accent: light-dark(#8a3324, #e0907c); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  background: light-dark(#fffefb, #191917); color: light-dark(#22221f, #e6e6e0); }
code { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
a { color: var(--accent); }
section { border-top: 1px solid var(--line); padding: .5rem 0 1rem; }
h2 code, h3 code { font-size: 1em; }
.method { color: var(--accent); font-weight: 600; margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; background: var(--soft); }
"""


def page(document: Json) -> str:
    """A whole HTML page: every operation, then every shape they name."""
    info = document["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    operations = "".join(_operations(document))
    shapes = "".join(_shape(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>The same as data: <a href="/openapi.json">/openapi.json</a></p>'
        f"<main>{operations}<h2>Shapes</h2>{shapes}</main></body></html>"
    )


def _operations(document: Json) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield (
                f'<section><h2><span class="method">{method.upper()}</span><code>{escape(path)}</code></h2>'
                f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
                f"{_parameters(operation)}{_request(operation)}{_responses(operation)}</section>"
            )


def _parameters(operation: Json) -> str:
    rows = [
        (f"<code>{escape(p['name'])}</code>", p["in"], _type(p["schema"]), escape(p.get("description", "")))
        for p in operation.get("parameters", ())
    ]
    return _table(("Parameter", "In", "Type", ""), rows)


def _request(operation: Json) -> str:
    if "requestBody" not in operation:
        return ""
    return f"<p>Body: {_type(operation['requestBody']['content']['application/json']['schema'])}</p>"


def _responses(operation: Json) -> str:
    rows = []
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        answers = " or ".join(f"{_type(c['schema'])} ({escape(kind)})" for kind, c in content.items())
        rows.append((escape(status), escape(response["description"]), answers))
    return _table(("Status", "When", "Body"), rows)


def _shape(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>",
            _type(value),
            "required" if field in required else "",
            escape(value.get("description", "")),
        )
        for field, value in schema.get("properties", {}).items()
    ]
    described = escape(schema.get("description", ""))
    heading = f'<section id="{escape(name)}"><h3><code>{escape(name)}</code></h3><p>{described}</p>'
    return heading + _table(("Field", "Type", "", ""), rows) + "</section>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{body}</table>"


def _type(schema: Json) -> str:
    """A schema in one line; named ones are links."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(option) for option in schema[union])
    if "const" in schema or "enum" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "any")))
