"""The open sets: how each is opened, under which licence, and what its labels mean in our categories.

Rule: this file opens and labels; nothing is generated here.
"""

import csv
import io
import json
import lzma
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainers.moderation.examples import ALL, FRIENDLY, Example

SPOKEN = frozenset({"hate", "harassment"})  # what the sets of comments speak of
HATED = frozenset({"hate", "harassment"})
RUDE = frozenset({"harassment"})
_GROUPED = ("ableist", "homophobic", "racist", "sexist", "transphobic")


@dataclass(frozen=True, slots=True)
class Source:
    file: str
    title: str
    licence: str


SOURCES = (
    Source("moderation/davidson_labeled_data.csv.xz", "Davidson et al.: hate, offensive, neither", "MIT"),
    Source("moderation/toxigen_prompts.tar.xz", "ToxiGen: statements about thirteen groups", "MIT"),
    Source("moderation/convabuse.tar.xz", "ConvAbuse: turns to chatbots", "CC-BY 4.0"),
    Source("moderation/surge_toxicity_en.csv", "Surge AI: toxicity", "MIT"),
    Source("moderation/surge_profanity_en.csv", "Surge AI: profanity terms", "MIT"),
    Source("moderation/red_instruct_harmful_questions.tar.xz", "RED-INSTRUCT: harmful questions", "Apache-2.0"),
    Source("text/gsm8k_train.jsonl", "GSM8K: questions (harmless)", "MIT"),
    Source("text/taskmaster4.tar.xz", "Taskmaster-4: turns (harmless)", "CC-BY 4.0"),
    Source("text/self_instruct_seed_and_user.tar.xz", "Self-Instruct: instructions (harmless)", "Apache-2.0"),
    Source("text/classic_childrens_books.tar.xz", "Children's classics: sentences (harmless)", "public domain"),
    Source("text/tldr_pages_en.tar.xz", "tldr-pages: what commands are for (harmless)", "CC-BY 4.0"),
    Source("text/FairytaleQAData.tar.xz", "FairytaleQA: questions (harmless)", "Apache-2.0"),
    Source("text/caia_ai_safety.tar.xz", "CAIA AI Safety (Marvin Tutt): advice (harmless)", "CC-BY 4.0"),
)

READ = (  # for what words mean, beside some of the above
    Source("text/asp_en.tar.xz", "African Storybook: words", "CC-BY 4.0"),
    Source("text/pb_en.tar.xz", "Pratham Books: words", "CC-BY 4.0"),
    Source("text/open_english_wordnet.tar.xz", "Open English WordNet: words", "CC-BY 4.0 and the WordNet licence"),
)


def labelled(data: Path) -> Iterator[Example]:
    """Every example of the labelled sets."""
    folder = data / "moderation"
    yield from _davidson(folder / "davidson_labeled_data.csv.xz")
    yield from _toxigen(folder / "toxigen_prompts.tar.xz")
    yield from _convabuse(folder / "convabuse.tar.xz")
    yield from _surge(folder / "surge_toxicity_en.csv")
    yield from _questions(folder / "red_instruct_harmful_questions.tar.xz")


def members(path: Path, suffix: str) -> Iterator[tuple[str, str]]:
    """(name, text) of the archive's files that end in `suffix`, in name order."""
    with tarfile.open(path) as archive:
        for entry in sorted(archive, key=lambda e: e.name):
            file = archive.extractfile(entry) if entry.name.endswith(suffix) else None
            if file is not None:
                yield entry.name, file.read().decode("utf-8", "replace")


def terms(data: Path) -> dict[str, list[str]]:
    """Choices for the slots that this repository does not spell out: `sexual_term` and `slur`."""
    found: dict[str, list[str]] = {"sexual_term": [], "slur": []}
    rows = csv.DictReader(io.StringIO((data / "moderation/surge_profanity_en.csv").read_text(encoding="utf-8")))
    for row in rows:
        kinds = {row["category_1"], row["category_2"], row["category_3"]}
        if float(row["severity_rating"]) < 1.6 or not re.fullmatch(r"[a-z* -]{3,}", row["text"]):
            continue
        if "sexual anatomy / sexual acts" in kinds:
            found["sexual_term"].append(row["text"])
        if kinds & {"racial / ethnic slurs", "sexual orientation / gender", "mental disability"}:
            found["slur"].append(row["text"])
    return found


def _davidson(path: Path) -> Iterator[Example]:
    """0 hate, 1 offensive language, 2 neither. Mentions and links stay, as people write them."""
    labels = {"0": HATED, "1": RUDE, "2": FRIENDLY}
    text = lzma.decompress(path.read_bytes()).decode("utf-8", "replace")
    for row in csv.DictReader(io.StringIO(text)):
        known = SPOKEN if labels[row["class"]] else ALL
        hate, rude, asked = (int(row[name]) for name in ("hate_speech", "offensive_language", "count"))
        votes = (("hate", hate / asked), ("harassment", (hate + rude) / asked))
        yield Example(_tweet(row["tweet"]), labels[row["class"]], known, "davidson", votes=votes)


