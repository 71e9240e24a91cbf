"""Requests that use everything, for tests to read, to change and to spoil."""

from typing import Any

PIXEL = "data:image/png;base64,iVBORw0KGgo="
CONVERSATION: list[dict[str, Any]] = [
    {"role": "developer", "content": "Be brief."},
    {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "name": "ann", "content": "What is the weather?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I look.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
            {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "date"}},
        ],
    },
    {"role": "tool", "tool_call_id": "c2", "content": "Monday"},
    {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
    {"role": "developer", "content": "Now be long."},
    {"role": "assistant", "content": [{"type": "text", "text": "Rain."}, {"type": "refusal", "refusal": "No more."}]},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
        ],
    },
]
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": True,
        },
    },
    {
        "type": "custom",
        "custom": {
            "name": "shell",
            "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+"}},
        },
    },
]
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": CONVERSATION,
    "tools": TOOLS,
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": 1,
    "presence_penalty": -1,
    "logit_bias": {"5": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "max_completion_tokens": 50,
    "n": 2,
    "seed": 7,
    "stop": ["a", "b"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "prediction": {"type": "content", "content": "Rain"},
    "metadata": {"a": "b"},
    "store": True,
    "service_tier": "auto",
    "user": "ann",
    "verbosity": "low",
    "unheard_of": {"x": 1},
}
COMPLETION: dict[str, Any] = {
    "model": "m",
    "prompt": ["one", [1, 2]],
    "best_of": 2,
    "n": 2,
    "logprobs": 2,
    "max_tokens": 5,
    "stop": "x",
    "stream": False,
}
ROUTER: dict[str, Any] = {
    **CHAT,
    "models": ["a", "b"],
    "provider": {"order": ["haiga"], "require_parameters": False, "max_price": {"prompt": 1}},
    "plugins": [{"id": "context-compression", "enabled": True}],
    "transforms": ["middle-out"],
    "reasoning": {"max_tokens": 100},
}
