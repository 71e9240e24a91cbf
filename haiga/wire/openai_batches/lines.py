"""Lines of batches as requests to the APIs they are for, and what came of them.

Rule: a line's body is read by the very code that reads a request's, and its answer is written by the code that writes
one. What a line cannot have is refused by name: a stream, or what somebody would have to come back for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import orjson

from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import HaigaError, Unsupported
from haiga.core.generation import Reply, TextRequest, replay
from haiga.core.jobs import Line
from haiga.core.moderation import Moderation, ModerationRequest
from haiga.core.ports import ModelCard
from haiga.wire import openai_errors
from haiga.wire.body import read_object
from haiga.wire.openai_chat.read import ChatRequest, read_chat
from haiga.wire.openai_chat.write import write_chat
from haiga.wire.openai_completions import CompletionRequest, read_completion, usage_of, write_completion
from haiga.wire.openai_embeddings import Encoding, read_embedding, write_embeddings
from haiga.wire.openai_moderations.beside import Beside, Wanted
from haiga.wire.openai_moderations.read import read_moderation
from haiga.wire.openai_moderations.write import write_moderation
from haiga.wire.openai_responses.read import Prompt, ResponseRequest, read_response
from haiga.wire.openai_responses.stream import ResponseWriter
from haiga.wire.openai_responses.write import head

Made: TypeAlias = Sequence[Reply] | Embeddings | Moderation
NewId: TypeAlias = Callable[[str], str]
# Fields that make sense only while somebody waits, or comes back.
NOT_HERE = ("stream", "background", "previous_response_id", "conversation")


class OpenAILines:
    """Lines to one endpoint; `read` makes of a line's body what the endpoint is asked."""

    def __init__(self, read: "Callable[[bytes], AskedAny]") -> None:
        self._read = read

    def read(self, line: Line) -> "AskedAny":
        """Raises Invalid and Unsupported."""
        body = read_object(line.params)
        for name in NOT_HERE:
            if body.get(name):
                raise Unsupported(f"'{name}' is not supported in a batch.", field=name, code="unsupported_parameter")
        return self._read(line.params)

    def failed(self, error: HaigaError, *, id: str) -> bytes:
        """The result of a line that was not answered."""
        return _result(openai_errors.kind(error)[0], orjson.dumps(openai_errors.envelope(error)), id)


def _result(status: int, body: bytes, request_id: str) -> bytes:
    told = b'{"response":{"status_code":%d,"request_id":"%b","body":%b},"error":null}'
    return told % (status, request_id.encode(), body)


def _answer_id(new_id: NewId, prefix: str) -> str:
    return new_id(prefix).replace("_", "-", 1)


def _replies(made: Made) -> Sequence[Reply]:
    assert not isinstance(made, Embeddings | Moderation)
    return made


@dataclass(frozen=True, slots=True)
class AskedChat:
    """A chat completion."""

    asked: ChatRequest

    @property
    def model(self) -> str:
        return self.asked.request.model

    @property
    def each(self) -> int:
        return self.asked.n

    @property
    def written(self) -> str:
        form, judged = self.asked.form, self.asked.judged
        told = repr((replace(form, free_text=frozenset()), sorted(form.free_text)))
        return f"{told} {judged.classifier}" if judged else told

    @property
    def judged(self) -> Wanted | None:
        return self.asked.judged

    def work(self, card: ModelCard) -> Sequence[TextRequest]:
        """A request for each answer wanted."""
        return self.asked.choices(card)

    def placed(self, error: HaigaError) -> HaigaError:
        return self.asked.placed(error)

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: NewId) -> bytes:
        """The chat completion as a result."""
        id = _answer_id(new_id, "chatcmpl")
        body = write_chat(_replies(made), self.asked.form, id=id, model=model, created=created, beside=beside)
        return _result(200, body, new_id("req"))


@dataclass(frozen=True, slots=True)
class AskedCompletion:
    """Prompts to be continued."""

    asked: CompletionRequest
    judged: None = None

    @property
    def model(self) -> str:
        return self.asked.requests[0].model

    @property
    def each(self) -> int:
        return self.asked.tries

    @property
    def written(self) -> str:
        return repr(self.asked.form)

    def work(self, card: ModelCard) -> Sequence[TextRequest]:
        """A request for each answer to be made."""
        return self.asked.choices(card)

    def placed(self, error: HaigaError) -> HaigaError:
        return self.asked.placed(error)

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: NewId) -> bytes:
        """The completion as a result."""
        id, whole = _answer_id(new_id, "cmpl"), _replies(made)
        used = usage_of(whole, self.asked.tries)
        body = write_completion(self.asked.best(whole), used, self.asked.form, id=id, model=model, created=created)
        return _result(200, body, new_id("req"))


