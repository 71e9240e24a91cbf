"""A template's prompts, as tests ask for them."""

from functools import cache

from haiga.core.generation import TextRequest
from haiga.text.prompt import Prompter
from haiga.text.template import ChatTemplate
from haiga.text.tokenizer import Tokenizer
from tests.unit.text import builders

TOOLED = """{% if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool|tojson }}
{% endfor %}<|im_end|>
{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content|trim }}{% for c in m.tool_calls or [] %}
<call>{{ c.function|tojson }}</call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@cache
def prompter(source: str | None, tokenizer: Tokenizer | None = None) -> Prompter:
    template = ChatTemplate(source, builders.SPECIAL) if source else None
    return Prompter(tokenizer or builders.tokenizer(), template)


def shown(request: TextRequest, source: str | None, count: int | None = None) -> str:
    return builders.tokenizer().decode(prompter(source).prompt(request).tokens[:count], skip_special=False)


def marked_texts(request: TextRequest, source: str) -> list[str]:
    return [shown(request, source, count) for count, _ in prompter(source).prompt(request).breakpoints]
