"""How a picture says what it was made of: the form that A1111 writes and all its relatives read.

Rule: what is written is read back as it was; what cannot be read as a parameter is left out, never guessed.

    <prompt>
    Negative prompt: <negative prompt>
    Steps: 20, Sampler: Euler a, Size: 512x512, Seed: 1, ...
"""

import json
import re
from collections.abc import Mapping, Sequence

_NEGATIVE = "Negative prompt:"
_PARAMETER = re.compile(r'\s{0,8}([\w(][\w ()/\-]{0,63}?):\s*("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_FEWEST = 3  # parameters that make a last line one of them, as in A1111's modules/infotext_utils.py
PROMPT, NEGATIVE = "Prompt", "Negative prompt"
_SECTIONS = {name.lower(): name for name in (NEGATIVE, "Template", "Negative template")}  # two of them SD.Next's
_SECTION = re.compile(rf"({'|'.join(_SECTIONS)}):", re.IGNORECASE)


def infotext(parameters: Mapping[str, str]) -> str:
    """The text for parameters by name, the two prompts among them. Others with no value are left out."""
    told = ", ".join(f"{name}: {_quoted(value)}" for name, value in parameters.items() if _is_told(name, value))
    negative = parameters.get(NEGATIVE, "")
    lines = [parameters.get(PROMPT, ""), f"{_NEGATIVE} {negative}" if negative else None, told]
    return "\n".join(line for line in lines if line is not None)


def read_infotext(text: str) -> dict[str, str]:
    """The parameters, both prompts always among them."""
    *lines, last = text.strip("\n").split("\n")
    found = [(name.strip(), _plain(value)) for name, value in _PARAMETER.findall(last)]
    if len(found) < _FEWEST:
        lines, found = [*lines, last], []
    return {PROMPT: "", NEGATIVE: "", **_sections(lines), **dict(found)}


def _sections(lines: Sequence[str]) -> dict[str, str]:
    """The prompt's lines, and those of each text that begins with a name of its own."""
    sections: dict[str, list[str]] = {PROMPT: []}
    name = PROMPT
    for line in lines:
        if mark := _SECTION.match(line):
            name, line = _SECTIONS[mark[1].lower()], line[mark.end() :]
        sections.setdefault(name, []).append(line)
    return {name: "\n".join(each).strip() for name, each in sections.items()}


def _is_told(name: str, value: str) -> bool:
    return name not in (PROMPT, NEGATIVE) and value != ""


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"\\]|^\s|\s$', value) else value


def _plain(value: str) -> str:
    value = value.strip()
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value
