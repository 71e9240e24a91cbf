"""Every URL on one screen."""

from fastapi import APIRouter

from haiga.services.files import Uploads as KeptUploads
from haiga.web import openapi
from haiga.web.adapters import Adapters
from haiga.web.admin import Admin
from haiga.web.audit import AuditLogs
from haiga.web.batches import Batches
from haiga.web.chats import Chats
from haiga.web.conversations import Conversations
from haiga.web.embeddings import Embeddings
from haiga.web.files import Files
from haiga.web.messages import Messages
from haiga.web.metrics import Measured
from haiga.web.models import Models
from haiga.web.moderations import Moderations
from haiga.web.openai import OpenAI
from haiga.web.openai_batches import OpenAIBatches
from haiga.web.openrouter import LIST, OpenRouter
from haiga.web.policies import Policies
from haiga.web.responses import Responses
from haiga.web.routed import RoutedForms
from haiga.web.router_keys import RouterKeys
from haiga.web.services import Services
from haiga.web.status import Status
from haiga.web.uploads import Uploads
from haiga.web.webhooks import Webhooks

# their bodies may be larger than others
BATCHES = "/v1/messages/batches"
FILES = "/v1/files"
PARTS = "/v1/uploads/{id}/parts"
WEBHOOKS = "/v1/webhook_endpoints"


