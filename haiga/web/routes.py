"""Every URL on one screen, a function for each family of them."""

from collections.abc import Callable
from typing import TypeAlias

from fastapi import APIRouter

from haiga.services.files import Uploads as KeptUploads
from haiga.web import openapi, openapi_images, sdapi
from haiga.web.adapters import Adapters
from haiga.web.admin import Admin
from haiga.web.audit import AuditLogs
from haiga.web.batches import Batches
from haiga.web.chats import Chats
from haiga.web.conversations import Conversations
from haiga.web.embeddings import Embeddings
from haiga.web.files import Files
from haiga.web.image_jobs import ImageJobs
from haiga.web.images import Images
from haiga.web.messages import Messages
from haiga.web.metrics import Measured
from haiga.web.models import Models
from haiga.web.moderations import Moderations
from haiga.web.noting import noting
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

Add: TypeAlias = Callable[..., None]
ORGANIZATION = "/v1/organizations"
SDAPI = "/sdapi/v1"
# their bodies may be larger than others
BATCHES = "/v1/messages/batches"
FILES = "/v1/files"
PARTS = "/v1/uploads/{id}/parts"
WEBHOOKS = "/v1/webhook_endpoints"


def router(services: Services) -> APIRouter:
    routes = APIRouter()
    for family in (
        _messages,
        _openai,
        _chats,
        _moderation,
        _models,
        _adapters,
        _batches,
        _filed_batches,
        _files,
        _uploads,
        _responses,
        _conversations,
        _webhooks,
        _organization,
        _workspaces,
        _reports,
        _openrouter,
        _router_keys,
        _images,
        _image_jobs,
        _sdapi,
        _sdapi_lists,
        _own,
    ):
        family(services, noting(services, routes.add_api_route))
    if services.jobs is not None and services.taker is not None:
        watch = ImageJobs(services, services.jobs, services.taker).watch
        routes.add_api_websocket_route("/v1/jobs/{id}/events", watch)
    return routes


def _messages(services: Services, add: Add) -> None:
    messages = Messages(services)
    add("/v1/messages", messages.create, methods=["POST"], **openapi.CREATE_MESSAGE)
    add("/v1/messages/count_tokens", messages.count, methods=["POST"], **openapi.COUNT_TOKENS)


def _openai(services: Services, add: Add) -> None:
    openai = OpenAI(services)
    add("/v1/chat/completions", openai.chat, methods=["POST"], **openapi.CREATE_CHAT)
    add("/v1/completions", openai.complete, methods=["POST"], **openapi.CREATE_COMPLETION)
    add("/v1/embeddings", Embeddings(services).create, methods=["POST"], **openapi.CREATE_EMBEDDING)


def _chats(services: Services, add: Add) -> None:
    if services.chats is None:
        return
    chats, one = Chats(services, services.chats), "/v1/chat/completions/{id}"
    add("/v1/chat/completions", chats.list, methods=["GET"], **openapi.LIST_CHATS)
    add(one, chats.get, methods=["GET"], **openapi.GET_CHAT)
    add(one, chats.update, methods=["POST"], **openapi.UPDATE_CHAT)
    add(one, chats.delete, methods=["DELETE"], **openapi.DELETE_CHAT)
    add(f"{one}/messages", chats.messages, methods=["GET"], **openapi.LIST_MESSAGES)


def _moderation(services: Services, add: Add) -> None:
    moderations = Moderations(services)
    add("/v1/moderations", moderations.create, methods=["POST"], **openapi.CREATE_MODERATION)
    add("/v1/moderations/explain", moderations.explain, methods=["POST"], **openapi.EXPLAIN_MODERATION)
    if services.policies is None:
        return
    policies, named = Policies(services, services.policies), "/v1/moderation_policies/{name}"
    add("/v1/moderation_policies", policies.create, methods=["POST"], **openapi.CREATE_POLICY)
    add("/v1/moderation_policies", policies.list, methods=["GET"], **openapi.LIST_POLICIES)
    add(named, policies.get, methods=["GET"], **openapi.GET_POLICY)
    add(named, policies.delete, methods=["DELETE"], **openapi.DELETE_POLICY)
    add(f"{named}/versions", policies.versions, methods=["GET"], **openapi.LIST_POLICIES)


