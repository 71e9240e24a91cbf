"""The phrases written for the trainer, as JSON: questions in many wordings, replies, plain facts, plots of stories.

Rule: words that a model is to say or to be asked stand in these files, never in code. `{…}` are gaps to be filled.
"""

import json
from pathlib import Path
from typing import Any


def phrases(name: str) -> dict[str, Any]:
    """The content of `name`.json in this folder."""
    text = (Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content
