"""The OpenAPI document: what FastAPI cannot see because handlers read the body themselves.

Rule: request shapes are the very classes that read requests.
"""

from collections.abc import Sequence
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from haiga.core.jobs import Dedupe
from haiga.wire.adapters import LoadAdapterBody, UnloadAdapterBody
from haiga.wire.anthropic.admin import AdminAnswer, AdminList, BucketsAnswer, WorkspaceBody
from haiga.wire.anthropic.answers import (
    BatchAnswer,
    BatchDeletedAnswer,
    BatchesAnswer,
    BatchResultAnswer,
    CountAnswer,
    ErrorAnswer,
    FileAnswer,
    FileDeletedAnswer,
    FilesAnswer,
    MessageAnswer,
    ModelAnswer,
    ModelsAnswer,
)
from haiga.wire.anthropic.batches import BatchBody
from haiga.wire.anthropic.files import FileForm
from haiga.wire.anthropic.key_bodies import KeyBody, KeyChange, RotationBody
from haiga.wire.anthropic.rate_limits import RateLimitAnswer, RateLimitChange, RateLimitsAnswer
from haiga.wire.anthropic.reports import FILTERS, USAGE_GROUPS, WIDTHS
from haiga.wire.anthropic.rules import VERSIONS
from haiga.wire.anthropic.shapes import CountBody, MessageBody
from haiga.wire.moderation_policies import PoliciesAnswer, PolicyAnswer, PolicyBody, PolicyDeletedAnswer
from haiga.wire.openai_audit import AuditLogs
from haiga.wire.openai_batches.answers import OpenAIBatchAnswer, OpenAIBatchesAnswer
from haiga.wire.openai_batches.batches import OpenAIBatchBody
from haiga.wire.openai_chat import answers as chats
from haiga.wire.openai_chat.shapes import ChatBody
from haiga.wire.openai_chat.stored import ChatUpdateBody
from haiga.wire.openai_completions import CompletionBody
from haiga.wire.openai_embeddings import EmbeddingAnswer, EmbeddingBody
from haiga.wire.openai_files.answers import (
    OpenAIFileAnswer,
    OpenAIFileDeletedAnswer,
    OpenAIFilesAnswer,
    UploadAnswer,
    UploadPartAnswer,
)
from haiga.wire.openai_files.files import OpenAIFileForm
from haiga.wire.openai_files.uploads import CompletionOfUpload, PartForm, UploadBody
from haiga.wire.openai_models import OpenAIErrorAnswer, OpenAIModel, OpenAIModels
from haiga.wire.openai_moderations.shapes import ExplainBody, ModerationAnswer, ModerationBody
from haiga.wire.openai_responses import answers as responses
from haiga.wire.openai_responses.shapes import ConversationBody, ConversationChange, ConversationItems, ResponseBody
from haiga.wire.openrouter.answers import (
    RouterChatAnswer,
    RouterDataAnswer,
    RouterErrorAnswer,
    RouterListAnswer,
    RouterModelsAnswer,
)
from haiga.wire.openrouter.keys import KeyPatch, NewKeyBody
from haiga.wire.openrouter.shapes import RouterBody
from haiga.wire.sdapi.shapes import (
    ExtrasBatchBody,
    ExtrasSingleBody,
    ImageToImageBody,
    PngInfoBody,
    ProgressBody,
    SdapiErrorAnswer,
    TextToImageBody,
)
from haiga.wire.webhooks import answers as webhooks
from haiga.wire.webhooks.messages import WebhookBody, WebhookChange, WebhookRotation, WebhookTest

