"""Which classifiers there are, and which of them answers to a name.

Rule: OpenAI's names of moderation models mean the first one here; what was judged before is remembered.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256

from haiga.core.errors import NotFound, Unsupported
from haiga.core.messages import ImageSource
from haiga.core.moderation import Scores
from haiga.core.ports import Capabilities, ModelCard, TextClassifier

KNOWN = 4096  # texts whose scores are remembered, of each classifier
THEIRS = ("omni-moderation-", "text-moderation-")
WINDOW = 1 << 20  # characters, for the card: windows make any length fit


class Classifiers:
    """Classifiers, the default one first. `thresholds` hold instead of their own."""

    def __init__(
        self, classifiers: Sequence[TextClassifier] = (), thresholds: Mapping[str, float] | None = None
    ) -> None:
        self._classifiers = {each.name: Remembering(each, thresholds or {}) for each in classifiers}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._classifiers)

    def known(self, name: str) -> bool:
        """Whether it is a classifier that is meant."""
        return name in self._classifiers or name.startswith(THEIRS)

    def find(self, name: str = "") -> "Remembering":
        """The classifier that answers to a name, "" for the default one. Raises NotFound, and Unsupported where none is
        installed."""
        if name in self._classifiers:
            return self._classifiers[name]
        if name and not name.startswith(THEIRS):
            raise NotFound(f"model: {name}")
        if not self._classifiers:
            raise Unsupported(
                "no moderation classifier is installed on this server; `haiga moderation train` makes one",
                field="model",
            )
        return next(iter(self._classifiers.values()))

    def card(self, name: str) -> ModelCard:
        """As `find`."""
        found = self.find(name).name
        return ModelCard(found, found, 0, WINDOW, 0, Capabilities(prefill=False, text=False))

    def close(self) -> None:
        for each in self._classifiers.values():
            each.close()


class Remembering:
    """A classifier that is not asked twice about a text of late; it keeps the texts' hashes, not the texts."""

    def __init__(self, classifier: TextClassifier, thresholds: Mapping[str, float]) -> None:
        self.classifier = classifier
        self.name = classifier.name
        self.thresholds = {**classifier.thresholds, **thresholds}
        self.explain = classifier.explain
        self.close = classifier.close
        self._known: OrderedDict[bytes, Scores] = OrderedDict()

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """As the classifier's."""
        keys = [sha256(text.encode(errors="surrogatepass")).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        found = dict(zip(new, await self.classifier.judge(list(new.values())), strict=True)) if new else {}
        scores = [found[key] if key in found else self._known[key] for key in keys]
        for key, each in zip(keys, scores, strict=True):
            self._known[key] = each
            self._known.move_to_end(key)
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return scores


class NoImages:
    """Nobody judges images here: policies say what happens to those that nobody can judge."""

    async def judge(self, images: Sequence[ImageSource]) -> Sequence[Scores | None]:
        return [None] * len(images)