def _models(services: Services, add: Add) -> None:
    models = Models(services)
    add("/v1/models", models.list, methods=["GET"], **openapi.LIST_MODELS)
    add("/v1/models/{id:path}", models.get, methods=["GET"], **openapi.GET_MODEL)


def _adapters(services: Services, add: Add) -> None:
    if services.adapters is None:
        return
    adapters = Adapters(services, services.adapters)
    add("/v1/load_lora_adapter", adapters.load, methods=["POST"], **openapi.LOAD_ADAPTER)
    add("/v1/unload_lora_adapter", adapters.unload, methods=["POST"], **openapi.UNLOAD_ADAPTER)


def _batches(services: Services, add: Add) -> None:
    if services.batches is None:
        return
    batches, one = Batches(services, services.batches), f"{BATCHES}/{{id}}"
    add(BATCHES, batches.create, methods=["POST"], **openapi.CREATE_BATCH)
    add(BATCHES, batches.list, methods=["GET"], **openapi.LIST_BATCHES)
    add(one, batches.get, methods=["GET"], **openapi.GET_BATCH)
    add(one, batches.delete, methods=["DELETE"], **openapi.DELETE_BATCH)
    add(f"{one}/cancel", batches.cancel, methods=["POST"], **openapi.GET_BATCH)
    add(f"{one}/results", batches.results, methods=["GET"], **openapi.BATCH_RESULTS)


def _filed_batches(services: Services, add: Add) -> None:
    if services.batches is None or services.files is None:
        return
    filed = OpenAIBatches(services, services.batches, services.files)
    add("/v1/batches", filed.create, methods=["POST"], **openapi.CREATE_FILED_BATCH)
    add("/v1/batches", filed.list, methods=["GET"], **openapi.LIST_FILED_BATCHES)
    add("/v1/batches/{id}", filed.get, methods=["GET"], **openapi.GET_FILED_BATCH)
    add("/v1/batches/{id}/cancel", filed.cancel, methods=["POST"], **openapi.GET_FILED_BATCH)


def _files(services: Services, add: Add) -> None:
    if services.files is None:
        return
    files, one = Files(services, services.files), f"{FILES}/{{id}}"
    add(FILES, files.create, methods=["POST"], **openapi.CREATE_FILE)
    add(FILES, files.list, methods=["GET"], **openapi.LIST_FILES)
    add(one, files.get, methods=["GET"], **openapi.GET_FILE)
    add(one, files.delete, methods=["DELETE"], **openapi.DELETE_FILE)
    add(f"{one}/content", files.content, methods=["GET"], **openapi.FILE_CONTENT)


def _uploads(services: Services, add: Add) -> None:
    if services.files is None:
        return
    uploads = Uploads(services, KeptUploads(services.files))
    add("/v1/uploads", uploads.create, methods=["POST"], **openapi.CREATE_UPLOAD)
    add(PARTS, uploads.add_part, methods=["POST"], **openapi.ADD_PART)
    add("/v1/uploads/{id}/complete", uploads.complete, methods=["POST"], **openapi.COMPLETE_UPLOAD)
    add("/v1/uploads/{id}/cancel", uploads.cancel, methods=["POST"], **openapi.CANCEL_UPLOAD)


