"""The card beside the weights.

Rule: figures as they came out, intervals beside them, failures named; nothing rounded in our favour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from haiga.core.moderation import CATEGORIES
from trainers.moderation.measure import Figure, Quality
from trainers.moderation.sources import SOURCES

_HEAD = """# The moderation classifier

Multi-label over the 13 categories of OpenAI's moderation endpoint. {parameters:,} parameters, most of them a table of
word pieces; trained by `python -m trainers.moderation` ({texts:,} texts, {minutes:.0f} minutes on two cores).
English only.

It knows what it was shown: comments and chat turns for hate and harassment; for sexual, self-harm, violence, illicit
and minors **templates alone** (`trainers/moderation/phrases`), since no open set covers them. Figures on templates say
how well it carries over to other sentences of the same making, not to the world.
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """`by_source` and `by_group`: (name, category) to its quality; `disguised`: F1 of hate and harassment together by
    kind of disguise, "none" among them."""

    categories: Mapping[str, Quality]
    by_source: Mapping[tuple[str, str], Quality]
    by_group: Mapping[tuple[str, str], Quality]
    alarming: Figure
    worst: Sequence[tuple[str, float]]
    disguised: Mapping[str, float]
    thresholds: Sequence[float]

    @property
    def macro(self) -> float:
        return sum(quality.f1.value for quality in self.by_source.values()) / len(self.by_source)


def card(parameters: int, texts: int, minutes: float, measured: Measured) -> str:
    parts = [_HEAD.format(parameters=parameters, texts=texts, minutes=minutes)]
    parts.append("## Held out, by category\n\nTemplates held out by family, sets by text.\n")
    parts.append(_table("category", {name: measured.categories[name] for name in CATEGORIES}))
    parts.append(f"\n## Held out, by source\n\nMacro F1 over the rows: {measured.macro:.3f} (aim: 0.75).\n")
    parts.append(_table("source, category", {", ".join(name): q for name, q in measured.by_source.items()}))
    parts.append("\n## Groups that a second training never saw\n")
    parts.append(_table("group, category", {", ".join(name): q for name, q in measured.by_group.items()}))
    parts.append(_alarms(measured))
    parts.append(_disguises(measured))
    parts.append("\n## Made of\n")
    parts += [f"- {source.title}: {source.licence}" for source in SOURCES]
    parts.append("- templates written for this model: Apache-2.0, like the project")
    return "\n".join(parts) + "\n"


def _table(head: str, rows: Mapping[str, Quality]) -> str:
    lines = [f"| {head} | texts | positive | precision | recall | F1 |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {name} | {q.f1.texts} | {q.f1.positive} | {_said(q.precision)} | {_said(q.recall)} | {_said(q.f1)} |"
        for name, q in rows.items()
    ]
    return "\n".join(lines)


def _alarms(measured: Measured) -> str:
    found = measured.alarming
    lines = [
        "\n## False alarms\n",
        f"Of {found.texts} harmless sentences that sound alarming, by templates that were not in training,"
        f" {_said(found)} are flagged (aim: under 5 %). The templates that fail most:\n",
    ]
    return "\n".join([*lines, *(f"- {share:.0%}: `{template}`" for template, share in measured.worst)])


def _disguises(measured: Measured) -> str:
    plain = measured.disguised["none"]
    lines = ["\n## Disguises\n", "F1 of hate and harassment on the held-out sets (aim: under 10 points lost).\n"]
    rows = [f"| {kind} | {f1:.3f} | {100 * (f1 - plain):+.1f} |" for kind, f1 in measured.disguised.items()]
    return "\n".join([*lines, "| disguise | F1 | points |", "|---|---|---|", *rows])


def _said(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"
