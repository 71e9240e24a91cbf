"""Documents as a model reads them.

Rule: a document is shown in tags, as the Messages API's own guide to prompts has it, at the place where it was sent;
its pages and pictures keep their order, and what stands in it stays as it is.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from haiga.core.messages import CacheMark, Image, Text
from haiga.core.pictures import Picture

Piece: TypeAlias = str | Picture


def document(index: int, title: str | None, context: str | None, content: Iterable[Piece]) -> list[Piece]:
    """The pieces of a whole document; `index` counts from 0, the model sees it from 1."""
    opening = [f'<document index="{index + 1}">']
    opening += [f"<source>{title}</source>"] if title else []
    opening += [f"<context>{context}</context>"] if context else []
    return ["\n".join((*opening, "<document_content>")), *content, "</document_content>\n</document>"]


def page(number: int, text: str, picture: Picture | None) -> list[Piece]:
    """A page, `number` counting from 1: its text, and how it looks."""
    shown = f'<page number="{number}">\n{text}' if text else f'<page number="{number}">'
    return [shown, picture, "</page>"] if picture else [shown, "</page>"]


def search_result(index: int, source: str, title: str, content: str) -> list[Piece]:
    """One result of a search; `index` as of a document."""
    head = f'<search_result index="{index + 1}">\n<source>{source}</source>\n<title>{title}</title>'
    return [f"{head}\n<content>\n{content}\n</content>\n</search_result>"]


def blocks(pieces: Sequence[Piece], cache: CacheMark | None) -> tuple[Text | Image, ...]:
    """The pieces as blocks of a message, texts between pictures joined; the last one has the cache mark."""
    made: list[Text | Image] = []
    for piece in pieces:
        match piece, made:
            case str(), [*_, Text(text=before)]:
                made[-1] = Text(f"{before}\n{piece}")
            case str(), _:
                made.append(Text(piece))
            case Picture(), _:
                made.append(Image(piece))
    last = made[-1]
    made[-1] = Text(last.text, cache=cache) if isinstance(last, Text) else Image(last.source, cache)
    return tuple(made)