def _responses(services: Services, add: Add) -> None:
    if services.responses is None:
        return
    responses, one = Responses(services, services.responses), "/v1/responses/{id}"
    add("/v1/responses", responses.create, methods=["POST"], **openapi.CREATE_RESPONSE)
    add("/v1/responses/input_tokens", responses.count, methods=["POST"], **openapi.COUNT_INPUT)
    add("/v1/responses/compact", responses.compact, methods=["POST"], **openapi.COMPACT_RESPONSE)
    add(one, responses.get, methods=["GET"], **openapi.GET_RESPONSE)
    add(one, responses.delete, methods=["DELETE"], **openapi.DELETE_KEPT)
    add(f"{one}/cancel", responses.cancel, methods=["POST"], **openapi.CANCEL_RESPONSE)
    add(f"{one}/input_items", responses.input_items, methods=["GET"], **openapi.LIST_ITEMS)


def _conversations(services: Services, add: Add) -> None:
    if services.responses is None:
        return
    conversations, one = Conversations(services, services.responses.conversations), "/v1/conversations/{id}"
    add("/v1/conversations", conversations.create, methods=["POST"], **openapi.CREATE_CONVERSATION)
    add(one, conversations.get, methods=["GET"], **openapi.GET_CONVERSATION)
    add(one, conversations.update, methods=["POST"], **openapi.CHANGE_CONVERSATION)
    add(one, conversations.delete, methods=["DELETE"], **openapi.DELETE_KEPT)
    add(f"{one}/items", conversations.items, methods=["GET"], **openapi.LIST_ITEMS)
    add(f"{one}/items", conversations.add, methods=["POST"], **openapi.ADD_ITEMS)
    add(f"{one}/items/{{item}}", conversations.item, methods=["GET"], **openapi.GET_ITEM)
    add(f"{one}/items/{{item}}", conversations.remove, methods=["DELETE"], **openapi.GET_CONVERSATION)


def _webhooks(services: Services, add: Add) -> None:
    if services.webhooks is None:
        return
    webhooks, one = Webhooks(services, services.webhooks), f"{WEBHOOKS}/{{id}}"
    delivery = f"{one}/deliveries/{{event}}"
    add(WEBHOOKS, webhooks.create, methods=["POST"], **openapi.CREATE_WEBHOOK)
    add(WEBHOOKS, webhooks.list, methods=["GET"], **openapi.LIST_WEBHOOKS)
    add(one, webhooks.get, methods=["GET"], **openapi.GET_WEBHOOK)
    add(one, webhooks.update, methods=["POST"], **openapi.UPDATE_WEBHOOK)
    add(one, webhooks.delete, methods=["DELETE"], **openapi.DELETE_WEBHOOK)
    add(f"{one}/rotate_secret", webhooks.rotate, methods=["POST"], **openapi.ROTATE_WEBHOOK)
    add(f"{one}/test", webhooks.test, methods=["POST"], **openapi.TEST_WEBHOOK)
    add(f"{one}/deliveries", webhooks.deliveries, methods=["GET"], **openapi.LIST_DELIVERIES)
    add(delivery, webhooks.delivery, methods=["GET"], **openapi.GET_DELIVERY)
    add(f"{delivery}/redeliver", webhooks.redeliver, methods=["POST"], **openapi.GET_DELIVERY)
    add("/v1/webhook_event_types", webhooks.types, methods=["GET"], **openapi.WEBHOOK_TYPES)


def _organization(services: Services, add: Add) -> None:
    if services.keyring is None or services.ledger is None:
        return
    admin, keys = Admin(services, services.keyring, services.ledger), f"{ORGANIZATION}/api_keys"
    add(f"{ORGANIZATION}/me", admin.me, methods=["GET"], **openapi.ADMIN_OBJECT)
    add(keys, admin.list_keys, methods=["GET"], **openapi.ADMIN_LIST)
    add(keys, admin.create_key, methods=["POST"], **openapi.CREATE_KEY)
    add(f"{keys}/{{id}}/rotate", admin.rotate_key, methods=["POST"], **openapi.ROTATE_KEY)
    add(f"{keys}/{{id}}", admin.get_key, methods=["GET"], **openapi.ADMIN_OBJECT)
    add(f"{keys}/{{id}}", admin.change_key, methods=["POST"], **openapi.CHANGE_KEY)