def router(services: Services) -> APIRouter:
    messages, openai, models, status = Messages(services), OpenAI(services), Models(services), Status(services)
    embeddings, moderations = Embeddings(services), Moderations(services)
    routes = APIRouter()
    add = routes.add_api_route

    add("/v1/messages", messages.create, methods=["POST"], **openapi.CREATE_MESSAGE)
    add("/v1/messages/count_tokens", messages.count, methods=["POST"], **openapi.COUNT_TOKENS)
    add("/v1/chat/completions", openai.chat, methods=["POST"], **openapi.CREATE_CHAT)
    if services.chats is not None:
        chats = Chats(services, services.chats)
        add("/v1/chat/completions", chats.list, methods=["GET"], **openapi.LIST_CHATS)
        add("/v1/chat/completions/{id}", chats.get, methods=["GET"], **openapi.GET_CHAT)
        add("/v1/chat/completions/{id}", chats.update, methods=["POST"], **openapi.UPDATE_CHAT)
        add("/v1/chat/completions/{id}", chats.delete, methods=["DELETE"], **openapi.DELETE_CHAT)
        add("/v1/chat/completions/{id}/messages", chats.messages, methods=["GET"], **openapi.LIST_MESSAGES)
    add("/v1/completions", openai.complete, methods=["POST"], **openapi.CREATE_COMPLETION)
    add("/v1/embeddings", embeddings.create, methods=["POST"], **openapi.CREATE_EMBEDDING)
    add("/v1/moderations", moderations.create, methods=["POST"], **openapi.CREATE_MODERATION)
    add("/v1/moderations/explain", moderations.explain, methods=["POST"], **openapi.EXPLAIN_MODERATION)
    if services.policies is not None:
        policies, named = Policies(services, services.policies), "/v1/moderation_policies/{name}"
        add("/v1/moderation_policies", policies.create, methods=["POST"], **openapi.CREATE_POLICY)
        add("/v1/moderation_policies", policies.list, methods=["GET"], **openapi.LIST_POLICIES)
        add(named, policies.get, methods=["GET"], **openapi.GET_POLICY)
        add(named, policies.delete, methods=["DELETE"], **openapi.DELETE_POLICY)
        add(f"{named}/versions", policies.versions, methods=["GET"], **openapi.LIST_POLICIES)
    add("/v1/models", models.list, methods=["GET"], **openapi.LIST_MODELS)
    add("/v1/models/{id:path}", models.get, methods=["GET"], **openapi.GET_MODEL)

    if services.adapters is not None:
        adapters = Adapters(services, services.adapters)
        add("/v1/load_lora_adapter", adapters.load, methods=["POST"], **openapi.LOAD_ADAPTER)
        add("/v1/unload_lora_adapter", adapters.unload, methods=["POST"], **openapi.UNLOAD_ADAPTER)

    if services.batches is not None:
        batches = Batches(services, services.batches)
        add(BATCHES, batches.create, methods=["POST"], **openapi.CREATE_BATCH)
        add(BATCHES, batches.list, methods=["GET"], **openapi.LIST_BATCHES)
        add(f"{BATCHES}/{{id}}", batches.get, methods=["GET"], **openapi.GET_BATCH)
        add(f"{BATCHES}/{{id}}", batches.delete, methods=["DELETE"], **openapi.DELETE_BATCH)
        add(f"{BATCHES}/{{id}}/cancel", batches.cancel, methods=["POST"], **openapi.GET_BATCH)
        add(f"{BATCHES}/{{id}}/results", batches.results, methods=["GET"], **openapi.BATCH_RESULTS)

    if services.batches is not None and services.files is not None:
        filed = OpenAIBatches(services, services.batches, services.files)
        add("/v1/batches", filed.create, methods=["POST"], **openapi.CREATE_FILED_BATCH)
        add("/v1/batches", filed.list, methods=["GET"], **openapi.LIST_FILED_BATCHES)
        add("/v1/batches/{id}", filed.get, methods=["GET"], **openapi.GET_FILED_BATCH)
        add("/v1/batches/{id}/cancel", filed.cancel, methods=["POST"], **openapi.GET_FILED_BATCH)

    if services.files is not None:
        files, uploads = Files(services, services.files), Uploads(services, KeptUploads(services.files))
        add(FILES, files.create, methods=["POST"], **openapi.CREATE_FILE)
        add(FILES, files.list, methods=["GET"], **openapi.LIST_FILES)
        add(f"{FILES}/{{id}}", files.get, methods=["GET"], **openapi.GET_FILE)
        add(f"{FILES}/{{id}}", files.delete, methods=["DELETE"], **openapi.DELETE_FILE)
        add(f"{FILES}/{{id}}/content", files.content, methods=["GET"], **openapi.FILE_CONTENT)
        add("/v1/uploads", uploads.create, methods=["POST"], **openapi.CREATE_UPLOAD)
        add(PARTS, uploads.add_part, methods=["POST"], **openapi.ADD_PART)
        add("/v1/uploads/{id}/complete", uploads.complete, methods=["POST"], **openapi.COMPLETE_UPLOAD)
        add("/v1/uploads/{id}/cancel", uploads.cancel, methods=["POST"], **openapi.CANCEL_UPLOAD)

    if services.responses is not None:
        responses = Responses(services, services.responses)
        add("/v1/responses", responses.create, methods=["POST"], **openapi.CREATE_RESPONSE)
        add("/v1/responses/input_tokens", responses.count, methods=["POST"], **openapi.COUNT_INPUT)
        add("/v1/responses/compact", responses.compact, methods=["POST"], **openapi.COMPACT_RESPONSE)
        add("/v1/responses/{id}", responses.get, methods=["GET"], **openapi.GET_RESPONSE)
        add("/v1/responses/{id}", responses.delete, methods=["DELETE"], **openapi.DELETE_KEPT)
        add("/v1/responses/{id}/cancel", responses.cancel, methods=["POST"], **openapi.CANCEL_RESPONSE)
        add("/v1/responses/{id}/input_items", responses.input_items, methods=["GET"], **openapi.LIST_ITEMS)

        conversations = Conversations(services, services.responses.conversations)
        add("/v1/conversations", conversations.create, methods=["POST"], **openapi.CREATE_CONVERSATION)
        add("/v1/conversations/{id}", conversations.get, methods=["GET"], **openapi.GET_CONVERSATION)
        add("/v1/conversations/{id}", conversations.update, methods=["POST"], **openapi.CHANGE_CONVERSATION)
        add("/v1/conversations/{id}", conversations.delete, methods=["DELETE"], **openapi.DELETE_KEPT)
        add("/v1/conversations/{id}/items", conversations.items, methods=["GET"], **openapi.LIST_ITEMS)
        add("/v1/conversations/{id}/items", conversations.add, methods=["POST"], **openapi.ADD_ITEMS)
        add("/v1/conversations/{id}/items/{item}", conversations.item, methods=["GET"], **openapi.GET_ITEM)
        add("/v1/conversations/{id}/items/{item}", conversations.remove, methods=["DELETE"], **openapi.GET_CONVERSATION)

    if services.webhooks is not None:
        webhooks = Webhooks(services, services.webhooks)
        add(WEBHOOKS, webhooks.create, methods=["POST"], **openapi.CREATE_WEBHOOK)
        add(WEBHOOKS, webhooks.list, methods=["GET"], **openapi.LIST_WEBHOOKS)
        add(f"{WEBHOOKS}/{{id}}", webhooks.get, methods=["GET"], **openapi.GET_WEBHOOK)
        add(f"{WEBHOOKS}/{{id}}", webhooks.update, methods=["POST"], **openapi.UPDATE_WEBHOOK)
        add(f"{WEBHOOKS}/{{id}}", webhooks.delete, methods=["DELETE"], **openapi.DELETE_WEBHOOK)
        add(f"{WEBHOOKS}/{{id}}/rotate_secret", webhooks.rotate, methods=["POST"], **openapi.ROTATE_WEBHOOK)
        add(f"{WEBHOOKS}/{{id}}/test", webhooks.test, methods=["POST"], **openapi.TEST_WEBHOOK)
        add(f"{WEBHOOKS}/{{id}}/deliveries", webhooks.deliveries, methods=["GET"], **openapi.LIST_DELIVERIES)
        add(f"{WEBHOOKS}/{{id}}/deliveries/{{event}}", webhooks.delivery, methods=["GET"], **openapi.GET_DELIVERY)
        add(
            f"{WEBHOOKS}/{{id}}/deliveries/{{event}}/redeliver",
            webhooks.redeliver,
            methods=["POST"],
            **openapi.GET_DELIVERY,
        )
        add("/v1/webhook_event_types", webhooks.types, methods=["GET"], **openapi.WEBHOOK_TYPES)

    if services.keyring is not None and services.ledger is not None:
        admin, organization = Admin(services, services.keyring, services.ledger), "/v1/organizations"
        keys, workspaces = f"{organization}/api_keys", f"{organization}/workspaces"
        add(f"{organization}/me", admin.me, methods=["GET"], **openapi.ADMIN_OBJECT)
        add(keys, admin.list_keys, methods=["GET"], **openapi.ADMIN_LIST)
        add(keys, admin.create_key, methods=["POST"], **openapi.CREATE_KEY)
        add(f"{keys}/{{id}}/rotate", admin.rotate_key, methods=["POST"], **openapi.ROTATE_KEY)
        add(f"{keys}/{{id}}", admin.get_key, methods=["GET"], **openapi.ADMIN_OBJECT)
        add(f"{keys}/{{id}}", admin.change_key, methods=["POST"], **openapi.CHANGE_KEY)
        add(workspaces, admin.list_workspaces, methods=["GET"], **openapi.ADMIN_LIST)
        add(workspaces, admin.create_workspace, methods=["POST"], **openapi.CHANGE_WORKSPACE)
        add(f"{workspaces}/{{id}}", admin.get_workspace, methods=["GET"], **openapi.ADMIN_OBJECT)
        add(f"{workspaces}/{{id}}", admin.change_workspace, methods=["POST"], **openapi.CHANGE_WORKSPACE)
        if services.erasure is not None:
            add(f"{workspaces}/{{id}}", admin.delete_workspace, methods=["DELETE"], **openapi.ADMIN_OBJECT)
        add(f"{workspaces}/{{id}}/archive", admin.archive_workspace, methods=["POST"], **openapi.ADMIN_OBJECT)
        add(f"{organization}/rate_limits", admin.rate_limits, methods=["GET"], **openapi.RATE_LIMITS)
        add(f"{workspaces}/{{id}}/rate_limits", admin.workspace_limits, methods=["GET"], **openapi.RATE_LIMITS)
        limited = f"{workspaces}/{{id}}/rate_limits/{{limit}}"
        add(limited, admin.limit_workspace, methods=["POST"], **openapi.CHANGE_LIMITS)
        add(f"{organization}/usage_report/messages", admin.usage_report, methods=["GET"], **openapi.USAGE_REPORT)
        add(f"{organization}/cost_report", admin.cost_report, methods=["GET"], **openapi.COST_REPORT)

    if services.audit is not None:
        add(
            "/v1/organization/audit_logs",
            AuditLogs(services, services.audit).list,
            methods=["GET"],
            **openapi.LIST_AUDIT,
        )

    openrouter = OpenRouter(services)
    add("/api/v1/chat/completions", openrouter.chat, methods=["POST"], **openapi.ROUTER_CHAT)
    add("/api/v1/embeddings", embeddings.priced, methods=["POST"], **openapi.ROUTER_EMBEDDING)
    routed = RoutedForms(services)
    add("/api/v1/messages", routed.messages, methods=["POST"], **openapi.ROUTER_MESSAGE)
    add("/api/v1/responses", routed.responses, methods=["POST"], **openapi.ROUTER_RESPONSE)
    add(LIST, openrouter.models, methods=["GET"], **openapi.ROUTER_MODELS)
    add(f"{LIST}/user", openrouter.models, methods=["GET"], **openapi.ROUTER_MODELS)
    add(f"{LIST}/count", openrouter.count_models, methods=["GET"], **openapi.ROUTER_DATA)
    add(f"{LIST}/{{id:path}}/endpoints", openrouter.endpoints, methods=["GET"], **openapi.ROUTER_DATA)
    add("/api/v1/model/{id:path}", openrouter.model, methods=["GET"], **openapi.ROUTER_DATA)
    add("/api/v1/generation", openrouter.generation, methods=["GET"], **openapi.ROUTER_DATA)
    add("/api/v1/key", openrouter.key, methods=["GET"], **openapi.ROUTER_DATA)
    add("/api/v1/credits", openrouter.credits, methods=["GET"], **openapi.ROUTER_DATA)
    add("/api/v1/providers", openrouter.providers, methods=["GET"], **openapi.ROUTER_LIST)

    if services.keyring is not None and services.ledger is not None:
        made, own = RouterKeys(services, services.keyring, services.ledger), "/api/v1/keys"
        add(own, made.create, methods=["POST"], **openapi.ROUTER_NEW_KEY)
        add(own, made.list, methods=["GET"], **openapi.ROUTER_LIST)
        add(f"{own}/{{hash}}", made.get, methods=["GET"], **openapi.ROUTER_DATA)
        add(f"{own}/{{hash}}", made.change, methods=["PATCH"], **openapi.ROUTER_KEY)
        add(f"{own}/{{hash}}", made.delete, methods=["DELETE"], **openapi.ROUTER_DATA)

    if services.metrics is not None:
        add("/metrics", Measured(services, services.metrics).read, methods=["GET"], **openapi.READ_METRICS)
    for path, handler in {"/": status.hello, "/health": status.health, "/ready": status.ready}.items():
        add(path, handler, methods=["GET"])
        add(path, handler, methods=["HEAD"], include_in_schema=False)
    add("/api/hello", status.hello, methods=["GET", "HEAD"], include_in_schema=False)
    add("/docs", status.docs, methods=["GET"], include_in_schema=False)
    return routes
