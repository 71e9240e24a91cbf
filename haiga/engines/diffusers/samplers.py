"""Samplers and sigma schedules by the names that A1111 and SD.Next gave them, as diffusers' schedulers.

Rule: a name means one scheduler or is refused; it is never replaced by one that is near it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from haiga.core.errors import Invalid, Unsupported
from haiga.core.palette import Palette

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A scheduler class of diffusers with its settings. `flow` are those for a model trained by flow matching, None
    where it cannot sample one; `flow_scheduler` is another class for such models. `sigmas` says whether it can have
    Karras', exponential or beta ones."""

    scheduler: str
    config: Config = field(default_factory=dict)
    flow: Config | None = None
    flow_scheduler: str | None = None
    sigmas: bool = True


_FLOW: Config = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
_MULTISTEP, _SINGLESTEP = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"


def _multistep(order: int, kind: str = "dpmsolver++") -> Sampler:
    return Sampler(_MULTISTEP, {"solver_order": order, "algorithm_type": kind}, flow=_FLOW)


SAMPLERS: Mapping[str, Sampler] = {
    "Euler": Sampler("EulerDiscreteScheduler", flow={}, flow_scheduler="FlowMatchEulerDiscreteScheduler"),
    "Euler a": Sampler("EulerAncestralDiscreteScheduler", sigmas=False),
    "DPM++ 2M": _multistep(2),
    "DPM++ 3M": _multistep(3),
    "DPM++ 2M SDE": _multistep(2, "sde-dpmsolver++"),
    "DPM++ 3M SDE": _multistep(3, "sde-dpmsolver++"),
    "DPM++ 1S": Sampler(_SINGLESTEP, {"solver_order": 1}, flow=_FLOW),
    "DPM++ 2S": Sampler(_SINGLESTEP, {"solver_order": 2}, flow=_FLOW),
    "DPM2": Sampler("KDPM2DiscreteScheduler"),
    "DPM2 a": Sampler("KDPM2AncestralDiscreteScheduler"),
    "Heun": Sampler("HeunDiscreteScheduler", flow={}, flow_scheduler="FlowMatchHeunDiscreteScheduler"),
    "UniPC": Sampler("UniPCMultistepScheduler", flow=_FLOW),
    "DEIS": Sampler("DEISMultistepScheduler", flow=_FLOW),
    "SA Solver": Sampler("SASolverScheduler", flow=_FLOW),
    "DDIM": Sampler("DDIMScheduler", sigmas=False),
    "DDPM": Sampler("DDPMScheduler", sigmas=False),
    "PNDM": Sampler("PNDMScheduler", {"skip_prk_steps": True}, sigmas=False),
    "LCM": Sampler("LCMScheduler", flow={}, flow_scheduler="FlowMatchLCMScheduler", sigmas=False),
    "TCD": Sampler("TCDScheduler", sigmas=False),
}
ALIASES: Mapping[str, str] = {  # other programs' names for the same
    "KDPM2": "DPM2",
    "KDPM2 a": "DPM2 a",
    "PLMS": "PNDM",
    "Euler FlowMatch": "Euler",
    "Heun FlowMatch": "Heun",
    "UniPC FlowMatch": "UniPC",
    "LCM FlowMatch": "LCM",
}
SCHEDULES: Mapping[str, Config] = {
    "Automatic": {},
    "Karras": {"use_karras_sigmas": True},
    "Exponential": {"use_exponential_sigmas": True},
    "Beta": {"use_beta_sigmas": True},
    "SGM Uniform": {"timestep_spacing": "trailing"},
    "Uniform": {"timestep_spacing": "linspace"},
    "Normal": {"timestep_spacing": "leading"},
}
NAMES = Palette(
    samplers={name: tuple(alias for alias, own in ALIASES.items() if own == name) for name in SAMPLERS},
    schedules=tuple(SCHEDULES),
)
_KINDS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")


def configured(sampler: str, schedule: str, *, flow: bool) -> tuple[str, dict[str, Any]]:
    """diffusers' class and what differs from the model's own settings. `flow`: whether the model was trained by flow
    matching. Raises Invalid when the sampler cannot do what is asked, Unsupported for what it lacks."""
    chosen, sigmas = SAMPLERS[sampler], SCHEDULES[schedule]
    if flow and chosen.flow is None:
        able = ", ".join(name for name, each in SAMPLERS.items() if each.flow is not None)
        raise Invalid(f"the sampler {sampler} cannot sample this model, which can have {able}", field="sampler")
    if any(kind in sigmas for kind in _KINDS) and not chosen.sigmas:
        raise Invalid(f"the sampler {sampler} has no {schedule} sigmas", field="scheduler")
    if "use_beta_sigmas" in sigmas and find_spec("scipy") is None:
        raise Unsupported(f"the schedule {schedule} needs the package scipy beside the server", field="scheduler")
    off = dict.fromkeys(_KINDS, False) if chosen.sigmas else {}
    if flow:
        return chosen.flow_scheduler or chosen.scheduler, {**chosen.config, **(chosen.flow or {}), **off, **sigmas}
    return chosen.scheduler, {**chosen.config, **off, **sigmas}


def name_of(scheduler: str, config: Config) -> str:
    """The sampler that diffusers' class with these settings is; the class where no sampler means the same."""
    if not any(config.get(kind) for kind in _KINDS):
        for name, sampler in SAMPLERS.items():
            same = all(config.get(key) == value for key, value in sampler.config.items())
            if same and scheduler in (sampler.scheduler, sampler.flow_scheduler):
                return name
    return scheduler
