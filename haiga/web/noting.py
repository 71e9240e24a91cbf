"""What is deleted or cancelled over HTTP, one thing at a time, in the audit log: by whom, from where, under which
request id.

Rule: the line follows the deed, and the answer follows the line: whoever was told that something is gone finds it
written down. Cancelling what is over already is answered as what is not, and noted alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from haiga.web.credentials import actor_of
from haiga.web.services import Services

Add: TypeAlias = Callable[..., None]
Handler: TypeAlias = Callable[..., Awaitable[Response]]
DELETIONS: Mapping[str, str] = {
    "/v1/chat/completions/{id}": "chat_completion.deleted",
    "/v1/messages/batches/{id}": "batch.deleted",
    "/v1/files/{id}": "file.deleted",
    "/v1/responses/{id}": "response.deleted",
    "/v1/conversations/{id}": "conversation.deleted",
    "/v1/conversations/{id}/items/{item}": "conversation_item.deleted",
    "/v1/webhook_endpoints/{id}": "webhook_endpoint.deleted",
}
CANCELS: Mapping[str, str] = {
    "/v1/messages/batches/{id}/cancel": "batch.cancelled",
    "/v1/batches/{id}/cancel": "batch.cancelled",
}
NOTED: Mapping[str, Mapping[str, str]] = {"DELETE": DELETIONS, "POST": CANCELS}


def noting(services: Services, add: Add) -> Add:
    """`add`, of which the handlers of what is noted come to write what they did into the audit log."""

    def noted(path: str, handler: Handler, *, methods: list[str], **described: Any) -> None:
        action = NOTED.get(methods[0], {}).get(path)
        add(path, handler if action is None else _noted(services, action, handler), methods=methods, **described)

    return noted


def _noted(services: Services, action: str, handler: Handler) -> Handler:
    @wraps(handler)
    async def handled(request: Request, **named: str) -> Response:
        response = await handler(request, **named)
        if services.audit is not None:
            caller, (*_, subject) = request.scope["state"]["caller"], named.values()
            await services.audit.record(actor_of(caller, request), action, subject, {"workspace": caller.workspace})
        return response

    return handled