BODIES: tuple[type[BaseModel], ...] = (
    MessageBody,
    CountBody,
    BatchBody,
    ChatBody,
    ChatUpdateBody,
    CompletionBody,
    EmbeddingBody,
    ModerationBody,
    ExplainBody,
    PolicyBody,
    ResponseBody,
    ConversationBody,
    ConversationChange,
    ConversationItems,
    RouterBody,
    FileForm,
    OpenAIFileForm,
    OpenAIBatchBody,
    UploadBody,
    PartForm,
    CompletionOfUpload,
    WebhookBody,
    WebhookChange,
    WebhookRotation,
    WebhookTest,
    KeyBody,
    KeyChange,
    RotationBody,
    NewKeyBody,
    KeyPatch,
    WorkspaceBody,
    RateLimitChange,
    LoadAdapterBody,
    UnloadAdapterBody,
    TextToImageBody,
    ImageToImageBody,
    ExtrasSingleBody,
    ExtrasBatchBody,
    PngInfoBody,
    ProgressBody,
)
REFERENCE = "#/components/schemas/{model}"
ERRORS = {
    400: "The request is wrong; the message names the field",
    401: "No credential, or an unknown one",
    403: "The caller may not do this",
    404: "No such model",
    413: "The body is too large",
    429: "Over a limit; `retry-after` says when to come back",
    500: "This request failed; try again",
    529: "The server is full; `retry-after` says when to come back",
}
VERSION = {
    "name": "anthropic-version",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": list(VERSIONS)},
}
OPTIONAL_VERSION = VERSION | {
    "required": False,
    "description": "With it the answer has Anthropic's shape, without it OpenAI's.",
}
BETA = {
    "name": "anthropic-beta",
    "in": "header",
    "required": False,
    "description": "Comma-separated names; unknown ones are tolerated.",
    "schema": {"type": "string"},
}
CACHE = {
    "name": "haiga-cache",
    "in": "header",
    "required": False,
    "description": "Whether a kept answer to the same deterministic request will do.",
    "schema": {"type": "string", "enum": ["on", "off"]},
}
POLICY = {
    "name": "haiga-policy",
    "in": "header",
    "required": False,
    "description": "A moderation policy that holds besides the server's own.",
    "schema": {"type": "string"},
}
SECURITY: dict[str, dict[str, Any]] = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
}
SECURED: list[dict[str, list[str]]] = [{}, {"apiKey": []}, {"bearer": []}]


