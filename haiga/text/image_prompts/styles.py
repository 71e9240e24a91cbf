"""Prompt styles from a file, as A1111 keeps them: `styles.csv` with the columns name, prompt and negative_prompt.

Rule: a row that names nothing is left out, and of two with one name the later holds; a file that is no such table is
an error, not an empty list.
"""

import csv
from collections.abc import Iterator
from io import StringIO

from haiga.core.errors import Invalid
from haiga.text.image_prompts.expand import Style

MOST = 10_000  # styles of a file


def read_styles(text: str) -> dict[str, Style]:
    """The styles by name. Raises Invalid."""
    try:
        styles = {style.name: style for style in _rows(text)}
    except csv.Error as problem:
        raise Invalid(f"it is no CSV: {problem}") from None
    if len(styles) > MOST:
        raise Invalid(f"it has more than {MOST} styles")
    return styles


def _rows(text: str) -> Iterator[Style]:
    reader = csv.DictReader(StringIO(text, newline=""), restval="")
    columns = reader.fieldnames or ()
    prompt = "prompt" if "prompt" in columns else "text"  # its name in A1111's first files
    if "name" not in columns or prompt not in columns:
        raise Invalid("its first line is not name,prompt,negative_prompt")
    for row in reader:
        if name := row["name"].strip():
            yield Style(name, row[prompt], row.get("negative_prompt", ""))
