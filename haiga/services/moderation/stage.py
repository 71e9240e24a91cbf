"""The stage that holds requests and their answers to policies, for every API alike.

Rule: the input is judged before the model is asked, the answer before it is told. Of a conversation the texts of the
caller are judged, those of tools and the beginning of an answer that the caller wrote; what the assistant said before
was judged when it was said. Prompts that no text model reads are let in by the same rule.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from haiga.core.access import Caller
from haiga.core.errors import Flagged
from haiga.core.generation import Event, Finished, Started, TextRequest, Usage
from haiga.core.messages import ImageSource, text_of
from haiga.core.policies import Decision, Policy, Refused, Side, refusal, together
from haiga.core.ports import Ask, ImageClassifier
from haiga.services.moderation.audit import Audit, Watch
from haiga.services.moderation.masking import masked
from haiga.services.moderation.moderator import Moderator
from haiga.services.moderation.policies import Policies
from haiga.services.moderation.screen import Screen
from haiga.services.moderation.texts import images_of, revised, texts_of

EXCERPT = 100  # characters of a flagged text that its sender is shown again


class ModerationStage:
    """Holds callers to the `policies` that hold for them; every decision is told to `audit`."""

    def __init__(self, policies: Policies, moderator: Moderator, images: ImageClassifier, audit: Audit) -> None:
        self._policies = policies
        self._moderator = moderator
        self._images = images
        self._audit = audit

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events; see core.ports.Stage. A caller that no policy holds for is asked for directly."""
        return self._answer(caller, request, ask) if self._policies.concern(caller) else ask(caller, request)

    async def _answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        policies = await self._policies.of(caller)
        admitted = await self._admitted(caller, request, policies)
        if isinstance(admitted, Refused):
            if caller.origin.family == "openrouter":  # whose callers are told by an error
                reasons, excerpt = admitted.reasons, admitted.excerpt
                raise Flagged(admitted.explanation, reasons=reasons, excerpt=excerpt, model=request.model)
            yield Started(Usage())
            yield Finished("refusal", Usage(), refused=admitted)
            return
        held = [policy for policy in policies if "output" in policy.sides]
        answered = self._screened(caller, admitted, ask, held) if held else ask(caller, admitted)
        async with aclosing(answered) as events:
            async for event in events:
                yield event

    async def admit(
        self, caller: Caller, model: str, prompts: Sequence[str], images: Sequence[ImageSource] = ()
    ) -> list[str]:
        """The prompts with what is masked taken out; see core.ports.Gate."""
        held = [policy for policy in await self._policies.of(caller) if "input" in policy.sides]
        if not held:
            return list(prompts)
        texts = [prompt for prompt in dict.fromkeys(prompts) if prompt.strip()]
        decisions, whole = await self._judged(caller, texts, images, held)
        kept = any(hit.kind == "image" for hit in whole.of("mask"))  # what a model works on cannot be taken out
        if whole.action == "block" or kept:
            refused = refusal("input", whole, _excerpt(texts, decisions))
            raise Flagged(refused.explanation, reasons=refused.reasons, excerpt=refused.excerpt, model=model)
        cleaned = await self._cleaned(texts, decisions)
        return [cleaned.get(prompt, prompt) for prompt in prompts]

    # --- what is asked ---

    async def _admitted(
        self, caller: Caller, request: TextRequest, policies: Sequence[Policy]
    ) -> TextRequest | Refused:
        """The request with what is masked taken out, or why it is refused."""
        held = [policy for policy in policies if "input" in policy.sides]
        if not held:
            return request
        if request.source is not None and request.source.refused is not None:
            raise request.source.refused  # what was not read here cannot be judged here
        texts = texts_of(request)
        decisions, whole = await self._judged(caller, texts, images_of(request), held)
        if whole.action == "block":
            return refusal("input", whole, _excerpt(texts, decisions))
        if whole.action != "mask":
            return request
        cleaned = await self._cleaned(texts, decisions)
        images = any(hit.kind == "image" for hit in whole.of("mask"))
        return revised(request, lambda text: cleaned.get(text, text), without_images=images)

    async def _judged(
        self, caller: Caller, texts: Sequence[str], images: Sequence[ImageSource], policies: Sequence[Policy]
    ) -> tuple[list[Decision], Decision]:
        """What becomes of each text, and of all together, which is recorded."""
        watch = Watch()
        with watch.over(*texts):
            decisions = await self._moderator.decide_all(texts, policies, "input")
            if images and None in await self._images.judge(images):
                decisions.append(self._moderator.unknown_image(policies))
        whole = together([Decision(tuple(policy.label for policy in policies)), *decisions])
        self._told(caller, "input", whole, watch)
        return decisions, whole

    async def _cleaned(self, texts: Sequence[str], decisions: Sequence[Decision]) -> dict[str, str]:
        """Those of the texts of which something is taken out, without it."""
        return {
            text: masked(text, await self._moderator.mask(text, decision))
            for text, decision in zip(texts, decisions[: len(texts)], strict=True)
            if decision.action == "mask"
        }

    # --- what is answered ---

    async def _screened(
        self, caller: Caller, request: TextRequest, ask: Ask, policies: Sequence[Policy]
    ) -> AsyncGenerator[Event, None]:
        watch, whole = Watch(), [Decision(tuple(policy.label for policy in policies))]

        async def decide(text: str) -> Decision:
            with watch.over(text):
                decision = await self._moderator.decide(text, policies, "output")
            whole[:] = [together([*whole, decision])]
            return decision

        overlapping = any(policy.terms for policy in policies)
        dear = any("output" in rule.sides for policy in policies for rule in policy.rules)
        screen = Screen(decide, self._moderator.mask, _begun(request), overlapping, dear)
        try:
            async with aclosing(ask(caller, request)) as events:
                async for event in events:
                    for released in await screen.feed(event):
                        if isinstance(released, Finished):
                            self._told(caller, "output", whole[0], watch)
                            whole.clear()
                        yield released
                    if screen.refused is not None:
                        return
        finally:
            if whole:  # the answer broke off
                self._told(caller, "output", whole[0], watch)

    def _told(self, caller: Caller, side: Side, decision: Decision, watch: Watch) -> None:
        caller.origin.moderated.add(decision)
        self._audit.add(caller, side, decision, watch)


def _excerpt(texts: Sequence[str], decisions: Sequence[Decision]) -> str:
    """The beginning of the first text that is blocked; none where it is an image."""
    blocked = (text for text, decision in zip(texts, decisions, strict=False) if decision.action == "block")
    return next(blocked, "")[:EXCERPT]


def _begun(request: TextRequest) -> str:
    """What the answer continues."""
    last = request.messages[-1]
    return text_of(last.content) if last.role == "assistant" else ""