def _workspaces(services: Services, add: Add) -> None:
    if services.keyring is None or services.ledger is None:
        return
    admin, workspaces = Admin(services, services.keyring, services.ledger), f"{ORGANIZATION}/workspaces"
    one = f"{workspaces}/{{id}}"
    add(workspaces, admin.list_workspaces, methods=["GET"], **openapi.ADMIN_LIST)
    add(workspaces, admin.create_workspace, methods=["POST"], **openapi.CHANGE_WORKSPACE)
    add(one, admin.get_workspace, methods=["GET"], **openapi.ADMIN_OBJECT)
    add(one, admin.change_workspace, methods=["POST"], **openapi.CHANGE_WORKSPACE)
    if services.erasure is not None:
        add(one, admin.delete_workspace, methods=["DELETE"], **openapi.ADMIN_OBJECT)
    add(f"{one}/archive", admin.archive_workspace, methods=["POST"], **openapi.ADMIN_OBJECT)
    add(f"{one}/rate_limits", admin.workspace_limits, methods=["GET"], **openapi.RATE_LIMITS)
    add(f"{one}/rate_limits/{{limit}}", admin.limit_workspace, methods=["POST"], **openapi.CHANGE_LIMITS)


def _reports(services: Services, add: Add) -> None:
    if services.keyring is not None and services.ledger is not None:
        admin = Admin(services, services.keyring, services.ledger)
        add(f"{ORGANIZATION}/rate_limits", admin.rate_limits, methods=["GET"], **openapi.RATE_LIMITS)
        add(f"{ORGANIZATION}/usage_report/messages", admin.usage_report, methods=["GET"], **openapi.USAGE_REPORT)
        add(f"{ORGANIZATION}/cost_report", admin.cost_report, methods=["GET"], **openapi.COST_REPORT)
    if services.audit is not None:
        logs = AuditLogs(services, services.audit)
        add("/v1/organization/audit_logs", logs.list, methods=["GET"], **openapi.LIST_AUDIT)


def _openrouter(services: Services, add: Add) -> None:
    openrouter, routed = OpenRouter(services), RoutedForms(services)
    add("/api/v1/chat/completions", openrouter.chat, methods=["POST"], **openapi.ROUTER_CHAT)
    add("/api/v1/embeddings", Embeddings(services).priced, methods=["POST"], **openapi.ROUTER_EMBEDDING)
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


def _router_keys(services: Services, add: Add) -> None:
    if services.keyring is None or services.ledger is None:
        return
    keys, own = RouterKeys(services, services.keyring, services.ledger), "/api/v1/keys"
    add(own, keys.create, methods=["POST"], **openapi.ROUTER_NEW_KEY)
    add(own, keys.list, methods=["GET"], **openapi.ROUTER_LIST)
    add(f"{own}/{{hash}}", keys.get, methods=["GET"], **openapi.ROUTER_DATA)
    add(f"{own}/{{hash}}", keys.change, methods=["PATCH"], **openapi.ROUTER_KEY)
    add(f"{own}/{{hash}}", keys.delete, methods=["DELETE"], **openapi.ROUTER_DATA)


def _images(services: Services, add: Add) -> None:
    if services.jobs is None or services.taker is None:
        return
    images = Images(services, services.jobs, services.taker)
    add("/v1/images/generations", images.generate, methods=["POST"], **openapi_images.GENERATE)
    add("/v1/images/edits", images.edit, methods=["POST"], **openapi_images.EDIT)
    add("/v1/images/variations", images.vary, methods=["POST"], **openapi_images.VARY)


