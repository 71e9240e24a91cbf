"""`python -m tests.docs`: every page, or part of one, that is written by the program, anew."""

import asyncio
import tempfile
from pathlib import Path

from haiga.config import settings_page
from tests.docs import commands, dialects, docstrings, examples
from tests.docs.pages import ROOT, read


def main() -> None:
    (ROOT / "docs/settings.md").write_text(settings_page(), encoding="utf-8")
    for part in (commands, dialects, docstrings):
        (ROOT / part.PAGE).write_text(part.page(read(part.PAGE)), encoding="utf-8")
    for name in examples.PAGES:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(examples.write(name, Path(made)))


if __name__ == "__main__":
    main()
