"""Proof that a thought was written here, and what callers are shown of thoughts.

Rule: a signature that claims to be ours must hold; a foreign one, or none, is history that somebody else vouches for.

A signature is `haiga1.` and base64url of HMAC-SHA256(secret, thought). Where the thought itself is not shown, the
thought follows, enciphered under that HMAC as in RFC 5297 (a synthetic IV; here SHAKE-256 of key and IV is the key
stream), so that it can be given back to the model when the caller sends the block again.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from dataclasses import replace

from haiga.core.errors import Invalid
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Progress,
    SignatureDelta,
    TextDelta,
    TextRequest,
    ThinkingDelta,
    ThinkingRequest,
)
from haiga.core.messages import Block, Message, Text, Thinking, ToolUse

MARK = "haiga1."
SIZE = hashlib.sha256().digest_size


class Signer:
    """Signs and checks with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._proving = hmac.digest(secret, b"proving", "sha256")
        self._hiding = hmac.digest(secret, b"hiding", "sha256")

    def sign(self, thought: str, hidden: bool = False) -> str:
        """The signature of a thought; with `hidden` the thought can be had back from it."""
        said = thought.encode()
        proof = hmac.digest(self._proving, said, "sha256")
        return MARK + urlsafe_b64encode(proof + (self._crossed(proof, said) if hidden else b"")).decode()

    def thought(self, block: Thinking, field: str) -> Thinking:
        """The block with its thought, as it was written. Raises Invalid when the signature does not hold."""
        if not block.signature.startswith(MARK):
            return block
        signed = _decoded(block.signature[len(MARK) :])
        proof, hidden = signed[:SIZE], signed[SIZE:]
        back = bool(hidden) and not block.thinking
        said = self._crossed(proof, hidden) if back else block.thinking.encode(errors="surrogatepass")
        if not hmac.compare_digest(proof, hmac.digest(self._proving, said, "sha256")):
            raise Invalid("Invalid `signature` in `thinking` block", field=field)
        return replace(block, thinking=said.decode()) if back else block

    def _crossed(self, proof: bytes, text: bytes) -> bytes:
        stream = hashlib.shake_256(self._hiding + proof).digest(len(text))
        return bytes(one ^ other for one, other in zip(text, stream, strict=True))


def _decoded(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text)
    except (NotBase64, ValueError):
        return b""


class Thoughts:
    """Thoughts on their way in and out."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def admitted(self, request: TextRequest) -> TextRequest:
        """The request with its past thoughts proved. Between tools, as the API has it, a model does not think."""
        messages = tuple(self._proved(place, message) for place, message in enumerate(request.messages))
        thinking = request.thinking
        mode = "disabled" if thinking.mode == "between_tools" else thinking.mode
        return replace(request, messages=messages, thinking=replace(thinking, mode=mode))

    def foreign(self, request: TextRequest) -> TextRequest:
        """The request without the thoughts that this server has signed: to others their signature proves nothing."""
        if not any(_is_own(block) for message in request.messages for block in message.content):
            return request
        kept = [(m, tuple(block for block in m.content if not _is_own(block))) for m in request.messages]
        return replace(request, messages=tuple(replace(m, content=content) for m, content in kept if content))

    def shown(self, request: TextRequest) -> "Shown":
        """How the events of an answer to `request`, as the caller wrote it, become what the caller is shown."""
        return Shown(self._signer, request.thinking)

    def _proved(self, place: int, message: Message) -> Message:
        if not any(isinstance(block, Thinking) for block in message.content):
            return message
        blocks = enumerate(message.content)
        return replace(
            message, content=tuple(self._block(f"messages.{place}.content.{at}", block) for at, block in blocks)
        )

    def _block(self, field: str, block: Block) -> Block:
        return self._signer.thought(block, f"{field}.signature") if isinstance(block, Thinking) else block


def _is_own(block: Block) -> bool:
    return isinstance(block, Thinking) and block.signature.startswith(MARK)


class Shown:
    """One answer's events as the caller is shown them: thoughts signed, left out where they are not to be displayed.

    `between_tools`: words before a call are shown as thoughts, which is known once the call begins; text waits for it.
    """

    def __init__(self, signer: Signer, thinking: ThinkingRequest) -> None:
        self._signer = signer
        self._omit = thinking.display == "omitted"
        self._wait = thinking.mode == "between_tools"
        self._waiting: list[Event] = []
        self._said: list[str] | None = None

    def feed(self, event: Event) -> list[Event]:
        """What becomes of the next event."""
        if not self._wait or isinstance(event, Progress):
            return self._signed(event)
        if isinstance(event, BlockStarted) and isinstance(event.block, Text):
            self._waiting.append(event)
            return []
        if self._waiting and isinstance(event, TextDelta | BlockStopped) and not _closed(self._waiting):
            self._waiting.append(event)
            return []
        return [shown for each in (*self._released(event), event) for shown in self._signed(each)]

    def _released(self, event: Event) -> Sequence[Event]:
        """The text that waited: a thought if a call comes next."""
        waiting, self._waiting = self._waiting, []
        called = isinstance(event, BlockStarted) and isinstance(event.block, ToolUse)
        return [_as_thought(each) for each in waiting] if called else waiting

    def _signed(self, event: Event) -> list[Event]:
        match event:
            case BlockStarted(block=Thinking()):
                self._said = []
            case ThinkingDelta() if self._said is not None:
                self._said.append(event.thinking)
                return [] if self._omit else [event]
            case SignatureDelta():  # the engine has signed it itself
                self._said = None
            case BlockStopped() if self._said is not None:
                signature = self._signer.sign("".join(self._said), hidden=self._omit)
                self._said = None
                return [SignatureDelta(event.index, signature), event]
        return [event]


def _closed(waiting: Sequence[Event]) -> bool:
    return isinstance(waiting[-1], BlockStopped)


def _as_thought(event: Event) -> Event:
    match event:
        case BlockStarted():
            return BlockStarted(event.index, Thinking(""))
        case TextDelta():
            return ThinkingDelta(event.index, event.text)
    return event
