"""What somebody asks for again and again until it has ended: cheap when nothing has changed.

Rule: the tag is of the bytes, so that what is the same to a reader has the same tag, whichever process answers.
"""

from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

AGAIN = 5  # seconds until it is worth asking again about a batch


def polled(request: Request, body: bytes, live: bool, again: int = AGAIN) -> Response:
    """`body` with its tag, or 304 when the request has that; while the thing is `live`, with the seconds until it is
    worth asking `again`."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag} | ({"retry-after": str(again)} if live else {})
    if _has(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _has(request: Request, tag: str) -> bool:
    """Whether the request names the tag among those it has; proxies mark tags as weak (RFC 9110, section 13.1.2)."""
    told = ",".join(request.headers.getlist("if-none-match")).split(",")
    return any(each.strip().removeprefix("W/") in (tag, "*") for each in told)
