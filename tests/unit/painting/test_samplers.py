"""Samplers by the names that people use."""

import pytest

from haiga.core.errors import Invalid
from haiga.core.images import Hires, ImageRequest
from haiga.core.palette import Sampling
from haiga.engines.diffusers.samplers import NAMES, SAMPLERS, configured, name_of


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_scheduler_is_called_what_it_is_asked_for_by(sampler: str) -> None:
    assert sampler == name_of(*configured(sampler, "Automatic", flow=False))
    assert Sampling(sampler) == NAMES.sampling(name_of(*configured(sampler, "Automatic", flow=False)))


def test_one_that_no_sampler_means_keeps_its_class() -> None:
    karras = {"solver_order": 2, "algorithm_type": "dpmsolver++", "use_karras_sigmas": True}
    assert "DPMSolverMultistepScheduler" == name_of("DPMSolverMultistepScheduler", karras)
    assert "CMStochasticIterativeScheduler" == name_of("CMStochasticIterativeScheduler", {})


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ({}, Sampling(), Sampling()),
        ({"schedule": "karras"}, Sampling("Euler", "Karras"), Sampling("Euler", "Karras")),
        ({"sampler": "dpm++ 2m  karras"}, Sampling("DPM++ 2M", "Karras"), Sampling("DPM++ 2M", "Karras")),
        ({"sampler": "PLMS", "hires": Hires(sampler="UniPC")}, Sampling("PNDM"), Sampling("UniPC")),
        ({"schedule": "Beta", "hires": Hires(sampler="UniPC")}, Sampling("Euler", "Beta"), Sampling("UniPC", "Beta")),
        (
            {"sampler": "DPM++ 2M Karras", "hires": Hires(schedule="Beta")},
            Sampling("DPM++ 2M", "Karras"),
            Sampling("DPM++ 2M", "Beta"),
        ),
    ],
)
def test_each_pass_is_sampled_by_the_names_that_it_was_given(
    asked: dict[str, object], first: Sampling, second: Sampling
) -> None:
    assert (first, second) == NAMES.passes(ImageRequest("m", "p", **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"sampler": "Eulr"}, "sampler"),
        ({"schedule": "bent"}, "scheduler"),
        ({"hires": Hires(sampler="Eulr")}, "hires.sampler"),
        ({"hires": Hires(schedule="bent")}, "hires.scheduler"),
    ],
)
def test_a_name_that_means_none_is_refused_with_those_there_are(asked: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid, match=r"Known are (Euler|Automatic)") as refused:
        NAMES.passes(ImageRequest("m", "p", **asked))  # type: ignore[arg-type]
    assert field == refused.value.field