def operation(
    answer: Any,
    extra: dict[str, Any],
    *,
    error: Any = ErrorAnswer,
    streams: bool = False,
    lines: bool = False,
    text: bool = False,
) -> dict[str, Any]:
    """Arguments of a route: its answers and what else the document says of it."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": error, "description": text} for status, text in ERRORS.items()
    }
    success: dict[str, Any] = {"description": "The answer"} | ({} if answer is None else {"model": answer})
    if streams:
        success["content"] = {"text/event-stream": {"schema": {"description": "Server-sent events"}}}
    if lines:
        success["content"] = {"application/x-jsonl": {"schema": {"description": "One JSON object a line"}}}
    if text:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    # "default" also keeps FastAPI from announcing a 422 that is never sent.
    responses = {200: success, **errors, "default": {"model": error, "description": "Any other error"}}
    return {"responses": responses, "openapi_extra": {"security": SECURED, **extra}}


def form(*shapes: type[BaseModel]) -> dict[str, Any]:
    references = [{"$ref": REFERENCE.format(model=shape.__name__)} for shape in shapes]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def body(shape: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=shape.__name__)}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


CREATE_MESSAGE = operation(
    MessageAnswer, {"requestBody": body(MessageBody), "parameters": [VERSION, BETA, CACHE, POLICY]}, streams=True
)
COUNT_TOKENS = operation(CountAnswer, {"requestBody": body(CountBody), "parameters": [VERSION, BETA]})
DEDUPE = {
    "name": "haiga-dedupe",
    "in": "header",
    "required": False,
    "description": "Which requests may share one answer with identical ones.",
    "schema": {"type": "string", "enum": list(get_args(Dedupe)), "default": "deterministic"},
}
READ_METRICS = operation(None, {}, text=True)
CREATE_BATCH = operation(BatchAnswer, {"requestBody": body(BatchBody), "parameters": [VERSION, BETA, DEDUPE, POLICY]})
LIST_BATCHES = operation(BatchesAnswer, {})
GET_BATCH = operation(BatchAnswer, {})
DELETE_BATCH = operation(BatchDeletedAnswer, {})
BATCH_RESULTS = operation(BatchResultAnswer, {}, lines=True)
EITHER_ERROR = ErrorAnswer | OpenAIErrorAnswer
LIST_MODELS = operation(ModelsAnswer | OpenAIModels, {"parameters": [OPTIONAL_VERSION]}, error=EITHER_ERROR)
GET_MODEL = operation(ModelAnswer | OpenAIModel, {"parameters": [OPTIONAL_VERSION]}, error=EITHER_ERROR)
_EITHER: dict[str, Any] = {"parameters": [OPTIONAL_VERSION]}
CREATE_FILE = operation(
    FileAnswer | OpenAIFileAnswer, _EITHER | {"requestBody": form(FileForm, OpenAIFileForm)}, error=EITHER_ERROR
)
LIST_FILES = operation(FilesAnswer | OpenAIFilesAnswer, _EITHER, error=EITHER_ERROR)
GET_FILE = operation(FileAnswer | OpenAIFileAnswer, _EITHER, error=EITHER_ERROR)
DELETE_FILE = operation(FileDeletedAnswer | OpenAIFileDeletedAnswer, _EITHER, error=EITHER_ERROR)
FILE_CONTENT = operation(None, _EITHER, error=EITHER_ERROR)
FILE_CONTENT["responses"][200]["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
CREATE_FILED_BATCH = operation(
    OpenAIBatchAnswer, {"requestBody": body(OpenAIBatchBody), "parameters": [DEDUPE, POLICY]}, error=OpenAIErrorAnswer
)
LIST_FILED_BATCHES = operation(OpenAIBatchesAnswer, {}, error=OpenAIErrorAnswer)
GET_FILED_BATCH = operation(OpenAIBatchAnswer, {}, error=OpenAIErrorAnswer)
CREATE_UPLOAD = operation(UploadAnswer, {"requestBody": body(UploadBody)}, error=OpenAIErrorAnswer)
ADD_PART = operation(UploadPartAnswer, {"requestBody": form(PartForm)}, error=OpenAIErrorAnswer)
COMPLETE_UPLOAD = operation(UploadAnswer, {"requestBody": body(CompletionOfUpload)}, error=OpenAIErrorAnswer)
CANCEL_UPLOAD = operation(UploadAnswer, {}, error=OpenAIErrorAnswer)
CREATE_CHAT = operation(
    chats.ChatAnswer,
    {"requestBody": body(ChatBody), "parameters": [CACHE, POLICY]},
    error=OpenAIErrorAnswer,
    streams=True,
)
CREATE_COMPLETION = operation(
    chats.CompletionAnswer,
    {"requestBody": body(CompletionBody), "parameters": [CACHE, POLICY]},
    error=OpenAIErrorAnswer,
    streams=True,
)
CREATE_EMBEDDING = operation(EmbeddingAnswer, {"requestBody": body(EmbeddingBody)}, error=OpenAIErrorAnswer)
CREATE_MODERATION = operation(
    ModerationAnswer, {"requestBody": body(ModerationBody), "parameters": [POLICY]}, error=OpenAIErrorAnswer
)
EXPLAIN_MODERATION = operation(
    ModerationAnswer, {"requestBody": body(ExplainBody), "parameters": [POLICY]}, error=OpenAIErrorAnswer
)
CREATE_POLICY = operation(PolicyAnswer, {"requestBody": body(PolicyBody)}, error=OpenAIErrorAnswer)
LIST_POLICIES = operation(PoliciesAnswer, {}, error=OpenAIErrorAnswer)
GET_POLICY = operation(PolicyAnswer, {}, error=OpenAIErrorAnswer)
DELETE_POLICY = operation(PolicyDeletedAnswer, {}, error=OpenAIErrorAnswer)
LIST_CHATS = operation(chats.KeptChatsAnswer, {}, error=OpenAIErrorAnswer)
GET_CHAT = operation(chats.KeptChatAnswer, {}, error=OpenAIErrorAnswer)
UPDATE_CHAT = operation(chats.KeptChatAnswer, {"requestBody": body(ChatUpdateBody)}, error=OpenAIErrorAnswer)
DELETE_CHAT = operation(chats.DeletedChatAnswer, {}, error=OpenAIErrorAnswer)
LIST_MESSAGES = operation(chats.KeptMessagesAnswer, {}, error=OpenAIErrorAnswer)
_RESPONSE = {"requestBody": body(ResponseBody)}
CREATE_RESPONSE = operation(
    responses.ResponseAnswer, _RESPONSE | {"parameters": [CACHE, POLICY]}, error=OpenAIErrorAnswer, streams=True
)
COUNT_INPUT = operation(responses.InputTokensAnswer, _RESPONSE, error=OpenAIErrorAnswer)
COMPACT_RESPONSE = operation(responses.CompactionAnswer, _RESPONSE, error=OpenAIErrorAnswer)
GET_RESPONSE = operation(responses.ResponseAnswer, {}, error=OpenAIErrorAnswer, streams=True)
CANCEL_RESPONSE = operation(responses.ResponseAnswer, {}, error=OpenAIErrorAnswer)
DELETE_KEPT = operation(responses.DeletedAnswer, {}, error=OpenAIErrorAnswer)
LIST_ITEMS = operation(responses.ItemsAnswer, {}, error=OpenAIErrorAnswer)
GET_ITEM = operation(responses.ItemAnswer, {}, error=OpenAIErrorAnswer)
ADD_ITEMS = operation(responses.ItemsAnswer, {"requestBody": body(ConversationItems)}, error=OpenAIErrorAnswer)
CREATE_CONVERSATION = operation(
    responses.ConversationAnswer, {"requestBody": body(ConversationBody)}, error=OpenAIErrorAnswer
)
CHANGE_CONVERSATION = operation(
    responses.ConversationAnswer, {"requestBody": body(ConversationChange)}, error=OpenAIErrorAnswer
)
GET_CONVERSATION = operation(responses.ConversationAnswer, {}, error=OpenAIErrorAnswer)


def _webhook(answer: Any, shape: type[BaseModel] | None = None) -> dict[str, Any]:
    return operation(answer, {} if shape is None else {"requestBody": body(shape)}, error=OpenAIErrorAnswer)


CREATE_WEBHOOK = _webhook(webhooks.NewWebhookAnswer, WebhookBody)
LIST_WEBHOOKS = _webhook(webhooks.WebhooksAnswer)
GET_WEBHOOK = _webhook(webhooks.WebhookAnswer)
UPDATE_WEBHOOK = _webhook(webhooks.WebhookAnswer, WebhookChange)
DELETE_WEBHOOK = _webhook(webhooks.DeletedWebhookAnswer)
ROTATE_WEBHOOK = _webhook(webhooks.NewWebhookAnswer, WebhookRotation)
TEST_WEBHOOK = _webhook(webhooks.TestedWebhookAnswer, WebhookTest)
WEBHOOK_TYPES = _webhook(webhooks.EventTypesAnswer)
LIST_DELIVERIES = _webhook(webhooks.DeliveriesAnswer)
GET_DELIVERY = _webhook(webhooks.DeliveryAnswer)
ROUTER_CHAT = operation(
    RouterChatAnswer,
    {"requestBody": body(RouterBody), "parameters": [CACHE, POLICY]},
    error=RouterErrorAnswer,
    streams=True,
)
ROUTER_EMBEDDING = operation(EmbeddingAnswer, {"requestBody": body(EmbeddingBody)}, error=RouterErrorAnswer)
ROUTER_MESSAGE = operation(MessageAnswer, {"requestBody": body(MessageBody)}, streams=True)
ROUTER_RESPONSE = operation(responses.ResponseAnswer, _RESPONSE, error=RouterErrorAnswer, streams=True)
ROUTER_LIST = operation(RouterListAnswer, {}, error=RouterErrorAnswer)
ROUTER_MODELS = operation(RouterModelsAnswer, {}, error=RouterErrorAnswer)
ROUTER_DATA = operation(RouterDataAnswer, {}, error=RouterErrorAnswer)

ROUTER_NEW_KEY = operation(RouterDataAnswer, {"requestBody": body(NewKeyBody)}, error=RouterErrorAnswer)
ROUTER_KEY = operation(RouterDataAnswer, {"requestBody": body(KeyPatch)}, error=RouterErrorAnswer)


def _asked(name: str, *, required: bool = False, many: bool = False, values: Sequence[str] = ()) -> dict[str, Any]:
    """A parameter that its handler reads by itself."""
    one: dict[str, Any] = {"type": "string"} | ({"enum": list(values)} if values else {})
    schema = {"type": "array", "items": one} if many else one
    return {"name": f"{name}[]" if many else name, "in": "query", "required": required, "schema": schema}


_SPAN = [_asked("starting_at", required=True), _asked("ending_at"), _asked("limit"), _asked("page")]
_USAGE = [
    _asked("bucket_width", values=tuple(WIDTHS)),
    _asked("group_by", many=True, values=tuple(USAGE_GROUPS)),
    *(_asked(name, many=True) for name in FILTERS),
]
_COST = [_asked("group_by", many=True, values=("workspace_id", "description"))]
LOAD_ADAPTER = operation(None, {"requestBody": body(LoadAdapterBody)}, error=OpenAIErrorAnswer, text=True)
UNLOAD_ADAPTER = operation(None, {"requestBody": body(UnloadAdapterBody)}, error=OpenAIErrorAnswer, text=True)
ADMIN_OBJECT = operation(AdminAnswer, {})
ADMIN_LIST = operation(AdminList, {})
CREATE_KEY = operation(AdminAnswer, {"requestBody": body(KeyBody)})
ROTATE_KEY = operation(AdminAnswer, {"requestBody": body(RotationBody)})
CHANGE_KEY = operation(AdminAnswer, {"requestBody": body(KeyChange)})
CHANGE_WORKSPACE = operation(AdminAnswer, {"requestBody": body(WorkspaceBody)})
RATE_LIMITS = operation(RateLimitsAnswer, {})
CHANGE_LIMITS = operation(RateLimitAnswer, {"requestBody": body(RateLimitChange)})
USAGE_REPORT = operation(BucketsAnswer, {"parameters": [*_SPAN, *_USAGE]})
COST_REPORT = operation(BucketsAnswer, {"parameters": [*_SPAN, *_COST]})
_AUDIT = [
    _asked(name)
    for name in ("limit", "after", "before", *(f"effective_at[{each}]" for each in ("gte", "gt", "lte", "lt")))
]
_AUDIT += [_asked(name, many=True) for name in ("event_types", "actor_ids", "resource_ids")]
LIST_AUDIT = operation(AuditLogs, {"parameters": _AUDIT}, error=OpenAIErrorAnswer)


BASIC: list[dict[str, list[str]]] = [*SECURED, {"basic": []}]


def _sdapi(shape: type[BaseModel] | None = None) -> dict[str, Any]:
    described = operation(
        None, {"security": BASIC} | ({} if shape is None else {"requestBody": body(shape)}), error=SdapiErrorAnswer
    )
    described["responses"][422] = described["responses"].pop(400)
    return described


SDAPI_ANY = _sdapi()
SDAPI_TEXT_TO_IMAGE = _sdapi(TextToImageBody)
SDAPI_IMAGE_TO_IMAGE = _sdapi(ImageToImageBody)
SDAPI_EXTRA_SINGLE = _sdapi(ExtrasSingleBody)
SDAPI_EXTRA_BATCH = _sdapi(ExtrasBatchBody)
SDAPI_PNG_INFO = _sdapi(PngInfoBody)
SDAPI_TASK = _sdapi(ProgressBody)


def describe(app: FastAPI, more: Sequence[type[BaseModel]] = ()) -> dict[str, Any]:
    """The document, with the request shapes among its components."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, bodies = models_json_schema([(body, "validation") for body in (*BODIES, *more)], ref_template=REFERENCE)
    components = document.setdefault("components", {})
    components["securitySchemes"] = SECURITY
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **bodies["$defs"]}.items()))
    return document
