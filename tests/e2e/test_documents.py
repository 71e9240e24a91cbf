"""Pictures and documents from files to a model that really sees, by the command line and by the one path to a model."""

import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from haiga.core.access import Caller
from haiga.core.generation import Reply, SamplingRequest, TextRequest, fold
from haiga.core.messages import Base64Source, Document, Image, Message, Text, ToolResult, ToolUse
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch
from haiga.services.inference import Inference
from haiga.services.intake import Intake, IntakeLimits
from haiga.services.models import Models
from tests.papers import coded, pdf, plain
from tests.pictured import make_pictured

PICTURE = Image(Base64Source("image/png", b64encode(coded(plain(size=(70, 40)))).decode()))
PAPER = Document(Base64Source("application/pdf", b64encode(pdf("Grass is green.", "Sky is blue.")).decode()))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictured(tmp_path_factory.mktemp("tiny"), "smolvlm")


@pytest.fixture
async def inference(directory: Path) -> AsyncIterator[Inference]:
    engine = open_engine(Found.at("tiny", directory, created=0), NativeOptions(context=4096))
    assert isinstance(engine, NativeEngine)
    models, decoder = Models({"tiny": engine}), Decoder()
    intake = Intake(decoder, Fetch(), lambda caller, name: made.model(caller, name), IntakeLimits(pdf_edge=64))
    made = Inference(models, stages=[intake], prompted=intake.resolved)
    yield made
    await models.close()
    await decoder.close()


def ask(*messages: Message) -> TextRequest:
    return TextRequest("tiny", messages, 4, sampling=SamplingRequest(temperature=0), overflow="stop")


async def answer(inference: Inference, request: TextRequest) -> Reply:
    return fold([event async for event in inference.generate(Caller(), request)])


async def test_the_count_is_what_is_billed_with_pictures_pages_and_results(inference: Inference) -> None:
    call = ToolUse("toolu_1", "look", {})
    request = ask(
        Message("user", (Text("First"), PICTURE, Text("then"), PAPER, PICTURE)),
        Message("assistant", (call,)),
        Message("user", (ToolResult("toolu_1", (Text("seen"), PICTURE, PAPER)), Text("What is it?"))),
    )
    counted = await inference.count(Caller(), request)
    assert counted == (await answer(inference, request)).usage.prompt


async def test_a_second_question_about_a_paper_reads_it_from_the_cache(inference: Inference) -> None:
    first = await answer(inference, ask(Message("user", (PAPER, PICTURE, Text("One?")))))
    again = await answer(inference, ask(Message("user", (PAPER, PICTURE, Text("Another?")))))
    assert first.usage.prompt - 64 < again.usage.cache_read


def test_the_command_line_shows_files_to_a_model(directory: Path, tmp_path: Path) -> None:
    picture, paper, note = tmp_path / "cat.png", tmp_path / "x.pdf", tmp_path / "n.txt"
    picture.write_bytes(coded(plain()))
    paper.write_bytes(pdf("Grass"))
    note.write_text("Snow")
    command = [sys.executable, "-c", "from haiga.cli import main; main()", "run", str(directory), "what is this"]
    command += ["--image", str(picture), "--file", str(paper), "--file", str(note)]
    command += ["--max-tokens", "3", "--data-dir", str(tmp_path / "data")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("", 0) == (ran.stderr, ran.returncode)
    assert ran.stdout.endswith("\n")
