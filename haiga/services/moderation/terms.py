"""The terms of policies, ready to be looked for. Rule: a policy's are made ready once, and kept while it is used."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

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


Ready: TypeAlias = tuple[str, Term, Wording | Pattern]  # of the policy with this label


class TermFinder:
    """Finds the terms of policies."""

    def __init__(self) -> None:
        self._ready: OrderedDict[str, list[Ready]] = OrderedDict()

    def of(self, policies: Sequence[Policy]) -> list[Ready]:
        """Their terms, ready to be looked for."""
        return [ready for policy in policies for ready in self._of(policy)]

    def _of(self, policy: Policy) -> list[Ready]:
        if policy.label not in self._ready:
            terms = [term for term in policy.terms if term.action != "allow"]
            self._ready[policy.label] = [(policy.label, term, ready(term)) for term in terms]
            while len(self._ready) > KEPT:
                self._ready.popitem(last=False)
        return self._ready[policy.label]


def find_terms(text: str, terms: Sequence[Ready]) -> tuple[Hit, ...]:
    """What stands in the text, with its places. Takes time with the length of the text, and no state."""
    read, hits = words(text), []
    for label, term, finder in terms:
        spans = tuple(Span(start, end, 1.0) for start, end in finder.find(text, read))
        if spans:
            hits.append(Hit(label, "term", term.name, term.action, spans=spans))
    return tuple(hits)
