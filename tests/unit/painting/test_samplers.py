"""Samplers by the names that people use."""

import pytest

from haiga.engines.diffusers.samplers import SAMPLERS, configured, name_of, named


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_scheduler_is_called_what_it_is_asked_for_by(sampler: str) -> None:
    assert sampler == name_of(*configured(sampler, "Automatic", flow=False))
    assert (sampler, "Automatic") == named(name_of(*configured(sampler, "Automatic", flow=False)))


def test_one_that_no_sampler_means_keeps_its_class() -> None:
    karras = {"solver_order": 2, "algorithm_type": "dpmsolver++", "use_karras_sigmas": True}
    assert "DPMSolverMultistepScheduler" == name_of("DPMSolverMultistepScheduler", karras)
    assert "CMStochasticIterativeScheduler" == name_of("CMStochasticIterativeScheduler", {})
