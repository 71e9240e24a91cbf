"""What the Messages API demands of a body beyond its shape: rules over several fields, and per version.

Rule: every complaint is in the API's own words and names the field; a check never changes what it looks at.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from haiga.core.errors import Invalid, Unsupported
from haiga.wire.anthropic import shapes
from haiga.wire.anthropic.base import CacheControl
from haiga.wire.anthropic.citations import check_citations
from haiga.wire.anthropic.edits import check_compaction, check_edits
from haiga.wire.anthropic.mcp import check_mcp_calls, check_mcp_servers
from haiga.wire.anthropic.tools import check_output, check_tools

VERSIONS = ("2023-06-01", "2026-10-21")
NEWEST = VERSIONS[-1]
MAX_CACHE_MARKS = 4

Turn: TypeAlias = "tuple[int, str, list[shapes.ContentBlock]]"  # index of its first message, role, content


def check_version(version: str | None) -> str:
    """The version asked for. Raises Invalid when there is none or it is unknown."""
    if not version:
        raise Invalid("header is required", field="anthropic-version")
    if version not in VERSIONS:
        raise Invalid(f'"{version[:40]}" is not a valid API version', field="anthropic-version")
    return version


def check(body: shapes.CountBody, version: str) -> None:
    """Every rule, cheapest first. Raises Invalid or Unsupported."""
    _check_features(body)
    _check_content(body, version)
    check_tools(body)
    check_mcp_servers(body)
    check_output(body)
    check_citations(body)
    check_edits(body.context_management, thinks=body.thinking is not None and body.thinking.type != "disabled")
    _check_cache(body)
    if isinstance(body, shapes.MessageBody):
        _check_generation(body, version)


def _check_features(body: shapes.CountBody) -> None:
    """Known features that would change the answer and are not offered here are refused by name."""
    if body.thread is not None:
        # The SDK's tool runner recognises this code and falls back to sending the whole history.
        raise Unsupported("message threads are not supported", code="thread_unsupported_request")
    if body.container is not None:
        raise Unsupported("containers are not supported", field="container")
    if body.speed == "fast":
        raise Unsupported("fast mode is not supported", field="speed")


def _check_generation(body: shapes.MessageBody, version: str) -> None:
    check_compaction(body.compaction, body.context_management, body.messages[-1].role)
    for name in ("temperature", "top_p", "top_k"):
        if version == NEWEST and getattr(body, name) is not None:
            raise Invalid(f"`{name}` is not supported in anthropic-version {NEWEST}", field=name)
    for i, sequence in enumerate(body.stop_sequences or ()):
        if not sequence.strip():
            raise Invalid("each stop sequence must contain non-whitespace", field=f"stop_sequences.{i}")
    thinking = body.thinking
    # max_tokens 0 only warms the cache: nothing is generated that a budget could bound.
    if isinstance(thinking, shapes.EnabledThinking) and 0 < body.max_tokens <= thinking.budget_tokens:
        raise Invalid("`max_tokens` must be greater than `thinking.budget_tokens`", field="max_tokens")


# --- content ---


def _check_content(body: shapes.CountBody, version: str) -> None:
    for i, block in enumerate(body.system or ()):
        _check_text(f"system.{i}", block)
    last = len(body.messages) - 1
    for i, message in enumerate(body.messages):
        if not message.content and not (i == last and message.role == "assistant"):
            raise Invalid(
                "all messages must have non-empty content except for the optional final assistant message",
                field=f"messages.{i}",
            )
        for b, part in enumerate(message.content):
            _check_block(f"messages.{i}.content.{b}", message.role, part, version)
    conversation = turns(body.messages)
    if not conversation:
        raise Invalid("at least one message is required", field="messages")
    for index, _, content in conversation:
        _check_summaries(index, content)
        check_mcp_calls(index, content)
    _check_prefill(conversation[-1], body.thinking)
    _check_tool_results([turn for turn in conversation if turn[1] != "system"])


def turns(messages: Sequence[shapes.MessageParam]) -> list[Turn]:
    """The messages with consecutive ones of a role combined; an empty last one from the assistant says nothing."""
    merged: list[Turn] = []
    for i, message in enumerate(messages):
        if merged and merged[-1][1] == message.role:
            merged[-1][2].extend(message.content)
        elif message.content:
            merged.append((i, message.role, list(message.content)))
    return merged


def _check_text(path: str, block: shapes.TextBlock) -> None:
    if not block.text and block.cache_control:
        raise Invalid("cache_control cannot be set for empty text blocks", field=f"{path}.text")
    if not block.text:
        raise Invalid("text content blocks must be non-empty", field=f"{path}.text")


def _check_block(path: str, role: str, block: shapes.ContentBlock, version: str) -> None:
    match block:
        case shapes.TextBlock():
            _check_text(path, block)
            if version == NEWEST and role == "user" and block.citations:
                raise Invalid("`citations` are not allowed on text blocks in user messages", field=f"{path}.citations")
        case shapes.ToolResultBlock():
            for i, part in enumerate(block.content or ()):
                if isinstance(part, shapes.TextBlock):
                    _check_text(f"{path}.tool_result.content.{i}", part)
    _check_role(path, role, block, version)


def _check_role(path: str, role: str, block: shapes.ContentBlock, version: str) -> None:
    """Which blocks each role may send."""
    of_assistant = (
        shapes.ToolUseBlock
        | shapes.ThinkingBlock
        | shapes.RedactedThinkingBlock
        | shapes.CompactionBlock
        | shapes.McpToolUseBlock
        | shapes.McpToolResultBlock
    )
    if role == "system" and not isinstance(block, shapes.TextBlock | shapes.OtherBlock):
        raise Invalid("`system` messages can only contain text blocks", field=path)
    if role != "assistant" and isinstance(block, of_assistant):
        raise Invalid(f"`{block.type}` blocks can only be in `assistant` messages", field=path)
    if role != "user" and isinstance(block, shapes.ToolResultBlock):
        raise Invalid("`tool_result` blocks can only be in `user` messages", field=path)
    if role == "assistant" and version == NEWEST and isinstance(block, shapes.DocumentBlock):
        raise Invalid("`document` blocks are not allowed in `assistant` messages", field=path)


def _check_summaries(index: int, content: Sequence[shapes.ContentBlock]) -> None:
    """A summary leaves out what comes before it, and so must not come between a call and its result."""
    kinds = [block.type for block in content]
    if "compaction" in kinds and "tool_use" in kinds[: len(kinds) - 1 - kinds[::-1].index("compaction")]:
        raise Invalid("`compaction` blocks cannot follow `tool_use` blocks in the same turn", field=f"messages.{index}")


def _check_prefill(last: Turn, thinking: object) -> None:
    index, role, content = last
    content = [block for block in content if not isinstance(block, shapes.CompactionBlock)]
    if not content:
        return
    block = content[-1]
    if role == "assistant" and isinstance(block, shapes.TextBlock) and block.text != block.text.rstrip():
        raise Invalid("final assistant content cannot end with trailing whitespace", field="messages")
    thought = isinstance(content[0], shapes.ThinkingBlock | shapes.RedactedThinkingBlock)
    if role == "assistant" and not thought and isinstance(thinking, shapes.EnabledThinking):
        raise Invalid(
            f"Expected `thinking` or `redacted_thinking`, but found `{content[0].type}`. When `thinking` is enabled, a "
            "final `assistant` message must start with a thinking block. To avoid this requirement, disable "
            "`thinking`.",
            field=f"messages.{index}.content.0.type",
        )


def _check_tool_results(conversation: Sequence[Turn]) -> None:
    """Each call is answered at the very start of the next user message, and nothing else is answered."""
    seen: set[str] = set()
    asked: list[str] = []
    for position, (index, _, content) in enumerate(conversation):
        _check_answers(index, content, set(asked))
        asked = [block.id for block in content if isinstance(block, shapes.ToolUseBlock)]
        if len(set(asked)) != len(asked) or not seen.isdisjoint(asked):
            raise Invalid("`tool_use` ids must be unique", field="messages")
        seen.update(asked)
        answered = set(_leading_results(conversation[position + 1][2])) if position + 1 < len(conversation) else set()
        missing = [id for id in asked if id not in answered]
        if missing:
            raise Invalid(
                f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing[:10])}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                field=f"messages.{index}",
            )


def _leading_results(content: Sequence[shapes.ContentBlock]) -> Iterator[str]:
    for block in content:
        if not isinstance(block, shapes.ToolResultBlock):
            return
        yield block.tool_use_id


def _check_answers(index: int, content: Sequence[shapes.ContentBlock], asked: set[str]) -> None:
    answered: set[str] = set()
    for i, block in enumerate(content):
        if not isinstance(block, shapes.ToolResultBlock):
            continue
        field = f"messages.{index}.content.{i}"
        if block.tool_use_id not in asked:
            raise Invalid(
                f"unexpected `tool_use_id` found in `tool_result` blocks: {block.tool_use_id}. Each `tool_result` "
                "block must have a corresponding `tool_use` block in the previous message.",
                field=field,
            )
        if block.tool_use_id in answered:
            raise Invalid(
                "each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
                f"{block.tool_use_id}",
                field=field,
            )
        answered.add(block.tool_use_id)


# --- cache marks ---


def _check_cache(body: shapes.CountBody) -> None:
    marks = list(_marks(body))
    automatic = body.cache_control
    if automatic is not None:
        last = body.messages[-1].content[-1:] if body.messages else []
        own = getattr(last[0], "cache_control", None) if last else None
        if own is None:
            marks.append(("cache_control", automatic))
        elif (own.ttl or "5m") != (automatic.ttl or "5m"):
            raise Invalid("the last block already has a cache_control with another ttl", field="cache_control")
    if len(marks) > MAX_CACHE_MARKS:
        raise Invalid(f"A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided. Found {len(marks)}.")
    _check_order(marks)


def _check_order(marks: Sequence[tuple[str, CacheControl]]) -> None:
    short = False
    for path, mark in marks:
        if mark.ttl == "1h" and short:
            raise Invalid(
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks "
                "are processed in the following order: `tools`, `system`, `messages`.",
                field=path if path == "cache_control" else f"{path}.cache_control.ttl",
            )
        short = short or mark.ttl != "1h"


def _marks(body: shapes.CountBody) -> Iterator[tuple[str, CacheControl]]:
    """Every cache mark with its block's path, in the order of the prompt."""
    for i, tool in enumerate(body.tools or ()):
        if tool.cache_control:
            yield f"tools.{i}", tool.cache_control
    for i, block in enumerate(body.system or ()):
        if block.cache_control:
            yield f"system.{i}", block.cache_control
    for m, message in enumerate(body.messages):
        for b, part in enumerate(message.content):
            yield from _marks_in(f"messages.{m}.content.{b}", part)


def _marks_in(path: str, block: shapes.ContentBlock | shapes.ResultBlock) -> Iterator[tuple[str, CacheControl]]:
    if isinstance(block, shapes.ToolResultBlock):
        for i, part in enumerate(block.content or ()):
            yield from _marks_in(f"{path}.content.{i}", part)
    mark = getattr(block, "cache_control", None)
    # A thinking block has no such field; what a client put there is an unknown field, kept and ignored.
    if isinstance(mark, CacheControl):
        yield path, mark
