"""The tools that the operator has configured, and who may use them.

Rule: a tool without a list of keys or workspaces is for everyone; one that a caller may not use is, to that caller,
not there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from haiga.core.access import Caller
from haiga.core.messages import Toolset
from haiga.services.tools.hosted import OWN, HostedTool


@dataclass(frozen=True, slots=True)
class Registered:
    """A configured tool. `keys` (ids) and `workspaces`: who may use it, anyone where both are empty. `always`: offered
    to the model in every request, not only in those that ask for it."""

    tool: HostedTool
    always: bool = False
    keys: frozenset[str] = frozenset()
    workspaces: frozenset[str] = frozenset()

    def serves(self, caller: Caller) -> bool:
        open_to_all = not self.keys and not self.workspaces
        return open_to_all or caller.key in self.keys or caller.workspace in self.workspaces


class Registry:
    """Configured tools, in their order."""

    def __init__(self, tools: Sequence[Registered] = ()) -> None:
        self._tools = tuple(tools)

    def always(self, caller: Caller) -> bool:
        """Whether some tool is offered to this caller unasked."""
        return any(each.always for each in self._tools if each.serves(caller))

    def offered(self, caller: Caller, asked: Toolset | None, unasked: bool) -> Iterator[HostedTool]:
        """The tools for a caller: those that `asked` offers, and with `unasked` those that always are."""
        for each in self._tools:
            wanted = asked.offers(each.tool.name) if asked else each.always and unasked
            if wanted and each.serves(caller):
                yield replace(each.tool, server=OWN)
