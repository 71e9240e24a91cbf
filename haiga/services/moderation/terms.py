"""The terms of policies, ready to be looked for. Rule: a policy's are made ready once, and kept while it is used."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from haiga.core.errors import Invalid
from haiga.core.moderation import Span
from haiga.core.policies import Hit, Policy, Term
from haiga.text.terms import Pattern, Wording
from haiga.text.words import words

KEPT = 64  # policies whose terms are kept ready


def ready(term: Term) -> Wording | Pattern:
    """Raises Invalid."""
    return Pattern(term.text) if term.pattern else Wording(term.text)


def check_terms(policy: Policy) -> None:
    """Raises Invalid naming the term."""
    for at, term in enumerate(policy.terms):
        try:
            ready(term)
        except Invalid as error:
            raise Invalid(error.message, field=f"terms[{at}].{'pattern' if term.pattern else 'text'}") from None


class TermFinder:
    """Finds the terms of policies."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, list[tuple[Term, Wording | Pattern]]] = OrderedDict()

    def find(self, text: str, policies: Sequence[Policy]) -> Iterator[Hit]:
        """What stands in the text, with its places."""
        read = words(text)
        for policy in policies:
            for term, finder in self._of(policy):
                spans = tuple(Span(start, end, 1.0) for start, end in finder.find(text, read))
                if spans:
                    yield Hit(policy.label, "term", term.name, term.action, spans=spans)

    def _of(self, policy: Policy) -> list[tuple[Term, Wording | Pattern]]:
        if policy.label not in self._ready:
            self._ready[policy.label] = [(term, ready(term)) for term in policy.terms if term.action != "allow"]
            while len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return self._ready[policy.label]
