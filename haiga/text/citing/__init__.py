"""Answers that say which passage of a document they rest on.

Rule: any model can do it. The passages of documents are numbered in the prompt, the system prompt says how a number is
written after what rests on it, and the numbers in the answer become citations of what really stands there; nothing that
the model writes is taken for a quotation. A number that no passage has is text like any other.
"""

from haiga.text.citing.passages import Catalogue, Kind, Source, sentences
from haiga.text.citing.stream import CitingStream, with_numbers

__all__ = ["Catalogue", "CitingStream", "Kind", "Source", "sentences", "with_numbers"]
