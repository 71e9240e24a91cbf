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


def _operation(
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


def _form(*shapes: type[BaseModel]) -> dict[str, Any]:
    references = [{"$ref": REFERENCE.format(model=shape.__name__)} for shape in shapes]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


def _body(shape: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=shape.__name__)}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


CREATE_MESSAGE = _operation(
    MessageAnswer, {"requestBody": _body(MessageBody), "parameters": [VERSION, BETA, CACHE, POLICY]}, streams=True
)
COUNT_TOKENS = _operation(CountAnswer, {"requestBody": _body(CountBody), "parameters": [VERSION, BETA]})
DEDUPE = {
    "name": "haiga-dedupe",
    "in": "header",
    "required": False,
    "description": "Which requests may share one answer with identical ones.",
    "schema": {"type": "string", "enum": list(get_args(Dedupe)), "default": "deterministic"},
}
READ_METRICS = _operation(None, {}, text=True)
CREATE_BATCH = _operation(BatchAnswer, {"requestBody": _body(BatchBody), "parameters": [VERSION, BETA, DEDUPE, POLICY]})
LIST_BATCHES = _operation(BatchesAnswer, {})
GET_BATCH = _operation(BatchAnswer, {})
DELETE_BATCH = _operation(BatchDeletedAnswer, {})
BATCH_RESULTS = _operation(BatchResultAnswer, {}, lines=True)
EITHER_ERROR = ErrorAnswer | OpenAIErrorAnswer
LIST_MODELS = _operation(ModelsAnswer | OpenAIModels, {"parameters": [OPTIONAL_VERSION]}, error=EITHER_ERROR)
GET_MODEL = _operation(ModelAnswer | OpenAIModel, {"parameters": [OPTIONAL_VERSION]}, error=EITHER_ERROR)
_EITHER: dict[str, Any] = {"parameters": [OPTIONAL_VERSION]}
CREATE_FILE = _operation(
    FileAnswer | OpenAIFileAnswer, _EITHER | {"requestBody": _form(FileForm, OpenAIFileForm)}, error=EITHER_ERROR
)
LIST_FILES = _operation(FilesAnswer | OpenAIFilesAnswer, _EITHER, error=EITHER_ERROR)
GET_FILE = _operation(FileAnswer | OpenAIFileAnswer, _EITHER, error=EITHER_ERROR)
DELETE_FILE = _operation(FileDeletedAnswer | OpenAIFileDeletedAnswer, _EITHER, error=EITHER_ERROR)
FILE_CONTENT = _operation(None, _EITHER, error=EITHER_ERROR)
FILE_CONTENT["responses"][200]["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
CREATE_FILED_BATCH = _operation(
    OpenAIBatchAnswer, {"requestBody": _body(OpenAIBatchBody), "parameters": [DEDUPE, POLICY]}, error=OpenAIErrorAnswer
)
LIST_FILED_BATCHES = _operation(OpenAIBatchesAnswer, {}, error=OpenAIErrorAnswer)
GET_FILED_BATCH = _operation(OpenAIBatchAnswer, {}, error=OpenAIErrorAnswer)
CREATE_UPLOAD = _operation(UploadAnswer, {"requestBody": _body(UploadBody)}, error=OpenAIErrorAnswer)
ADD_PART = _operation(UploadPartAnswer, {"requestBody": _form(PartForm)}, error=OpenAIErrorAnswer)
COMPLETE_UPLOAD = _operation(UploadAnswer, {"requestBody": _body(CompletionOfUpload)}, error=OpenAIErrorAnswer)
CANCEL_UPLOAD = _operation(UploadAnswer, {}, error=OpenAIErrorAnswer)
CREATE_CHAT = _operation(
    chats.ChatAnswer,
    {"requestBody": _body(ChatBody), "parameters": [CACHE, POLICY]},
    error=OpenAIErrorAnswer,
    streams=True,
)
CREATE_COMPLETION = _operation(
    chats.CompletionAnswer,
    {"requestBody": _body(CompletionBody), "parameters": [CACHE, POLICY]},
    error=OpenAIErrorAnswer,
    streams=True,
)
CREATE_EMBEDDING = _operation(EmbeddingAnswer, {"requestBody": _body(EmbeddingBody)}, error=OpenAIErrorAnswer)
CREATE_MODERATION = _operation(
    ModerationAnswer, {"requestBody": _body(ModerationBody), "parameters": [POLICY]}, error=OpenAIErrorAnswer
)
EXPLAIN_MODERATION = _operation(
    ModerationAnswer, {"requestBody": _body(ExplainBody), "parameters": [POLICY]}, error=OpenAIErrorAnswer
)
CREATE_POLICY = _operation(PolicyAnswer, {"requestBody": _body(PolicyBody)}, error=OpenAIErrorAnswer)
LIST_POLICIES = _operation(PoliciesAnswer, {}, error=OpenAIErrorAnswer)
GET_POLICY = _operation(PolicyAnswer, {}, error=OpenAIErrorAnswer)
DELETE_POLICY = _operation(PolicyDeletedAnswer, {}, error=OpenAIErrorAnswer)
LIST_CHATS = _operation(chats.KeptChatsAnswer, {}, error=OpenAIErrorAnswer)
GET_CHAT = _operation(chats.KeptChatAnswer, {}, error=OpenAIErrorAnswer)
UPDATE_CHAT = _operation(chats.KeptChatAnswer, {"requestBody": _body(ChatUpdateBody)}, error=OpenAIErrorAnswer)
DELETE_CHAT = _operation(chats.DeletedChatAnswer, {}, error=OpenAIErrorAnswer)
LIST_MESSAGES = _operation(chats.KeptMessagesAnswer, {}, error=OpenAIErrorAnswer)
_RESPONSE = {"requestBody": _body(ResponseBody)}
CREATE_RESPONSE = _operation(
    responses.ResponseAnswer, _RESPONSE | {"parameters": [CACHE, POLICY]}, error=OpenAIErrorAnswer, streams=True
)
COUNT_INPUT = _operation(responses.InputTokensAnswer, _RESPONSE, error=OpenAIErrorAnswer)
COMPACT_RESPONSE = _operation(responses.CompactionAnswer, _RESPONSE, error=OpenAIErrorAnswer)
GET_RESPONSE = _operation(responses.ResponseAnswer, {}, error=OpenAIErrorAnswer, streams=True)
CANCEL_RESPONSE = _operation(responses.ResponseAnswer, {}, error=OpenAIErrorAnswer)
DELETE_KEPT = _operation(responses.DeletedAnswer, {}, error=OpenAIErrorAnswer)
LIST_ITEMS = _operation(responses.ItemsAnswer, {}, error=OpenAIErrorAnswer)
GET_ITEM = _operation(responses.ItemAnswer, {}, error=OpenAIErrorAnswer)
ADD_ITEMS = _operation(responses.ItemsAnswer, {"requestBody": _body(ConversationItems)}, error=OpenAIErrorAnswer)
CREATE_CONVERSATION = _operation(
    responses.ConversationAnswer, {"requestBody": _body(ConversationBody)}, error=OpenAIErrorAnswer
)
CHANGE_CONVERSATION = _operation(
    responses.ConversationAnswer, {"requestBody": _body(ConversationChange)}, error=OpenAIErrorAnswer
)
GET_CONVERSATION = _operation(responses.ConversationAnswer, {}, error=OpenAIErrorAnswer)


def _webhook(answer: Any, shape: type[BaseModel] | None = None) -> dict[str, Any]:
    return _operation(answer, {} if shape is None else {"requestBody": _body(shape)}, error=OpenAIErrorAnswer)


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
ROUTER_CHAT = _operation(
    RouterChatAnswer,
    {"requestBody": _body(RouterBody), "parameters": [CACHE, POLICY]},
    error=RouterErrorAnswer,
    streams=True,
)
ROUTER_EMBEDDING = _operation(EmbeddingAnswer, {"requestBody": _body(EmbeddingBody)}, error=RouterErrorAnswer)
ROUTER_MESSAGE = _operation(MessageAnswer, {"requestBody": _body(MessageBody)}, streams=True)
ROUTER_RESPONSE = _operation(responses.ResponseAnswer, _RESPONSE, error=RouterErrorAnswer, streams=True)
ROUTER_LIST = _operation(RouterListAnswer, {}, error=RouterErrorAnswer)
ROUTER_MODELS = _operation(RouterModelsAnswer, {}, error=RouterErrorAnswer)
ROUTER_DATA = _operation(RouterDataAnswer, {}, error=RouterErrorAnswer)

ROUTER_NEW_KEY = _operation(RouterDataAnswer, {"requestBody": _body(NewKeyBody)}, error=RouterErrorAnswer)
ROUTER_KEY = _operation(RouterDataAnswer, {"requestBody": _body(KeyPatch)}, error=RouterErrorAnswer)


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
LOAD_ADAPTER = _operation(None, {"requestBody": _body(LoadAdapterBody)}, error=OpenAIErrorAnswer, text=True)
UNLOAD_ADAPTER = _operation(None, {"requestBody": _body(UnloadAdapterBody)}, error=OpenAIErrorAnswer, text=True)
ADMIN_OBJECT = _operation(AdminAnswer, {})
ADMIN_LIST = _operation(AdminList, {})
CREATE_KEY = _operation(AdminAnswer, {"requestBody": _body(KeyBody)})
ROTATE_KEY = _operation(AdminAnswer, {"requestBody": _body(RotationBody)})
CHANGE_KEY = _operation(AdminAnswer, {"requestBody": _body(KeyChange)})
CHANGE_WORKSPACE = _operation(AdminAnswer, {"requestBody": _body(WorkspaceBody)})
RATE_LIMITS = _operation(RateLimitsAnswer, {})
CHANGE_LIMITS = _operation(RateLimitAnswer, {"requestBody": _body(RateLimitChange)})
USAGE_REPORT = _operation(BucketsAnswer, {"parameters": [*_SPAN, *_USAGE]})
COST_REPORT = _operation(BucketsAnswer, {"parameters": [*_SPAN, *_COST]})
_AUDIT = [
    _asked(name)
    for name in ("limit", "after", "before", *(f"effective_at[{each}]" for each in ("gte", "gt", "lte", "lt")))
]
_AUDIT += [_asked(name, many=True) for name in ("event_types", "actor_ids", "resource_ids")]
LIST_AUDIT = _operation(AuditLogs, {"parameters": _AUDIT}, error=OpenAIErrorAnswer)


BASIC: list[dict[str, list[str]]] = [*SECURED, {"basic": []}]


def _sdapi(shape: type[BaseModel] | None = None) -> dict[str, Any]:
    described = _operation(
        None, {"security": BASIC} | ({} if shape is None else {"requestBody": _body(shape)}), error=SdapiErrorAnswer
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


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, with the request shapes among its components."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, bodies = models_json_schema([(body, "validation") for body in BODIES], ref_template=REFERENCE)
    components = document.setdefault("components", {})
    components["securitySchemes"] = SECURITY
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **bodies["$defs"]}.items()))
    return document