def _image_jobs(services: Services, add: Add) -> None:
    if services.jobs is None or services.taker is None:
        return
    jobs, one = ImageJobs(services, services.jobs, services.taker), "/v1/jobs/{id}"
    add("/v1/jobs", jobs.create, methods=["POST"], status_code=202, **openapi_images.CREATE_JOB)
    add("/v1/jobs", jobs.list, methods=["GET"], **openapi_images.LIST_JOBS)
    add(one, jobs.get, methods=["GET"], **openapi_images.GET_JOB)
    add(one, jobs.delete, methods=["DELETE"], **openapi_images.DELETE_JOB)
    add(f"{one}/cancel", jobs.cancel, methods=["POST"], **openapi_images.GET_JOB)
    add(f"{one}/skip", jobs.skip, methods=["POST"], **openapi_images.GET_JOB)
    add(f"{one}/events", jobs.events, methods=["GET"], **openapi_images.JOB_EVENTS)
    add(f"{one}/pictures/{{number}}", jobs.picture, methods=["GET"], **openapi_images.JOB_PICTURE)


def _sdapi(services: Services, add: Add) -> None:
    """A1111's, without their lists."""
    if services.jobs is None or services.taker is None:
        return
    preferences = sdapi.Preferences(services)
    painting = sdapi.Painting(services, services.jobs, services.taker, preferences)
    extras = sdapi.Extras(services, services.jobs, services.taker, preferences)
    tasks = sdapi.Tasks(services, services.jobs)
    add(f"{SDAPI}/txt2img", painting.txt2img, methods=["POST"], **openapi.SDAPI_TEXT_TO_IMAGE)
    add(f"{SDAPI}/img2img", painting.img2img, methods=["POST"], **openapi.SDAPI_IMAGE_TO_IMAGE)
    add(f"{SDAPI}/extra-single-image", extras.single, methods=["POST"], **openapi.SDAPI_EXTRA_SINGLE)
    add(f"{SDAPI}/extra-batch-images", extras.batch, methods=["POST"], **openapi.SDAPI_EXTRA_BATCH)
    add(f"{SDAPI}/png-info", extras.png_info, methods=["POST"], **openapi.SDAPI_PNG_INFO)
    add(f"{SDAPI}/progress", tasks.progress, methods=["GET"], **openapi.SDAPI_ANY)
    add("/internal/progress", tasks.internal, methods=["POST"], **openapi.SDAPI_TASK)
    add(f"{SDAPI}/interrupt", tasks.interrupt, methods=["POST"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/skip", tasks.skip, methods=["POST"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/options", preferences.get, methods=["GET"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/options", preferences.set, methods=["POST"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/sd-models", preferences.list, methods=["GET"], **openapi.SDAPI_ANY)
    for path in sdapi.REFUSED:
        add(f"{SDAPI}/{path}", extras.refused, methods=["POST"], **openapi.SDAPI_ANY)


def _sdapi_lists(services: Services, add: Add) -> None:
    if services.jobs is None:
        return
    listing = sdapi.Listing(services)
    for name, write in sdapi.LISTS.items():
        add(f"{SDAPI}/{name}", listing.named(write), methods=["GET"], **openapi.SDAPI_ANY)
    for name in sdapi.EMPTY:
        add(f"{SDAPI}/{name}", listing.empty, methods=["GET"], **openapi.SDAPI_ANY)
    for name in sdapi.UNCHANGED:
        add(f"{SDAPI}/{name}", listing.refresh, methods=["POST"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/memory", listing.memory, methods=["GET"], **openapi.SDAPI_ANY)
    add(f"{SDAPI}/cmd-flags", listing.flags, methods=["GET"], **openapi.SDAPI_ANY)


def _own(services: Services, add: Add) -> None:
    """The server's own: how it does, and what it can be asked."""
    status = Status(services)
    if services.metrics is not None:
        add("/metrics", Measured(services, services.metrics).read, methods=["GET"], **openapi.READ_METRICS)
    for path, handler in {"/": status.hello, "/health": status.health, "/ready": status.ready}.items():
        add(path, handler, methods=["GET"])
        add(path, handler, methods=["HEAD"], include_in_schema=False)
    add("/api/hello", status.hello, methods=["GET", "HEAD"], include_in_schema=False)
    add("/docs", status.docs, methods=["GET"], include_in_schema=False)
