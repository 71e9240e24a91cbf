"""Who is asking: the credential in either header."""

from collections.abc import Iterator

from starlette.requests import Request

from haiga.core.access import Caller
from haiga.core.errors import Denied
from haiga.web.services import Access


async def authenticate(access: Access, request: Request) -> Caller:
    """The caller behind `x-api-key` or `Authorization: Bearer`. Raises Denied.

    Some clients send both, a placeholder in one of them: either will do.
    """
    credentials = list(_credentials(request)) or [None]
    for credential in credentials[:-1]:
        try:
            return await access.authenticate(credential)
        except Denied:
            continue
    return await access.authenticate(credentials[-1])


def _credentials(request: Request) -> Iterator[str | None]:
    if key := request.headers.get("x-api-key", "").strip():
        yield key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip()
