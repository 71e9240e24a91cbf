"""Documents in requests and citations in answers, by the official SDKs."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from haiga.core.messages import Image
from haiga.services.intake import IntakeLimits
from tests.papers import coded, pdf, plain
from tests.wire.intake_server import (
    Page,
    Served,
    data_url,
    given,
    image,
    note,
    paper,
    pictures,
    serving_intake,
    texts,
    web,
)

PDF = pdf("Grass is green.", "Sky is blue. Snow is white.")
FACTS = "The grass is green. The sky is blue."
CITED = {"citations": {"enabled": True}}


def page(path: str) -> Page:
    pages = {
        "/a.pdf": (200, "application/pdf", PDF),
        "/a.txt": (200, "text/plain; charset=utf-8", FACTS.encode()),
        "/a.png": (200, "image/png", coded(plain())),
    }
    return pages.get(path, (404, "text/plain", b"nothing"))


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with web(page) as url:
        yield url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: str) -> Iterator[Served]:
    limits = IntakeLimits(pdf_pages=3, pdf_edge=60, pdf_size=100_000)
    with serving_intake(tmp_path_factory.mktemp("papers"), limits, [site.removeprefix("http://")]) as made:
        yield made


def shown(served: Served, *blocks: Any, model: str = "reads") -> str:
    """The text of what the model is given for these blocks."""
    served.say(*blocks, model=model)
    return texts(given(served.reads if model == "reads" else served.sees))


# --- documents ---


def test_a_text_is_shown_with_its_title_and_context(served: Served) -> None:
    assert (
        '<document index="1">\n<source>Facts</source>\n<context>a test</context>\n<document_content>\n'
        f"{FACTS}\n</document_content>\n</document>"
    ) == shown(served, note(FACTS, title="Facts", context="a test"))


PAGES = (
    '<document index="1">\n<document_content>\n<page number="1">\nGrass is green.\n</page>\n'
    '<page number="2">\nSky is blue. Snow is white.\n</page>\n</document_content>\n</document>'
)


def test_a_pdf_is_text_for_a_model_that_does_not_see(served: Served) -> None:
    assert PAGES == shown(served, paper(PDF))
    assert [] == pictures(given(served.reads))


def test_a_pdf_is_text_and_pages_for_a_model_that_sees(served: Served) -> None:
    assert PAGES == shown(served, paper(PDF), model="sees")
    assert [(40, 60), (40, 60)] == [(each.width, each.height) for each in pictures(given(served.sees))]
    kinds = [isinstance(block, Image) for block in given(served.sees)]
    assert [False, True, False, True, False] == kinds


def test_blocks_of_a_document_keep_their_order(served: Served) -> None:
    source = {"type": "content", "content": [{"type": "text", "text": "one"}, image(coded(plain()))]}
    served.say({"type": "document", "source": source, "title": "Both"})
    first, picture, last = given(served.sees)
    assert texts([first]).endswith("<document_content>\none")
    assert isinstance(picture, Image)
    assert "</document_content>\n</document>" == texts([last])


def test_documents_by_url_and_file_are_read_alike(served: Served, site: str) -> None:
    file = served.theirs.beta.files.upload(file=("a.pdf", PDF, "application/pdf")).id
    by_file: Any = {"type": "document", "source": {"type": "file", "file_id": file}}
    by_url: Any = {"type": "document", "source": {"type": "url", "url": f"{site}/a.pdf"}}
    assert PAGES.replace("<document_content>", "<source>a.pdf</source>\n<document_content>", 1) == shown(
        served, by_file
    )
    assert PAGES == shown(served, by_url)
    assert FACTS in shown(served, {"type": "document", "source": {"type": "url", "url": f"{site}/a.txt"}})
    with pytest.raises(anthropic.BadRequestError, match=r"0\.document\.source\.url: 127\.0\.0\.1: is none of"):
        served.say({"type": "document", "source": {"type": "url", "url": f"{site}/a.png"}}, model="reads")


def test_openai_s_file_parts_are_documents(served: Served, site: str) -> None:
    file = served.ours.files.create(file=("notes.md", FACTS.encode()), purpose="user_data").id
    parts: Any = [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(PDF, "application/pdf")}},
        {"type": "file", "file": {"file_data": b64encode(PDF).decode()}},
        {"type": "file", "file": {"file_id": file}},
    ]
    with pytest.raises(openai.BadRequestError, match=r"A maximum of 3 PDF pages may be provided\."):
        served.chat(*parts, model="reads")
    served.chat(parts[0], parts[2], model="reads")
    said = texts(given(served.reads))
    assert '<document index="1">\n<source>a.pdf</source>' in said
    assert f'<document index="2">\n<source>notes.md</source>\n<document_content>\n{FACTS}' in said
    items: Any = [
        {"type": "input_file", "file_url": f"{site}/a.pdf"},
        {"type": "input_file", "file_data": data_url(FACTS.encode(), "text/plain"), "filename": "b.txt"},
    ]
    served.ours.responses.create(model="reads", input=[{"role": "user", "content": items}])
    said = texts(served.reads.asked[-1].messages[0].content)
    assert "Snow is white." in said
    assert f"<source>b.txt</source>\n<document_content>\n{FACTS}" in said


def test_openrouter_s_file_parser_changes_nothing(served: Served) -> None:
    part: Any = {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url(PDF, "application/pdf")}}
    answer = served.router.chat.completions.create(
        model="reads",
        messages=[{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}],
        extra_body={"plugins": [{"id": "file-parser", "pdf": {"engine": "mistral-ocr"}}]},
    )
    assert "Snow is white." in texts(given(served.reads))
    assert 0 == answer.usage.cost  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (paper(pdf("x", password="p")), r"0\.document\.source\.base64: The PDF specified is password protected\."),
        (paper(PDF[:100]), r"0\.document\.source\.base64: The PDF specified was not valid: "),
        (paper(b"hello"), r"0\.document\.source\.base64: The PDF specified was not valid: "),
        (paper(pdf(*"abcd")), r"A maximum of 3 PDF pages may be provided\."),
        (paper(pdf("", "")), "has no text, and this model sees no pictures of its pages"),
        (paper(bytes(80_000)), r"document exceeds 0\.0953674 MB maximum: 106668 bytes > 100000 bytes"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(served: Served, block: Any, complaint: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=complaint):
        served.say(block, model="reads")


@pytest.mark.parametrize(
    ("data", "kind", "complaint"),
    [
        (b"\xff\xfe", "text/plain", "neither a PDF nor UTF-8 text"),
        (b"a\0b", "text/plain", "neither a PDF nor UTF-8 text"),
        (coded(plain()), "image/png", "this is an image, not a document"),
        (b"PK", "application/zip", "application/zip is neither a PDF nor a text"),
    ],
)
def test_parts_that_are_no_documents_are_refused(served: Served, data: bytes, kind: str, complaint: str) -> None:
    with pytest.raises(openai.BadRequestError, match=complaint) as caught:
        served.chat({"type": "file", "file": {"file_data": data_url(data, kind)}}, model="reads")
    assert "messages[0].content[0]" == caught.value.param


def test_a_model_without_documents_refuses_them_by_name(served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError, match="document blocks are not supported by model neither"):
        served.say(note("x"), model="neither")


def test_a_document_is_counted_as_it_is_read(served: Served) -> None:
    messages: Any = [{"role": "user", "content": [paper(PDF, **CITED), {"type": "text", "text": "Well?"}]}]
    counted = served.theirs.messages.count_tokens(model="reads", messages=messages).input_tokens
    answered = served.theirs.messages.create(model="reads", max_tokens=9, messages=messages).usage.input_tokens
    assert counted == answered > 20


def test_cache_marks_stay_on_documents(served: Served) -> None:
    served.say(paper(PDF, cache_control={"type": "ephemeral"}), model="sees")
    assert [None, None, None, None, "5m"] == [
        block.cache and block.cache.ttl  # type: ignore[union-attr]
        for block in given(served.sees)
    ]


# --- citations ---


def blocks_of(message: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(block.text, [cited.to_dict() for cited in block.citations or ()]) for block in message.content]


SOURCES = [
    note(FACTS, title="Facts", **CITED),
    paper(PDF, **CITED),
    {
        "type": "document",
        "source": {"type": "content", "content": [{"type": "text", "text": "Coal is black."}]},
        **CITED,
    },
    {
        "type": "search_result",
        "source": "https://a.example",
        "title": "Found",
        "content": [{"type": "text", "text": "Gold is yellow."}],
        **CITED,
    },
]
ANSWER = "Hm. The sky is blue [2][4]. Coal is black [6]; gold is not [7]."
EXPECTED = [
    ("Hm. ", []),
    (
        "The sky is blue",
        [
            {
                "type": "char_location",
                "cited_text": "The sky is blue.",
                "document_index": 0,
                "document_title": "Facts",
                "file_id": None,
                "start_char_index": 20,
                "end_char_index": 36,
            },
            {
                "type": "page_location",
                "cited_text": "Sky is blue.",
                "document_index": 1,
                "document_title": None,
                "file_id": None,
                "start_page_number": 2,
                "end_page_number": 3,
            },
        ],
    ),
    (". ", []),
    (
        "Coal is black",
        [
            {
                "type": "content_block_location",
                "cited_text": "Coal is black.",
                "document_index": 2,
                "document_title": None,
                "file_id": None,
                "start_block_index": 0,
                "end_block_index": 1,
            }
        ],
    ),
    (
        "; gold is not",
        [
            {
                "type": "search_result_location",
                "cited_text": "Gold is yellow.",
                "source": "https://a.example",
                "title": "Found",
                "search_result_index": 0,
                "start_block_index": 0,
                "end_block_index": 1,
            }
        ],
    ),
    (".", []),
]


@pytest.fixture
def citing(served: Served) -> Iterator[Served]:
    served.reads.answer = ANSWER
    yield served
    served.reads.answer = ""


def test_an_answer_cites_what_is_really_there(citing: Served) -> None:
    assert EXPECTED == blocks_of(citing.say(*SOURCES, model="reads"))
    assert "[2] The sky is blue." in texts(given(citing.reads))
    assert "[7] Gold is yellow." in texts(given(citing.reads))
    assert "write the passage's number right after it" in citing.reads.asked[-1].system[-1].text


def test_a_stream_adds_up_to_the_same_blocks(citing: Served) -> None:
    messages: Any = [{"role": "user", "content": [*SOURCES, {"type": "text", "text": "What is it?"}]}]
    with citing.theirs.messages.stream(model="reads", max_tokens=50, messages=messages) as stream:
        kinds = [event.delta.type for event in stream if event.type == "content_block_delta"]
        assert EXPECTED == blocks_of(stream.get_final_message())
    assert 4 == kinds.count("citations_delta")


def test_an_answer_that_is_sent_back_keeps_its_numbers(citing: Served) -> None:
    said = citing.say(*SOURCES, model="reads").content
    messages: Any = [
        {"role": "user", "content": [*SOURCES, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [block.to_dict() for block in said]},
        {"role": "user", "content": "Sure?"},
    ]
    citing.theirs.messages.create(model="reads", max_tokens=50, messages=messages)
    assert ANSWER == "".join(block.text for block in citing.reads.asked[-1].messages[1].content)  # type: ignore[union-attr]


def test_a_cited_file_is_named(citing: Served) -> None:
    file = citing.theirs.beta.files.upload(file=("a.txt", FACTS.encode(), "text/plain")).id
    answer = citing.say({"type": "document", "source": {"type": "file", "file_id": file}, **CITED}, model="reads")
    (cited,) = answer.content[1].citations
    assert (file, "a.txt", "The sky is blue.") == (cited.file_id, cited.document_title, cited.cited_text)


def test_citations_are_for_all_documents_or_for_none(served: Served) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"content\.1\.citations: citations must be enabled for all"):
        served.say(note("a", **CITED), note("b"), model="reads")
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    with pytest.raises(anthropic.BadRequestError, match="Citations cannot be enabled together with"):
        served.say(note("a", **CITED), output_config={"format": {"type": "json_schema", "schema": schema}})


def test_openai_s_answers_have_the_numbers_in_their_text_only_where_the_model_writes_them(served: Served) -> None:
    served.reads.answer = "It is blue [2]."
    part = {"type": "file", "file": {"file_data": data_url(FACTS.encode(), "text/plain")}}
    assert "It is blue [2]." == served.chat(part, model="reads").choices[0].message.content
    assert "[1]" not in texts(given(served.reads))
    served.reads.answer = ""
