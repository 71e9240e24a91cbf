"""The prompt styles that requests can name.

Rule: the file is read anew when it has changed; one that cannot be read leaves the styles as they were.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.images import ImageRequest
from haiga.text.image_prompts import Style, read_styles, styled

LARGEST = 4 << 20  # bytes of a file of styles
log = logging.getLogger(__name__)


class StyleFile:
    """A `styles.csv` that may not be there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[int, int] | None = None
        self._styles: Mapping[str, tuple[str, str]] = {}

    @property
    def styles(self) -> Mapping[str, tuple[str, str]]:
        """By name: what each makes of a prompt, and of a negative one."""
        try:
            state = self._file.stat()
            if self._read != (state.st_mtime_ns, state.st_size):
                self._read = state.st_mtime_ns, state.st_size
                self._styles = self._from_file(state.st_size)
        except FileNotFoundError:
            self._read, self._styles = None, {}
        except (OSError, UnicodeDecodeError, Invalid) as problem:
            log.warning("styles stay as they were: %s: %s", self._file, problem)
        return self._styles

    def _from_file(self, size: int) -> Mapping[str, tuple[str, str]]:
        if size > LARGEST:
            raise Invalid(f"it has more than {LARGEST >> 20} MiB")
        styles = read_styles(self._file.read_text("utf-8-sig"))
        return {name: (style.prompt, style.negative) for name, style in styles.items()}


def with_styles(request: ImageRequest, names: Sequence[str], known: Mapping[str, tuple[str, str]]) -> ImageRequest:
    """The request with all its prompts within the styles of these names. Raises Invalid for unknown ones, with the
    list."""
    for name in names:
        if name not in known:
            have = ", ".join(known) or "none"
            raise Invalid(f"style {name[:100]!r} not found. Those there are: {have}", field="styles")
    styles = [Style(name, *known[name]) for name in names]
    return request.saying(dict(_styled(request.prompts, styles)))


def _styled(prompts: Mapping[str, str], styles: Sequence[Style]) -> Iterator[tuple[str, str]]:
    for within in ("", "hires."):
        paths = f"{within}prompt", f"{within}negative_prompt"
        texts = styled(prompts.get(paths[0], ""), prompts.get(paths[1], ""), styles)
        yield from ((path, text) for path, text in zip(paths, texts, strict=True) if path in prompts)
