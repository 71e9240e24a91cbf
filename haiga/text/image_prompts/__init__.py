"""What people write to have a picture made, in the syntax that A1111 and SD.Next taught them."""

from haiga.text.image_prompts.expand import Deck, Style, expand, may_expand, styled
from haiga.text.image_prompts.infotext import infotext, read_infotext
from haiga.text.image_prompts.networks import Network, networks
from haiga.text.image_prompts.prompt import Part, Prompt, Span, Weighted, parse
from haiga.text.image_prompts.recalled import Recalled, recall
from haiga.text.image_prompts.styles import read_styles

__all__ = [
    "Deck",
    "Network",
    "Part",
    "Prompt",
    "Recalled",
    "Span",
    "Style",
    "Weighted",
    "expand",
    "infotext",
    "may_expand",
    "networks",
    "parse",
    "read_infotext",
    "read_styles",
    "recall",
    "styled",
]
