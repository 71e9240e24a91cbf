"""Every URL on one screen."""

from fastapi import APIRouter

from haiga.web.messages import Messages
from haiga.web.models import Models
from haiga.web.services import Services
from haiga.web.status import Status


def router(services: Services) -> APIRouter:
    messages, models, status = Messages(services), Models(services), Status(services)
    routes = APIRouter()
    add = routes.add_api_route

    add("/v1/messages", messages.create, methods=["POST"])
    add("/v1/messages/count_tokens", messages.count, methods=["POST"])
    add("/v1/models", models.list, methods=["GET"])
    add("/v1/models/{id:path}", models.get, methods=["GET"])

    add("/", status.hello, methods=["GET", "HEAD"])
    add("/api/hello", status.hello, methods=["GET", "HEAD"], include_in_schema=False)
    add("/health", status.health, methods=["GET", "HEAD"])
    add("/ready", status.ready, methods=["GET", "HEAD"])
    return routes