@dataclass(slots=True)
class AskedResponse:
    """A response, which is not kept beyond the file that it is written to."""

    asked: ResponseRequest
    prompt: Prompt | None = None

    @property
    def judged(self) -> Wanted | None:
        return self.asked.judged

    @property
    def model(self) -> str:
        return self.asked.body.model

    @property
    def each(self) -> int:
        return 1

    @property
    def written(self) -> str:
        """A response repeats its request."""
        told = {name: value for name, value in self.asked.raw.items() if name != "input"}
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()

    def work(self, card: ModelCard) -> Sequence[TextRequest]:
        """The request after nothing that was said before."""
        self.prompt = self.asked.prompt((), self.asked.items, card)
        return (self.prompt.request,)

    def placed(self, error: HaigaError) -> HaigaError:
        return error if self.prompt is None else self.prompt.placed(error)

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: NewId) -> bytes:
        """The response as a result."""
        (reply,) = _replies(made)
        begun = head(self.asked, id=new_id("resp"), created=created, model=model) | {"store": False}
        writer = ResponseWriter(begun, self.asked.form, self.placed, new_id, lambda: float(created), beside)
        for event in replay(reply):
            writer.write(event)
        return _result(200, orjson.dumps(writer.response()), new_id("req"))


@dataclass(frozen=True, slots=True)
class AskedVectors:
    """Texts to be embedded."""

    request: EmbeddingRequest
    encoding: Encoding
    judged: None = None

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def each(self) -> int:
        return 1

    @property
    def written(self) -> str:
        return self.encoding

    def work(self, card: ModelCard) -> EmbeddingRequest:
        """The request as it is."""
        return self.request

    def placed(self, error: HaigaError) -> HaigaError:
        return error

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: NewId) -> bytes:
        """The vectors as a result."""
        assert isinstance(made, Embeddings)
        return _result(200, write_embeddings(made, self.encoding, model), new_id("req"))


@dataclass(frozen=True, slots=True)
class AskedJudgement:
    """Texts and images to be judged."""

    request: ModerationRequest
    judged: None = None

    @property
    def model(self) -> str:
        return self.request.model

    @property
    def each(self) -> int:
        return 1

    @property
    def written(self) -> str:
        return ""

    def work(self, card: ModelCard) -> ModerationRequest:
        """The request as it is."""
        return self.request

    def placed(self, error: HaigaError) -> HaigaError:
        return error

    def succeeded(self, made: Made, beside: Beside, *, model: str, created: int, new_id: NewId) -> bytes:
        """The judgements as a result."""
        assert isinstance(made, Moderation)
        id = _answer_id(new_id, "modr")
        return _result(200, write_moderation(made, self.request.items, id=id, model=model), new_id("req"))


def _response(body: bytes, new_id: NewId) -> AskedResponse:
    asked = read_response(body, new_id)
    if asked.body.truncation == "auto":
        raise Unsupported("'truncation' is not supported in a batch.", field="truncation", code="unsupported_parameter")
    for i, item in enumerate(asked.items):
        if item["type"] == "item_reference":
            raise Unsupported("Items that are kept cannot be referred to in a batch.", field=f"input[{i}]")
    return AskedResponse(asked)


AskedAny: TypeAlias = AskedChat | AskedCompletion | AskedResponse | AskedVectors | AskedJudgement


def openai_lines(new_id: NewId) -> Mapping[str, OpenAILines]:
    """The forms of lines, by endpoint."""
    return {
        "/v1/chat/completions": OpenAILines(lambda body: AskedChat(read_chat(body))),
        "/v1/completions": OpenAILines(lambda body: AskedCompletion(read_completion(body))),
        "/v1/embeddings": OpenAILines(lambda body: AskedVectors(*read_embedding(body))),
        "/v1/moderations": OpenAILines(lambda body: AskedJudgement(read_moderation(body))),
        "/v1/responses": OpenAILines(lambda body: _response(body, new_id)),
    }
