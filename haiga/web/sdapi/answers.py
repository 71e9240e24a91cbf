"""Answers of /sdapi/v1."""

from typing import Any

import orjson
from starlette.responses import Response


def answer(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def json(value: Any) -> Response:
    return answer(orjson.dumps(value))
