"""The ASGI application: a factory over services given to it."""

from functools import cache, partial
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.errors import Invalid, NotFound
from haiga.web import openapi_images
from haiga.web.credentials import CACHE, MODERATION
from haiga.web.families import error_response
from haiga.web.middleware import BodyLimit, ErrorAnswers, LocalOnly, OneHost, RequestIds
from haiga.web.openapi import describe
from haiga.web.routes import BATCHES, FILES, PARTS, router
from haiga.web.services import Services, WebSettings
from haiga.wire.limits import LIMIT_HEADERS

__all__ = ["Services", "WebSettings", "create_app"]


def create_app(services: Services) -> FastAPI:
    """The whole web layer over `services`; nothing is started or stopped here."""
    app = FastAPI(
        title="haiga",
        version=version("haiga"),
        description="Text, vision and images over models you hold yourself.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=_middleware(services),
        exception_handlers={HTTPException: _no_route, RequestValidationError: _bad_parameter},
    )
    app.include_router(router(services))
    app.openapi = cache(partial(describe, app, openapi_images.BODIES))  # type: ignore[method-assign]
    return app


def _middleware(services: Services) -> list[Middleware]:
    """Outermost first."""
    settings = services.settings
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=["request-id", "retry-after", "etag", CACHE, MODERATION, *LIMIT_HEADERS],
    )
    local = Middleware(LocalOnly, hosts=settings.allowed_hosts, origins=settings.cors_origins)
    larger = {BATCHES: settings.batch_limit, FILES: settings.file_limit, PARTS: settings.part_limit}
    return [
        Middleware(RequestIds, new_id=settings.new_id, stands=services.stands, refused=services.refused),
        *_traced(services),
        *([cors] if settings.cors_origins else []),
        Middleware(ErrorAnswers),
        Middleware(OneHost),
        *([local] if settings.open else []),
        Middleware(BodyLimit, limit=settings.body_limit, larger=larger),
    ]


def _traced(services: Services) -> list[Middleware]:
    if services.tracer is None:
        return []
    from haiga.web.tracing import TracedRequests

    return [Middleware(TracedRequests, tracer=services.tracer)]


async def _no_route(request: Request, error: Exception) -> Response:
    """404 and 405 from the router, in the family's own shape."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        response = error_response(request.scope, Invalid("Method Not Allowed"), 405)
        response.headers.update(error.headers or {})
        return response
    return error_response(request.scope, NotFound("Not Found"))


async def _bad_parameter(request: Request, error: Exception) -> Response:
    """A query parameter that does not fit."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"][1:])
    return error_response(request.scope, Invalid(str(first["msg"]), field=path or None))
