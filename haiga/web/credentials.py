"""Who is asking: the credential in either header, what it is good for, and where the question came in."""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from starlette.requests import Request

from haiga.core.access import Caller, Origin
from haiga.core.audit import Actor
from haiga.core.errors import Denied, Invalid
from haiga.core.policies import Moderated
from haiga.core.results import Reuse
from haiga.web.families import family, request_id
from haiga.web.services import Access

CACHE = "haiga-cache"
POLICY = "haiga-policy"
MODERATION = "haiga-moderation"  # what became of a request and as much of its answer as was judged
READING = ("GET", "HEAD")
CALLED = {"anthropic": "Anthropic", "openai": "OpenAI", "openrouter": "OpenRouter", "sdapi": "A1111"}


async def authenticate(access: Access, request: Request) -> Caller:
    """The caller behind `x-api-key` or `Authorization`. Raises Denied, also for what its key may not do."""
    caller, spoken, headers = await _holder(access, request), family(request.scope), request.headers
    if not caller.scope.has_family(spoken):
        raise Denied(f"this API key may not use the {CALLED[spoken]} API")
    if caller.readonly and request.method not in READING:
        raise Denied("this API key may only read")
    origin = Origin(
        request_id(request.scope),
        spoken,
        request.scope["path"],
        referer=headers.get("http-referer"),
        agent=headers.get("user-agent"),
        reuse=Reuse(_wants_kept(request)),
        moderated=Moderated(headers.get(POLICY)),
    )
    caller = replace(caller, origin=origin)
    request.scope["state"]["caller"] = caller
    return caller


async def authenticate_admin(access: Access, request: Request) -> Caller:
    """The caller, if it may administer the server. Raises Denied."""
    caller = await authenticate(access, request)
    if not caller.admin:
        raise Denied("this API key may not administer the server: it takes one made with --role admin")
    return caller


def actor_of(caller: Caller, request: Request) -> Actor:
    """The caller as the audit log names it."""
    address = request.client.host if request.client else None
    return Actor("anyone" if caller.key is None else "key", caller.key or "", address, request_id(request.scope))


def _wants_kept(request: Request) -> bool | None:
    """Whether an answer that was given before will do; None where nothing is said."""
    wanted = request.headers.get(CACHE)
    if wanted not in (None, "on", "off"):
        raise Invalid("Input should be 'on' or 'off'", field=CACHE)
    return None if wanted is None else wanted == "on"


async def _holder(access: Access, request: Request) -> Caller:
    """Some clients send both headers, a placeholder in one of them: either will do."""
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
    if scheme.lower() == "basic" and family(request.scope) == "sdapi":
        yield _password(request, token.strip())


def _password(request: Request, token: str) -> str | None:
    """A key as the password of HTTP Basic, of whichever user: A1111's clients know no other way. Raises Denied for
    another site's page, since browsers send along what they were once given."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Denied("HTTP Basic is not taken from another site's page: send the key as Bearer")
    try:
        _, _, password = b64decode(token, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password or None
