"""Handlers of the audit log, for callers who administer the server."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from haiga.services.audit import Audit
from haiga.web.credentials import authenticate_admin
from haiga.web.services import Services
from haiga.wire.openai_audit import read_audit_query, write_audit_page


class AuditLogs:
    def __init__(self, services: Services, audit: Audit) -> None:
        self._services = services
        self._audit = audit

    async def list(self, request: Request) -> Response:
        """List what was done to this server, newest first."""
        await authenticate_admin(self._services.access, request)
        wanted = read_audit_query(request.query_params.multi_items())
        lines = await self._audit.page(replace(wanted, limit=wanted.limit + 1))
        page = lines[: wanted.limit]
        body = write_audit_page(page[::-1] if wanted.forward else page, len(lines) > wanted.limit)
        return Response(body, media_type="application/json")
