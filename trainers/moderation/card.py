"""The card beside the weights.

Rule: figures as they came out, intervals beside them, failures named; nothing rounded in our favour.
"""

from collections.abc import Mapping, Sequence

from haiga.core.moderation import CATEGORIES
from trainers.moderation.measure import Figure, Quality
from trainers.moderation.measured import Measured
from trainers.moderation.sources import READ, SOURCES

_HEAD = """# The moderation classifier

Multi-label over the 13 categories of OpenAI's moderation endpoint. {parameters:,} parameters, most of them a table of
word pieces in 16 bits; trained on a CPU by `python -m trainers.moderation` on {texts:,} texts. English only.
Apache-2.0.

Words are hashed with their pieces of three and four letters into a table; two dilated convolutions, two layers of
attention and two poolings make a text of at most 128 words into 13 probabilities (longer texts are judged in windows
that overlap, and the worst counts). The table began with what words mean by the company they keep in the texts named
below, and the network by guessing words left out of them; nobody else's weights had a part in it. Where annotators
disagreed, their shares were what was learned. Three networks that had been trained so, one of them of an earlier shape
and on half of the templates, then taught the one here what they hold together (`teach`).

**What the labels are.** Hate and harassment come from open sets, as their annotators saw them, and from templates. For
sexual, self-harm, violence, illicit and minors there is no open set: these are **templates alone**, labelled by
construction (`trainers/moderation/phrases`). Figures on templates say how well it carries over to other sentences by
the same hands, not to the world. "Held out" means: texts of the sets that were not trained on; templates from files
that were neither trained on nor calibrated on; and choices of slots that were left out of training.
The held-out templates are by a hand like the one that wrote the training's (language models wrote most of these, from
briefs that named the kinds of sentences and without sight of the held-out ones), and some of the training's were added
after shares of the held-out ones, by kind, had been seen: they flatter a little. The sentences by hand were looked at
in measuring alone.
"""

_FAILURES = """
## Known failures

- Anything that is not English, sarcasm, allusion, and hate without a word that gives it away.
- Davidson's hate is largely a matter of which slur the annotators minded; precision and recall there are low.
- Profanity among friends: Davidson's annotators called most of it offensive, so `harassment` rises with it.
- Requests for crimes that resemble none in the templates are often missed (recall 0.58).
- A denial is often taken for what it denies (one in five), above all where it names a group and an insult.
- A harmful sentence inside a frame that condemns it is taken for quotation; who wants to deceive can use that.
- Narration of violence without gore is not flagged; nor are news, history and law, by intention.
- It judges single texts, not conversations, and knows nothing of who speaks to whom.
- Scores are calibrated for the mix of texts that it was calibrated on, in which harm is far more frequent than in
  ordinary traffic; take thresholds, not scores, across to other mixes.
"""


def card(parameters: int, texts: int, measured: Measured) -> str:
    parts = [_HEAD.format(parameters=parameters, texts=texts)]
    parts.append("## Held out, by source\n")
    parts.append(
        f"Macro F1 over the rows: **{measured.macro:.3f}** (aim: 0.75); over the two categories, the sets pooled:\n"
        f"{measured.disguised['none']:.3f}. Intervals here and below: 95 %, bootstrap.\n"
    )
    parts.append(_table("source, category", {", ".join(name): q for name, q in measured.by_source.items()}))
    parts.append(_alarms(measured))
    parts.append("\n## Held out, by category\n\nSets and new constructions together.\n")
    parts.append(_table("category", measured.categories))
    parts.append("\n## New constructions\n\nTemplates that were not in training, the harmless ones among them.\n")
    parts.append(_table("category", measured.constructions))
    parts.append(
        "\n## Known constructions, new words\n\nTemplates of the training, filled with choices left out of it.\n"
    )
    parts.append(_table("category", measured.refilled))
    parts.append("\n## By group\n\nHeld-out texts about a group that the training knows.\n")
    parts.append(_table("group, category", {", ".join(name): q for name, q in measured.by_group.items()}))
    parts.append(
        "\n## By group that no template of the training names\n\n"
        "Templates of the training, filled with groups that are left out of it; the open sets may name them.\n"
    )
    parts.append(_table("group, category", {", ".join(name): q for name, q in measured.by_new_group.items()}))
    parts.append(_unseen(measured.unseen))
    parts.append(_calibration(measured))
    parts.append(_disguises(measured))
    parts.append(_FAILURES)
    parts.append("## Made of\n")
    parts += [f"- {source.title}: {source.licence}" for source in (*SOURCES, *READ)]
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
    found, (calm, caught) = measured.alarming, measured.written
    lines = [
        "\n## False alarms\n",
        f"Of {found.texts} harmless sentences that sound alarming, by templates that were not in training,",
        f"**{_share(found)}** are flagged in any category (aim: under 5 %). By kind, and of ordinary harmless text:\n",
        "| harmless texts | texts | flagged |",
        "|---|---|---|",
        *(f"| {kind} | {figure.texts} | {_share(figure)} |" for kind, figure in measured.by_kind.items()),
        *(f"| ordinary: {kind} | {figure.texts} | {_share(figure)} |" for kind, figure in measured.plain.items()),
        f"\nOf {calm.texts} harmless sentences that were each written once by hand, {_share(calm)} are flagged; of",
        f"{caught.texts} harmful ones {_share(caught)}.",
    ]
    return "\n".join(lines)


def _unseen(groups: Mapping[str, Sequence[float]]) -> str:
    lines = ["\n## Groups that another training never saw\n"]
    if not groups:
        return "\n".join([*lines, "Not run for these weights: it takes a training of its own."])
    lines.append(
        "A training of its own, much shorter than that of the weights here, without any labelled text that names\n"
        "these groups: F1 of hate on texts about them. It says how far hate is known by more than whom it is about,\n"
        "not how good these weights are.\n"
    )
    rows = [
        f"| {group} | {texts:.0f} | {positive:.0f} | {f1:.3f} ({low:.3f}–{high:.3f}) |"
        for group, (f1, low, high, texts, positive) in groups.items()
    ]
    return "\n".join([*lines, "| group | texts | positive | F1 |", "|---|---|---|---|", *rows])


def _calibration(measured: Measured) -> str:
    lines = [
        "\n## Calibration and thresholds\n",
        "A slope and an offset per category (Platt 1999), fitted on texts of their own. Error: the expected",
        "calibration error over ten bins, on held-out texts. A threshold is that of the best F1, as the mean over",
        "sources, less three times the share of harmless texts it flags: with more weight on false alarms F1 on the",
        "sets falls faster than they do.\n",
        "| category | error | Brier | threshold |",
        "|---|---|---|---|",
    ]
    for name, limit in zip(CATEGORIES, measured.thresholds, strict=True):
        found = measured.calibrated[name]
        lines.append(f"| {name} | {found.error:.3f} | {found.brier:.3f} | {limit:.3f} |")
    return "\n".join(lines)


def _disguises(measured: Measured) -> str:
    plain = measured.disguised["none"]
    lines = ["\n## Disguises\n", "F1 of hate and harassment on the held-out sets (aim: under 10 points lost).\n"]
    rows = [f"| {kind} | {f1:.3f} | {100 * (f1 - plain):+.1f} |" for kind, f1 in measured.disguised.items()]
    return "\n".join([*lines, "| disguise | F1 | points |", "|---|---|---|", *rows])


def _said(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _share(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.1f}–{100 * figure.high:.1f})"
