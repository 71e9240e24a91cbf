"""The model card beside the weights.

Rule: figures and answers stand in it as they were measured. The count of answers on topic
is made by a person who reads them, and is added by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.starter import sources
from trainers.starter.measure import Answer, Measured
from trainers.starter.network import Shape
from trainers.starter.toolbox import KINDS
from trainers.starter.train import Plan, Report
from trainers.starter.trials import NEW, Score


@dataclass(frozen=True, slots=True)
class Run:
    """What is worth telling about how the weights came to be."""

    shape: Shape
    parameters: int
    plan: Plan
    report: Report
    hardware: str
    text_tokens: int


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines)


def quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def opener_section(answers: Sequence[Answer]) -> str:
    parts = []
    for number, answer in enumerate(answers, 1):
        notes = [n for n, holds in (("held out", answer.opener.held_out), ("not ended", not answer.ended)) if holds]
        remark = f" *({', '.join(notes)})*" if notes else ""
        parts.append(f"**{number}. {answer.opener.text}**{remark}\n\n{quoted(answer.text)}")
    return "\n\n".join(parts)


def source_table(folder: Path) -> str:
    rows = [(s.title, s.licence, f"`{s.file}`", f"`{sources.sha256(folder / s.file)}`") for s in sources.SOURCES]
    return table(("source", "licence", "file", "sha256"), rows)


def long_section(measured: Measured) -> str:
    bits = table(("position", "bits per byte"), [(f"{a:,} to {b:,}", f"{v:.3f}") for a, b, v in measured.by_position])
    rows = [
        (f"{p.tokens:,}", "yes" if p.finite else "no", p.answer.replace("\n", " ").replace("|", "\\|"), str(p.ended))
        for p in measured.long
    ]
    asked = table(("tokens of text before the question", "all finite", "answer", "ended by its end token"), rows)
    return f"{bits}\n\nThe question `What is a river?` below held-out running text, answered greedily:\n\n{asked}"


def tool_section(found: Sequence[Score]) -> str:
    rows = [(s.name, f"{s.tool} of {s.count}", f"{s.whole} of {s.count}") for s in found]
    return table(("trial", "right tool", "all right"), rows)


def training_words(plan: Plan) -> dict[str, str]:
    """What is told of a run from nothing, and of one that goes on from trained weights."""
    longer = " and ".join(f"{length:,}" for length, _ in plan.longer)
    if plan.continued:
        origin = "Begun with the weights of an earlier version of this model. "
        return {
            "origin": origin,
            "longer": longer,
            "mixture": "Dialogues and running text in the same shares throughout.",
        }
    mixture = "The first part of the run is mostly running text, the second mostly dialogues."
    return {"origin": "", "longer": longer, "mixture": mixture}


def card(run: Run, measured: Measured, found: Sequence[Score], folder: Path) -> str:
    s, p, r = run.shape, run.plan, run.report
    ended = sum(a.ended for a in measured.answers)
    held = sum(a.opener.held_out for a in measured.answers)
    template = (Path(__file__).parent / "card.md").read_text(encoding="utf-8")
    figures = {
        "parameters": f"{run.parameters:,}", "layers": s.layers, "width": s.width, "heads": s.heads,
        "head_width": s.head_width, "kv_heads": s.kv_heads, "mlp_width": s.mlp_width,
        "rope_theta": f"{s.rope_theta:,.0f}", "context": f"{s.context:,}", "vocabulary": f"{s.vocabulary:,}",
        "steps": f"{r.steps:,}", "step_tokens": f"{p.micro_tokens * p.accumulate:,}", "tokens": f"{r.tokens / 1e6:.1f}",
        "text_tokens": f"{run.text_tokens / 1e6:.1f}", "minutes": f"{r.seconds / 60:.0f}", "hardware": run.hardware,
        "seed": p.seed, "length": p.length, "bits": f"{measured.bits:.3f}", "documents": measured.documents,
        "held_out_bytes": f"{measured.held_out_bytes:,}", "loss": f"{r.loss:.3f}", "ended": ended, "held": held,
        "sources": source_table(folder), "long": long_section(measured), "openers": opener_section(measured.answers),
        "dialogues_with_tools": p.tools[0], "later_with_tools": p.tools[1], "tools": tool_section(found),
        "kinds": len(KINDS) - len(NEW), "new_kinds": ", ".join(NEW), **training_words(p),
    }  # fmt: skip
    return template.format(**figures)
