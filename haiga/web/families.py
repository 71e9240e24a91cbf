"""Which API family a request speaks, and its errors in that family's words."""

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from haiga.core.access import Family
from haiga.core.errors import HaigaError
from haiga.wire import openai_errors
from haiga.wire.anthropic import errors as anthropic_errors
from haiga.wire.openrouter import errors as openrouter_errors
from haiga.wire.reply import ErrorReply
from haiga.wire.sdapi import errors as sdapi_errors

WRITERS: Mapping[Family, Callable[[HaigaError, int | None], ErrorReply]] = {
    "openai": openai_errors.write_error,
    "openrouter": openrouter_errors.write_error,
    "sdapi": sdapi_errors.write_error,
}
SDAPI = ("/sdapi/", "/internal/progress")


def family(scope: Scope) -> Family:
    """/v1/messages and /v1/organizations are Anthropic's alone, /api/v1 OpenRouter's, /sdapi A1111's; elsewhere the
    version header decides."""
    path: str = scope["path"]
    if path.startswith(SDAPI):
        return "sdapi"
    if path.removeprefix("/api") == "/v1/messages" or path.startswith(("/v1/messages/", "/v1/organizations/")):
        return "anthropic"
    if path.startswith("/api/v1/"):
        return "openrouter"
    return "anthropic" if "anthropic-version" in Headers(scope=scope) else "openai"


def request_id(scope: Scope) -> str:
    return str(scope["state"]["request_id"])


def error_response(scope: Scope, error: HaigaError, status: int | None = None) -> Response:
    """`status` overrides the error class's own. The log is told the error's name."""
    scope["state"]["outcome"] = error.name
    if family(scope) == "anthropic":
        return json_response(anthropic_errors.write_error(error, request_id(scope), status))
    return json_response(WRITERS[family(scope)](error, status))


def json_response(reply: ErrorReply) -> Response:
    return Response(reply.body, reply.status, reply.headers, "application/json")