def _tweet(text: str) -> str:
    """Without the marks of a repeated message, HTML's entities spelled out."""
    plain = re.sub(r'^[!"\s]*(RT\s+@\w+:?\s*)*', "", text)
    for entity, char in {
        "&amp;": "&",
        "&lt;": "<",
        "&gt;": ">",
        "&#8217;": "'",
        "&#8220;": '"',
        "&#8221;": '"',
    }.items():
        plain = plain.replace(entity, char)
    return re.sub(r"&#\d+;", " ", plain)


def _toxigen(path: Path) -> Iterator[Example]:
    seen = set()
    for name, text in members(path, ".txt"):
        file = re.fullmatch(r"(hate|neutral)_(.+)_1k\.txt", Path(name).name)
        if file is None:
            continue
        kind, group = file.groups()
        labels = HATED if kind == "hate" else FRIENDLY
        for line in re.split(r"\\n-|\n-?", text):
            statement = line.strip(" -")
            if len(statement) > 10 and statement not in seen:
                seen.add(statement)
                yield Example(statement, labels, SPOKEN if labels else ALL, "toxigen", group)


def _convabuse(path: Path) -> Iterator[Example]:
    """A turn is abusive where most annotators rated it below 0."""
    for name, text in members(path, ".csv"):
        for row in csv.DictReader(io.StringIO(text)):
            abusive, harmless, grouped = _votes(row)
            if abusive != harmless and len(row["user"]) > 1:
                label = FRIENDLY if harmless > abusive else HATED if 2 * grouped > abusive else RUDE
                asked, split = abusive + harmless, "test" if "test" in name else "train"
                votes = (("hate", min(abusive, grouped) / asked), ("harassment", abusive / asked))
                yield Example(row["user"], label, SPOKEN if label else ALL, f"convabuse-{split}", votes=votes)


def _votes(row: dict[str, str]) -> tuple[int, int, int]:
    """How many annotators call it abusive, how many harmless, and how many name a group that it is about."""
    abusive = harmless = grouped = 0
    for n in range(1, 9):
        votes = {k.partition("is_abuse.")[2]: v for k, v in row.items() if k.startswith(f"Annotator{n}_is_abuse.")}
        abusive += any(votes.get(level) == "1" for level in ("-1", "-2", "-3"))
        harmless += any(votes.get(level) == "1" for level in ("0", "1"))
        grouped += any(row.get(f"Annotator{n}_{kind}") == "1" for kind in _GROUPED)
    return abusive, harmless, grouped


def _surge(path: Path) -> Iterator[Example]:
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            toxic = row["is_toxic"] == "Toxic"
            yield Example(row["text"], RUDE if toxic else FRIENDLY, RUDE if toxic else ALL, "surge")


_ILLICIT = frozenset({"illicit"})
_VIOLENT = frozenset({"illicit", "illicit/violent", "violence"})
_MINORS = frozenset({"sexual", "sexual/minors", "illicit"})
_HARM = frozenset({"self-harm", "self-harm/instructions"})
_ASKED = {
    "Drug:": _ILLICIT,
    "Weapon:": frozenset({"illicit", "illicit/violent"}),
    "Human Trafficking:": _ILLICIT,
    "Cybercrime:": _ILLICIT,
    "Theft and Robbery:": _ILLICIT,
    "Content Sexual exploitation": _MINORS,
    "Online predation": _MINORS,
    "Physical abuse": _VIOLENT,
    "Racial or ethnic hate": HATED,
    "Religious intolerance": HATED,
    "Terrorism and extremism": _VIOLENT,
    "Cyberbullying": RUDE,
    "Self-harm": _HARM,
    "Assault and battery": _VIOLENT,
    "Weapon making": frozenset({"illicit", "illicit/violent"}),
    "Pornography": frozenset({"sexual"}),
    "Erotic text": frozenset({"sexual"}),
    "Sexually explicit dialogue": frozenset({"sexual"}),
}
_CRIMES = ("Malware Viruses", "Economic Harm", "Fraud/Deception", "Privacy Violation Activity")


def _questions(path: Path) -> Iterator[Example]:
    """Of the sets that are not sorted by kind only that they are illicit is known."""
    for name, text in members(path, ".json"):
        asked = json.loads(text)
        if "catqa" in name:
            yield from _sorted_questions(asked)
        elif isinstance(asked, list):
            yield from (Example(q, _ILLICIT, _ILLICIT, "questions") for q in asked if isinstance(q, str))


def _sorted_questions(kinds: dict[str, dict[str, list[str]]]) -> Iterator[Example]:
    for kind, topics in kinds.items():
        for topic, questions in topics.items():
            labels = _ILLICIT if kind in _CRIMES else _ASKED.get(topic)
            if labels:
                yield from (Example(q, labels, labels, "questions") for q in questions)
