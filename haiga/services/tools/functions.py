"""Python functions and HTTP endpoints as tools.

Rule: a function that hangs keeps its own thread and nobody else's; an endpoint is reached through the guarded fetcher.
"""

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from haiga.core.errors import Busy
from haiga.services.fetch import Bounds, Fetch
from haiga.services.tools.hosted import Call, Outcome

AT_ONCE = 8  # calls of one function under way, those that were given up included


def function_call(function: Callable[..., Any]) -> Call:
    """A function called with the arguments by name. What it returns is told as text, or as JSON if it is no text; what
    it raises is an error. A plain function runs in a thread of its own."""
    places = threading.BoundedSemaphore(AT_ONCE)

    async def call(arguments: Mapping[str, Any]) -> Outcome:
        if inspect.iscoroutinefunction(function):
            return Outcome(_text(await function(**arguments)))
        if not places.acquire(blocking=False):
            raise Busy("the tool is busy")
        return Outcome(_text(await _in_thread(lambda: function(**arguments), places.release)))

    return call


def endpoint_call(url: str, fetch: Fetch, headers: Mapping[str, str], timeout: float, limit: int) -> Call:
    """An endpoint that is posted the arguments as JSON; its answer is told as it is, as an error unless it is a 2xx."""
    sent = {"content-type": "application/json", "accept": "application/json, text/plain", **headers}
    bounds = Bounds(size=limit, total=timeout, pause=timeout, redirects=0)

    async def call(arguments: Mapping[str, Any]) -> Outcome:
        answer = await fetch.post(url, json.dumps(arguments).encode(), headers=sent, bounds=bounds)
        text = answer.body.decode(errors="replace")
        if not 200 <= answer.status < 300:
            return Outcome(f"the tool answered with status {answer.status}: {text}", is_error=True)
        return Outcome(_unquoted(text) if answer.content_type == "application/json" else text)

    return call


async def _in_thread(work: Callable[[], Any], done: Callable[[], None]) -> Any:
    """The result of `work`, run in a daemon thread: one that never ends does not keep the server from ending."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Any] = loop.create_future()

    def settle(set_: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            set_(value)

    def run() -> None:
        try:
            outcome, value = result.set_result, work()
        except BaseException as error:  # a SystemExit in a tool ends the call, not the thread's reader
            outcome, value = result.set_exception, RuntimeError(f"{type(error).__name__}: {error}")
        finally:
            done()
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, outcome, value)

    threading.Thread(target=run, name="tool", daemon=True).start()
    return await result


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _unquoted(text: str) -> str:
    """JSON that is one string is told as that string."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
