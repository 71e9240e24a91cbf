"""What the Messages API demands of a body that wants citations.

Rule: every complaint names the field, as in rules.py.
"""

from collections.abc import Iterable, Iterator

from haiga.core.errors import Invalid
from haiga.wire.anthropic import shapes


def check_citations(body: shapes.CountBody) -> None:
    """All documents may be cited or none. Raises Invalid."""
    papers = list(_documents(body))
    uncited = [path for path, block in papers if not (block.citations and block.citations.enabled)]
    if uncited and len(uncited) < len(papers):
        raise Invalid("citations must be enabled for all documents or for none", field=f"{uncited[0]}.citations")


def _documents(body: shapes.CountBody) -> Iterator[tuple[str, shapes.DocumentBlock]]:
    for at, message in enumerate(body.messages):
        yield from _in_blocks(f"messages.{at}.content", message.content)


def _in_blocks(
    path: str, blocks: Iterable[shapes.ContentBlock | shapes.ResultBlock]
) -> Iterator[tuple[str, shapes.DocumentBlock]]:
    for at, block in enumerate(blocks):
        if isinstance(block, shapes.DocumentBlock):
            yield f"{path}.{at}", block
        elif isinstance(block, shapes.ToolResultBlock):
            yield from _in_blocks(f"{path}.{at}.content", block.content or ())
