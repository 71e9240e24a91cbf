"""The outermost stage: records every question to a model once it has ended, however it ended.

Rule: nothing of what was said is recorded, and what a client calls itself is cut to a length.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import HaigaError
from haiga.core.generation import Event, Finished, Progress, Quoted, Served, Started, StopReason, TextRequest, Usage
from haiga.core.limits import DOLLAR
from haiga.core.moderation import Moderation, ModerationRequest
from haiga.core.ports import Ask, AskScores, AskVectors
from haiga.core.records import SUCCEEDED, Price, Record, Tier

SILENT = frozenset((Started, Progress, Quoted))  # events before the answer itself
LONGEST = 255  # characters of what a client says of itself
CLOSED = "cancelled"


@dataclass(slots=True)
class _Seen:
    """What is known of an answer so far. Times are unix seconds."""

    began: float
    usage: Usage = field(default_factory=Usage)
    first_at: float | None = None
    stop: StopReason | None = None
    outcome: str = CLOSED
    pieces: int = 0
    by: Served | None = None


class Recorder:
    """Adds a record of each question with `add`; `name` gives the model that answers to a name, and its price. `clock`
    gives unix seconds."""

    def __init__(
        self,
        add: Callable[[Record], None],
        named: Callable[[Caller, str], tuple[str, Price]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._add = add
        self._named = named
        self._clock = clock

    async def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events as they are."""
        seen = _Seen(self._clock())
        try:
            async with aclosing(ask(caller, request)) as events:
                async for event in events:
                    if type(event) is Finished:
                        # before whoever reads it may ask for the record
                        seen.usage, seen.stop, seen.outcome = event.used, event.stop, SUCCEEDED
                        self._record(caller, request.model, seen, request.priority == "batch", request.user)
                    elif type(event) is Started:
                        seen.usage, seen.by = event.usage, event.by
                    elif type(event) not in SILENT:
                        seen.first_at = seen.first_at or self._clock()
                        seen.pieces += 1
                    yield event
        except Exception as error:
            seen.outcome = _name(error)
            raise
        finally:
            if seen.outcome != SUCCEEDED:
                seen.usage = _cut(seen)
                self._record(caller, request.model, seen, request.priority == "batch", request.user)

    async def embed(self, caller: Caller, request: EmbeddingRequest, ask: AskVectors) -> Embeddings:
        """The vectors as they are."""
        seen = _Seen(self._clock())
        try:
            made = await ask(caller, request)
            seen.usage, seen.outcome, seen.by = Usage(input=made.tokens), SUCCEEDED, made.by
        except Exception as error:
            seen.outcome = _name(error)
            raise
        finally:
            self._record(caller, request.model, seen, caller.origin.batch, request.user)
        return made

    async def judge(self, caller: Caller, request: ModerationRequest, ask: AskScores) -> Moderation:
        """The judgements as they are."""
        seen = _Seen(self._clock())
        try:
            made = await ask(caller, request)
            seen.usage, seen.outcome = Usage(input=made.tokens), SUCCEEDED
        except Exception as error:
            seen.outcome = _name(error)
            raise
        finally:
            self._record(caller, request.model, seen, caller.origin.batch, request.user)
        return made

    def _record(self, caller: Caller, asked: str, seen: _Seen, batch: bool, user: str | None) -> None:
        origin, now = caller.origin, self._clock()
        usage = seen.usage.answer_only if origin.again else seen.usage
        tier: Tier = "batch" if batch else "standard"
        by = seen.by
        model, price = self._resolved(caller, by.model if by else asked)
        self._add(
            Record(
                created_at=int(seen.began),
                workspace=caller.workspace,
                model=model,
                key=caller.key,
                request_id=origin.request_id,
                family=origin.family,
                endpoint=origin.endpoint,
                tier=tier,
                requests=0 if origin.again else 1,
                streamed=origin.streamed,
                outcome=seen.outcome,
                stop=seen.stop,
                latency=None if seen.first_at is None else seen.first_at - seen.began,
                duration=now - seen.began,
                usage=usage,
                cost=price.costs(usage, batch),
                discount=int(price.discount(usage) * DOLLAR * (price.batch if batch else 1)),
                answer=origin.answer,
                asked_for=_short(origin.asked_for or asked),
                user=_short(user),
                session=_short(origin.session),
                referer=_short(origin.referer),
                agent=_short(origin.agent),
                provider=(by.provider or None) if by else None,
                provider_id=_short(by.request_id) if by else None,
            )
        )

    def _resolved(self, caller: Caller, asked: str) -> tuple[str, Price]:
        try:
            return self._named(caller, asked)
        except HaigaError:  # no such model, or not for this caller
            return asked[:LONGEST], Price()


def _name(error: Exception) -> str:
    return error.name if isinstance(error, HaigaError) else "failed"


def _cut(seen: _Seen) -> Usage:
    """What an answer that did not come to its end used: a token for each piece of it at least."""
    used = seen.usage
    return Usage(used.input, used.creation_5m, used.creation_1h, used.cache_read, seen.pieces)


def _short(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST]
