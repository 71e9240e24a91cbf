"""A painting process: what is asked of it with all that lies beside the model, and what it says when it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import Control, ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.ports import ModelCard
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.diffusers.fitting import Wanted
from haiga.engines.diffusers.setup import Setup
from tests.parity.painting.drawn import scene
from tests.pipelines import saved

CARD = ModelCard("tiny", "tiny", 0, 0, 0)


async def test_it_paints_shows_enlarges_and_says_how_it_runs(tmp_path: Path) -> None:
    engine = DiffusersEngine(CARD, saved("sd15", tmp_path / "model"), Setup(tmp_path / "shelf"))
    await engine.start()
    try:
        told, reasons = engine.fitted
        assert told.startswith("cpu, ") or ", bfloat16" in told
        assert reasons
        request = ImageRequest("tiny", "a cat", width=64, height=64, steps=3, count=2, previews=True)
        heard = [each async for each in engine.paint(request, 5)]
        made = [each for each in heard if isinstance(each, Painted)]
        assert [5, 6] == [each.seed for each in made]
        assert (told, "; ".join(reasons)) == (made[0].parameters["Memory"], made[0].reason)
        assert any(each.preview for each in heard if isinstance(each, Progress))
        assert made == [each async for each in engine.paint(request, 5) if isinstance(each, Painted)]
        left = []
        async for each in engine.paint(replace(request, steps=50), 5):
            if isinstance(each, Painted):
                left.append(each.seed)
            elif each.step == 1:
                engine.skip()
        assert [6] == left
        larger = [each async for each in engine.upscale(UpscaleRequest("tiny", scene(), scale=2.0))]
        assert [(128, 128)] == [(e.picture.width, e.picture.height) for e in larger if isinstance(e, Painted)]
        for wrong, kind in (
            (ImageRequest("tiny", "a <lora:none:1>"), Invalid),
            (ImageRequest("tiny", "a cat", controls=(Control("edges", scene()),)), Invalid),
        ):
            with pytest.raises(kind):
                [each async for each in engine.paint(wrong, 1)]
    finally:
        await engine.close()


async def test_a_model_that_cannot_run_as_it_is_set_is_refused_with_the_reason(tmp_path: Path) -> None:
    engine = DiffusersEngine(CARD, saved("sd15", tmp_path), Setup(wanted=Wanted(quantised="nf4")))
    with pytest.raises(Unsupported, match="bitsandbytes"):
        await engine.start()
