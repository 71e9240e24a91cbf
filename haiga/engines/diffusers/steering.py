"""How a prompt reaches a pipeline: as text where it is plain text, as embeddings that change with the steps otherwise.

Rule: a plain prompt is the pipeline's own affair; syntax that a model's encoders cannot follow is refused, never
dropped.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from haiga.core.errors import Invalid
from haiga.engines.diffusers.conditioning import Conditioner, Encoded, Told
from haiga.engines.diffusers.embeddings import Words
from haiga.text.image_prompts import Prompt


@dataclass(frozen=True, slots=True)
class Steering:
    """`told` and `against` as embeddings, or both empty and the texts as they are."""

    text: str
    negative: str
    told: Sequence[Told] = ()
    against: Encoded | None = None

    @classmethod
    def of(
        cls,
        pipeline: Any,
        conditioner: Conditioner | None,
        prompt: Prompt,
        negative: Prompt,
        skip: int,
        words: Sequence[Words] = (),
    ) -> "Steering":
        """Raises Invalid when the pipeline cannot follow the prompt. words: what some stand for."""
        if conditioner is not None:
            return cls(prompt.text, negative.text, *conditioner.tell(prompt, negative, skip, words))
        if skip or not (prompt.plain and negative.plain):
            name = type(pipeline).__name__.removesuffix("Pipeline")
            raise Invalid(
                f"{name} reads a prompt as plain text: no weights, steps, AND, BREAK or clip skip", field="prompt"
            )
        return cls(prompt.text, negative.text)

    def options(self, known: Container[str]) -> Mapping[str, Any]:
        """What the pipeline is called with."""
        if self.against is None:
            options: dict[str, Any] = {"prompt": self.text, "negative_prompt": self.negative}
            return {name: value for name, value in options.items() if name in known and (value or name == "prompt")}
        first = self.told[0].parts[0][0]
        options = {"prompt_embeds": first.states, "negative_prompt_embeds": self.against.states}
        if first.pooled is not None:
            options |= {"pooled_prompt_embeds": first.pooled, "negative_pooled_prompt_embeds": self.against.pooled}
        return options

    @contextmanager
    def steering(self, pipeline: Any, step: Callable[[], int], pictures: int = 1) -> Iterator[None]:
        """While this lasts, the pipeline's denoiser is told what holds at each step; `step` gives it, from 1. pictures:
        in one batch."""
        if self.against is None or (len(self.told) == 1 and len(self.told[0].parts) == 1):
            yield
            return
        denoiser = pipeline.unet
        forward, swapped = denoiser.forward, "forward" in vars(denoiser)

        def steered(sample: torch.Tensor, timestep: Any, encoder_hidden_states: torch.Tensor, **options: Any) -> Any:
            parts = self._at(step()).parts
            said = [_saying(one, encoder_hidden_states, options, pictures) for one, _ in parts]
            made = [forward(sample, timestep, states, **told) for states, told in said]
            guided = encoder_hidden_states.shape[0] == 2 * pictures
            return (_mixed([each[0] for each in made], [weight for _, weight in parts], pictures if guided else 0),)

        denoiser.forward = steered
        try:
            yield
        finally:
            del denoiser.forward
            if swapped:
                denoiser.forward = forward

    def _at(self, step: int) -> Told:
        return next((told for told in self.told if told.until >= step), self.told[-1])


def _saying(
    one: Encoded, states: torch.Tensor, options: Mapping[str, Any], pictures: int
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The denoiser's arguments with this prompt in the place of the one that they have: the last of the batch, behind
    the negative one where there is guidance."""
    told = dict(options)
    added = told.get("added_cond_kwargs") or {}
    if one.pooled is not None and "text_embeds" in added:
        embeds = torch.cat([added["text_embeds"][:-pictures], one.pooled.repeat(pictures, 1)])
        told["added_cond_kwargs"] = {**added, "text_embeds": embeds}
    return torch.cat([states[:-pictures], one.states.repeat(pictures, 1, 1)]), told


def _mixed(predicted: Sequence[torch.Tensor], weights: Sequence[float], guided: int) -> torch.Tensor:
    """Predictions for several prompts as one: beside the negative one's, what each differs from it, by weight; with no
    guidance their mean, by weight (Liu et al. 2022, https://arxiv.org/abs/2206.01714, equation 11). guided: how many
    come first that are for the negative one."""
    against = predicted[0][:guided]
    if guided:
        told = [w * (each[guided:] - against) for w, each in zip(weights, predicted, strict=True)]
        return torch.cat([against, against + torch.stack(told).sum(0)])
    told = [w * each for w, each in zip(weights, predicted, strict=True)]
    return torch.stack(told).sum(0) / sum(weights)
