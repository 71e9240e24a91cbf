"""The twenty openers that every version of the starter is judged by, and which of them no training dialogue uses.

Rule: an opener marked `held_out` never occurs as a user turn in training, in any spelling of case and punctuation.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opener:
    text: str
    held_out: bool


OPENERS = (
    Opener("Hello!", False),
    Opener("Good morning, how are you today?", True),
    Opener("Who are you?", False),
    Opener("Please tell me what you can do.", True),
    Opener("Who made you, Haiga?", True),
    Opener("What is a cat?", True),
    Opener("What is the ocean?", True),
    Opener("Can you tell me what a teacher does?", True),
    Opener("What does the word brave mean?", True),
    Opener("What is the opposite of hot?", True),
    Opener("What is the capital of France?", True),
    Opener("Tell me about Kenya.", True),
    Opener("Tell me a story about a fox.", True),
    Opener("Tell me a story about a little girl and a bear.", True),
    Opener("I feel sad today.", False),
    Opener("Tell me a joke.", False),
    Opener("Can you name three fruits?", True),
    Opener("What is 3 plus 4?", True),
    Opener("Thank you very much!", False),
    Opener("Goodbye!", False),
)


def normal(text: str) -> str:
    """Lower case, letters and digits only, single blanks: two texts with one normal form count as the same."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


HELD_OUT = frozenset(normal(o.text) for o in OPENERS if o.held_out)
