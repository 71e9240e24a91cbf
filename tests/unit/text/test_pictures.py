"""Pictures in prompts: templates that show them and templates that do not, places, marks, and words that pretend."""

from pathlib import Path

import pytest

from haiga.core.errors import Unsupported
from haiga.core.generation import TextRequest
from haiga.core.messages import CacheMark, Image, Message, Text, ToolResult, ToolUse
from haiga.core.pictures import Grid, Picture
from haiga.text.pictures import spelled
from haiga.text.prompt import Prompter
from haiga.text.template import ChatTemplate
from haiga.text.tokenizer import Tokenizer
from tests.served import TEMPLATE, write_tokenizer

TALL, WIDE = Picture.of(b"\0" * 9, 1, 3), Picture.of(b"\0" * 6, 2, 1)
PARTS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<pad>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Dots:
    """As many fillers as a picture is high, between bars."""

    token, written, filler = "<pad>", "<pad>", "</s>"

    def spelling(self, width: int, height: int) -> str:
        return f"|{self.filler * height}|"

    def grid(self, width: int, height: int) -> Grid:
        return height, 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    directory: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(directory)
    return Tokenizer.load(directory)


def shown(tokenizer: Tokenizer, template: str, *messages: Message) -> str:
    prompter = Prompter(tokenizer, ChatTemplate(template), sight=Dots())
    prompt = prompter.prompt(TextRequest("m", messages, 1))
    text = tokenizer.decode(prompt.tokens, skip_special=False)
    starts = [tokenizer.decode(prompt.tokens[: each.spans[0][0]], skip_special=False) for each in prompt.pictures]
    assert all(start.endswith("|") for start in starts)
    return text


def test_a_template_that_shows_pictures_is_given_parts(tokenizer: Tokenizer) -> None:
    said = Message("user", (Image(TALL), Text("a"), Text("b"), Image(WIDE), Text("c")))
    expected = "<|im_start|>user\n|</s></s></s>|a\nb|</s>|c<|im_end|>\n<|im_start|>assistant\n"
    assert expected == shown(tokenizer, PARTS, said)


def test_one_that_does_not_gets_the_token_in_the_words(tokenizer: Tokenizer) -> None:
    said = Message("user", (Image(TALL), Text("a"), Image(WIDE)))
    expected = "<|im_start|>user\n|</s></s></s>|\na\n|</s>|<|im_end|>\n<|im_start|>assistant\n"
    assert expected == shown(tokenizer, TEMPLATE, said)


def test_pictures_of_results_come_before_the_words_of_their_message(tokenizer: Tokenizer) -> None:
    call = Message("assistant", (ToolUse("t1", "look", {}),))
    result = ToolResult("t1", (Text("here"), Image(TALL)))
    prompter = Prompter(tokenizer, ChatTemplate(PARTS), sight=Dots())
    said = (Message("user", (Text("look"),)), call, Message("user", (result, Image(WIDE), Text("well?"))))
    prompt = prompter.prompt(TextRequest("m", said, 1))
    assert [TALL, WIDE] == [each.picture for each in prompt.pictures]
    assert [3, 1] == [count for each in prompt.pictures for _, count in each.spans]
    assert [(3, 1), (1, 1)] == [each.grid for each in prompt.pictures]


def test_words_cannot_pretend_to_be_a_picture(tokenizer: Tokenizer) -> None:
    prompter = Prompter(tokenizer, ChatTemplate(PARTS), sight=Dots())
    said = Message("user", (Text("<pad></s>"), Image(TALL), Text("</s>")))
    prompt = prompter.prompt(TextRequest("m", (said,), 1))
    (placed,) = prompt.pictures
    assert 3 == prompt.tokens.count(tokenizer.id("</s>"))
    assert 3 == sum(count for _, count in placed.spans)


@pytest.mark.parametrize("template", [PARTS, TEMPLATE])
def test_a_breakpoint_behind_a_picture_is_behind_all_its_tokens(tokenizer: Tokenizer, template: str) -> None:
    prompter = Prompter(tokenizer, ChatTemplate(template), sight=Dots())
    said = Message("user", (Text("a"), Image(TALL, CacheMark()), Text("b")))
    prompt = prompter.prompt(TextRequest("m", (said,), 1))
    ((offset, _),) = prompt.breakpoints
    assert tokenizer.decode(prompt.tokens[:offset], skip_special=False).endswith("</s></s></s>|")


def test_a_template_that_writes_pictures_of_its_own_accord_is_told_of(tokenizer: Tokenizer) -> None:
    losing = "{% for part in messages[0].content %}{% if loop.first %}<pad>{% endif %}{{ part.text }}{% endfor %}"
    prompter = Prompter(tokenizer, ChatTemplate(losing), sight=Dots())
    said = Message("user", (Image(TALL), Image(WIDE), Text("b")))
    with pytest.raises(Unsupported, match="shows 3 of 2 images"):
        prompter.prompt(TextRequest("m", (said,), 1))


def test_a_model_without_sight_takes_no_image(tokenizer: Tokenizer) -> None:
    prompter = Prompter(tokenizer, ChatTemplate(PARTS))
    with pytest.raises(Unsupported, match="does not take image blocks"):
        prompter.prompt(TextRequest("m", (Message("user", (Image(TALL),)),), 1))


def test_places_move_by_what_pictures_before_them_have_grown() -> None:
    found = spelled("ab<pad>c<pad>d", [TALL, WIDE], Dots())
    assert "ab|</s></s></s>|c|</s>|d" == found.text
    assert [found.text.index(letter) for letter in "abcd"] == [found.at("ab<pad>c<pad>d".index(x)) for x in "ab"] + [
        found.at(7),
        found.at(13),
    ]


SMOLVLM = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<pad>' }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
QWEN = (
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or "
    "'image_url' in content %}{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<s><pad><s>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<pad>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (SMOLVLM, "<|im_start|>User:|</s>|a<|im_end|>\nAssistant: b<|im_end|>\nUser: c|</s>|<|im_end|>\nAssistant:"),
        (
            QWEN,
            "<|im_start|>user\n<s>|</s>|<s>a<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
            "<|im_start|>user\nc<s>|</s>|<s><|im_end|>\n<|im_start|>assistant\n",
        ),
        (LLAVA, "USER: |</s>|\na ASSISTANT: b USER: |</s>|\nc ASSISTANT:"),
    ],
    ids=["smolvlm", "qwen", "llava"],
)
def test_templates_as_models_are_published_with(tokenizer: Tokenizer, template: str, expected: str) -> None:
    said = (
        Message("user", (Image(WIDE), Text("a"))),
        Message("assistant", (Text("b"),)),
        Message("user", (Text("c"), Image(WIDE))),
    )
    assert expected == shown(tokenizer, template, *said)
