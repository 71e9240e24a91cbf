"""Models that see agree with transformers: prompts token by token, pixels, logits, however the work is cut up."""

import json
from collections.abc import Iterator
from collections.abc import Sequence as Items
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from haiga.batching.blocks import BlockPool
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request, Sequence
from haiga.core.generation import TextRequest
from haiga.core.messages import Block, Image, Message, Text, ToolResult, ToolUse
from haiga.core.pictures import Picture, Seen
from haiga.core.ports import Row
from haiga.engines.native.runner import OpenVINORunner
from haiga.engines.native.seeing import Eye
from haiga.engines.native.texts import load_template, load_tokenizer
from haiga.models.vision.load import Tower
from haiga.models.vision.registry import read_sight
from haiga.text.prompt import Prompt, Prompter
from tests.pictured import FAMILIES, as_image, load_pictured, load_processor, make_pictured, random_picture, reference

BLOCKS = 128
KINDS = ("token_type_ids", "mm_token_type_ids")


@dataclass
class Made:
    name: str
    directory: Path
    model: Any
    processor: Any
    prompter: Prompter
    tower: Tower
    runner: OpenVINORunner

    def prompt(self, *messages: Message) -> Prompt:
        return self.prompter.prompt(TextRequest("tiny", messages, 1))

    def seen(self, prompt: Prompt) -> tuple[Seen, ...]:
        eye = Eye(self.tower)
        return tuple(eye.see(placed, "") for placed in prompt.pictures)

    def row(self, prompt: Prompt, past: int, end: int, first: int = 0) -> Row:
        table = range(first, first + len(prompt.tokens) // 32 + 1)
        return Row(prompt.tokens[past:end], past, table, end - past, pictures=self.seen(prompt))

    def expected(
        self, said: list[dict[str, Any]], *pictures: Picture, more: Items[int] = ()
    ) -> tuple[list[int], NDArray[np.float32]]:
        """Token ids and logits of the reference processor and model; `more` tokens follow the prompt."""
        text = self.processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        images = [as_image(picture) for picture in pictures]
        inputs = self.processor(images=images or None, text=[text], return_tensors="pt")
        added = {"input_ids": more, "attention_mask": [1] * len(more)}
        for name, value in {**dict.fromkeys(KINDS, [0] * len(more)), **added}.items():
            if name in inputs and more:
                inputs[name] = torch.cat([inputs[name], torch.tensor([list(value)])], 1)
        return inputs["input_ids"][0].tolist(), reference(self.model, inputs)


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    directory = make_pictured(tmp_path_factory.mktemp("model"), request.param)
    tokenizer, template = load_tokenizer(directory), load_template(directory)
    sight, tower = read_sight(directory), Tower.load(directory, "f32", 0)
    assert sight and tower
    processor = load_processor(directory, request.param)
    runner = OpenVINORunner.load(directory, "f32", "f32", blocks=BLOCKS, exact=False)
    prompter = Prompter(tokenizer, template, sight=sight)
    yield Made(request.param, directory, load_pictured(directory), processor, prompter, tower, runner)
    runner.close()


def user(*blocks: Block) -> Message:
    return Message("user", blocks)


def parts(*blocks: str | None) -> dict[str, Any]:
    return {
        "role": "user",
        "content": [{"type": "text", "text": block} if block else {"type": "image"} for block in blocks],
    }


ONE, TWO, THREE = random_picture(61, 40, 1), random_picture(33, 90, 2), random_picture(20, 20, 3)


def test_one_picture(made: Made) -> None:
    prompt = made.prompt(user(Image(ONE), Text("What is this?")))
    ids, logits = made.expected([parts(None, "What is this?")], ONE)
    assert ids == prompt.tokens
    np.testing.assert_allclose(made.runner.step([made.row(prompt, 0, len(ids))]), logits, atol=2e-4)


def test_several_pictures_between_words_in_two_turns(made: Made) -> None:
    said = [
        user(Text("Compare"), Image(ONE), Text("with"), Image(TWO)),
        Message("assistant", (Text("Well."),)),
        user(Image(THREE), Text("and this")),
    ]
    turns = [
        parts("Compare", None, "with", None),
        {"role": "assistant", "content": "Well."},
        parts(None, "and this"),
    ]
    prompt = made.prompt(*said)
    ids, logits = made.expected(turns, ONE, TWO, THREE)
    assert ids == prompt.tokens
    np.testing.assert_allclose(made.runner.step([made.row(prompt, 0, len(ids))]), logits, atol=2e-4)


def test_a_picture_in_a_tool_result(made: Made) -> None:
    call = ToolUse("toolu_1", "look", {"at": "sea"})
    result = ToolResult("toolu_1", (Text("Here:"), Image(TWO)))
    prompt = made.prompt(user(Text("Look")), Message("assistant", (call,)), user(result, Text("Well?")))
    function = {"type": "function", "id": "toolu_1", "function": {"name": "look", "arguments": {"at": "sea"}}}
    turns = [
        parts("Look"),
        {"role": "assistant", "content": "", "tool_calls": [function]},
        {**parts("Here:", None), "role": "tool", "name": "look", "tool_call_id": "toolu_1"},
        parts("Well?"),
    ]
    ids, logits = made.expected(turns, TWO)
    assert ids == prompt.tokens
    np.testing.assert_allclose(made.runner.step([made.row(prompt, 0, len(ids))]), logits, atol=2e-4)


def test_chunks_cut_inside_a_picture_beside_text_alone(made: Made) -> None:
    prompt = made.prompt(user(Image(ONE), Text("What is this?")))
    words = made.prompt(user(Text("What is the colour of the sea on a day without wind?")))
    ids, logits = made.expected([parts(None, "What is this?")], ONE)
    _, beside = made.expected([parts("What is the colour of the sea on a day without wind?")])
    inside = prompt.pictures[0].spans[0][0] + (0 if made.tower.sight.mutual else 2)
    chunk = 4 if made.tower.sight.mutual else 3
    cuts = [0, inside, inside + chunk, len(ids) - 5, len(ids)]
    at = 0
    for begin, end in pairwise(cuts):
        rows, wanted = [made.row(prompt, begin, end)], [logits[begin:end]]
        if at < len(words.tokens):
            more = min(at + 20, len(words.tokens))
            rows.insert(0, made.row(words, at, more, first=100))
            wanted.insert(0, beside[at:more])
            at = more
        np.testing.assert_allclose(made.runner.step(rows), np.concatenate(wanted), atol=2e-4)


def test_answers_from_a_scheduler_with_little_budget_are_the_likeliest(made: Made) -> None:
    """Chunks end where the budget does, and pictures are found in the cache; where their tokens see each other, they
    are not cut."""
    prompts = [
        made.prompt(user(Image(ONE), Text("What is this?"))),
        made.prompt(user(Image(ONE), Text("What is this?"), Image(TWO), Text("And that?"))),
    ]
    turns = [[parts(None, "What is this?")], [parts(None, "What is this?", None, "And that?")]]
    local = BlockPool(made.runner.local_blocks, 32)
    scheduler = Scheduler(BlockPool(BLOCKS, 32), 20, 4, 1024, horizon=made.runner.horizon, local=local)
    for prompt, turn, pictures in zip(prompts, turns, ([ONE], [ONE, TWO]), strict=True):
        scheduler.add(Request("one", tuple(prompt.tokens), 3, pictures=made.seen(prompt)))
        answer: list[int] = []
        while scheduler.running + scheduler.waiting:
            plan = scheduler.plan(0.0)
            chosen = [[int(row.argmax())] for row in made.runner.step(plan.rows)]
            answer += [token for advance in scheduler.commit(plan, chosen, 0.0) for token in advance.tokens]
            scheduler.check_integrity()
        _, logits = made.expected(turn, *pictures, more=answer)
        best = logits[len(prompt.tokens) - 1 : -1]
        np.testing.assert_allclose(best[np.arange(3), answer], best.max(1), atol=2e-4)


def test_f32_logits_depend_on_the_sequence_alone(made: Made) -> None:
    prompt = made.prompt(user(Text("So"), Image(ONE), Text("What is this?")))
    seen, exact = made.seen(prompt), OpenVINORunner.load(made.directory, "f32", "f32", blocks=BLOCKS)
    size, table = len(prompt.tokens), range(len(prompt.tokens) // 32 + 1)
    whole = exact.step([Row(prompt.tokens, 0, table, size, pictures=seen)]).copy()
    sequence = Sequence(Request("one", tuple(prompt.tokens), 1, pictures=seen), 0, 1024, 32, True)
    pieces = []
    while sequence.computed < size:
        past = sequence.computed
        end = past + sequence.whole(min(11, size - past))
        rows = [Row([7, 8, 9], 0, [100], 1), Row(prompt.tokens[past:end], past, table, end - past, pictures=seen)]
        pieces.append(exact.step(rows)[1:].copy())
        sequence.computed = end
    exact.close()
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("name", ["llava", "gemma 3"])
def test_towers_are_found_under_the_names_of_published_files(tmp_path: Path, name: str) -> None:
    """transformers 5 drops a level of names that older files have."""
    directory = make_pictured(tmp_path, name)
    tower = Tower.load(directory, "f32", 0)
    file = directory / "model.safetensors"
    tensors = load_file(file)
    save_file({each.replace("vision_tower.", "vision_tower.vision_model."): tensors[each] for each in tensors}, file)
    older = Tower.load(directory, "f32", 0)
    assert tower and older
    np.testing.assert_array_equal(tower.features(ONE), older.features(ONE))


def test_a_tower_in_bf16_is_near_the_one_in_f32(made: Made) -> None:
    coarse = Tower.load(made.directory, "int4", 0)
    assert coarse
    exact, found = made.tower.features(ONE), coarse.features(ONE)
    assert 0.03 > np.linalg.norm(found - exact) / np.linalg.norm(exact)


def test_a_checkpoint_without_a_processor_or_a_tower_reads_text_alone(tmp_path: Path) -> None:
    directory = make_pictured(tmp_path, "smolvlm")
    (directory / "processor_config.json").rename(directory / "elsewhere.json")
    assert read_sight(directory) is None
    (directory / "elsewhere.json").rename(directory / "processor_config.json")
    assert read_sight(directory) is not None
    file = directory / "model.safetensors"
    save_file(
        {name: each for name, each in load_file(file).items() if "vision" not in name and "conn" not in name}, file
    )
    assert read_sight(directory) is None


def test_qwens_older_config_is_read_alike(tmp_path: Path) -> None:
    """As published: the decoder's fields at the top, its rope of a type of its own."""
    directory = make_pictured(tmp_path, "qwen 2.5 vl")
    file = directory / "config.json"
    new = json.loads(file.read_text())
    text = new.pop("text_config")
    rope = text.pop("rope_parameters")
    scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    older = {**text, **new, "rope_theta": rope["rope_theta"], "rope_scaling": scaling}
    seen = (Seen(b"x", ((2, 6),), np.ones((6, 64), np.float32), (2, 3)),)
    rows = [Row(list(range(12)), 0, [0], 12, pictures=seen)]
    found = []
    for config in (json.loads(file.read_text()), older):
        file.write_text(json.dumps(config))
        runner = OpenVINORunner.load(directory, "f32", "f32", blocks=2)
        found.append(runner.step(rows).copy())
        runner.close()
    np.testing.assert_array_equal(found[0], found[1])
