"""What a prompt says, as CLIP's text encoders tell it to a denoiser: weights, chunks, several prompts, step by step.

Rule: a prompt without syntax that fits into one chunk gives the very embeddings that the pipeline itself would make.

A text is cut into chunks of 75 tokens, as A1111 does, each with its own begin and end token; the encoder's output of
each token is multiplied by its weight, then all are scaled so that the mean is what it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from haiga.engines.diffusers.embeddings import Token, Words, placed
from haiga.text.image_prompts import Part, Prompt, Span, Weighted

CHUNK = 75  # tokens between the begin and end token


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text: `states` [1, tokens, width], and `pooled` [1, width] where the model wants it."""

    states: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What holds until a step: each part's text with its weight, all of one length."""

    until: int
    parts: tuple[tuple[Encoded, float], ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A tokenizer and its CLIP model; `penultimate` for SDXL's, which are read one layer before the last."""

    tokenizer: Any
    model: Any
    penultimate: bool

    def __call__(self, chunks: Sequence[Sequence[Weighted]], skip: int, words: Words) -> Encoded:
        """The chunks of a text, one behind the other."""
        windows = [window for chunk in chunks for window in self._windows(chunk, words)]
        weights = torch.tensor([[weight for _, weight in window] for window in windows])
        with torch.no_grad(), placed(self.model, [[token for token, _ in window] for window in windows]) as tokens:
            out = self.model(tokens, output_hidden_states=True)
        states = self._states(out, skip)
        if bool((weights != 1).any()):
            weights = weights.to(states).unsqueeze(-1)
            states = states * weights * (states.mean() / (states * weights).mean())
        pooled = out[0][:1] if self.penultimate and out[0].ndim == 2 else None
        return Encoded(states.reshape(1, -1, states.shape[-1]), pooled)

    def _states(self, out: Any, skip: int) -> torch.Tensor:
        """[windows, tokens, width]"""
        if self.penultimate:
            states = out.hidden_states[-(skip + 2)]
        elif skip:
            states = _final_norm(self.model)(out.hidden_states[-(skip + 1)])
        else:
            states = out[0]
        return cast(torch.Tensor, states)

    def _windows(self, chunk: Sequence[Weighted], words: Words) -> Iterator[list[tuple[Token, float]]]:
        """A chunk's tokens with their weights, cut to the encoder's context and filled up to it."""
        pairs = [(token, piece.weight) for piece in chunk for token in words.tokens(piece.text, self.tokenizer)]
        begin, end, pad = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        for at in range(0, max(1, len(pairs)), CHUNK):
            some = pairs[at : at + CHUNK]
            filled: list[tuple[Token, float]] = [(begin, 1.0), *some, (end, 1.0)]
            yield filled + [(pad, 1.0)] * (CHUNK + 2 - len(filled))


class Conditioner:
    """The text encoders of a pipeline that has CLIP's alone. `zeros`: its model learnt that no negative prompt is
    zeros, not the encoding of an empty text."""

    def __init__(self, encoders: Sequence[Encoder], zeros: bool) -> None:
        self._encoders = encoders
        self._zeros = zeros

    @classmethod
    def of(cls, pipeline: Any) -> "Conditioner | None":
        """That of a Stable Diffusion 1, 2 or XL pipeline; None for others, which read a prompt as plain text."""
        if not hasattr(pipeline, "unet") or getattr(pipeline, "text_encoder_3", None) is not None:
            return None
        second = getattr(pipeline, "text_encoder_2", None)
        pairs = [(pipeline.tokenizer, pipeline.text_encoder)] if pipeline.text_encoder is not None else []
        pairs += [(pipeline.tokenizer_2, second)] if second is not None else []
        if not pairs or any(type(model).__name__[:4] != "CLIP" for _, model in pairs):
            return None
        zeros = bool(pipeline.config.get("force_zeros_for_empty_prompt"))
        return cls([Encoder(tokenizer, model, second is not None) for tokenizer, model in pairs], zeros)

    @property
    def models(self) -> list[Any]:
        """The text encoders."""
        return [encoder.model for encoder in self._encoders]

    def tell(
        self, prompt: Prompt, negative: Prompt, skip: int, words: Sequence[Words] = ()
    ) -> tuple[list[Told], Encoded]:
        """What the prompt says step by step, and the negative one, which says the same throughout: its first part at
        the first step. words: what some stand for, for each encoder."""
        words = words or [Words()] * len(self._encoders)
        ends = sorted({span.until for part in prompt.parts for span in part.spans})
        told = [[(self._encode(_at(part, end), skip, words), part.weight) for part in prompt.parts] for end in ends]
        against = self._against(negative.parts[0].spans[0], skip, words)
        longest = max(each.states.shape[1] for each in [against, *(one for parts in told for one, _ in parts)])
        empty = self._encode(Span(0, ((Weighted(""),),)), skip, words)
        spans = [
            Told(end, tuple((_filled(one, longest, empty), weight) for one, weight in parts))
            for end, parts in zip(ends, told, strict=True)
        ]
        return spans, _filled(against, longest, empty)

    def _against(self, span: Span, skip: int, words: Sequence[Words]) -> Encoded:
        encoded = self._encode(span, skip, words)
        if not self._zeros or any(piece.text for chunk in span.chunks for piece in chunk):
            return encoded
        pooled = None if encoded.pooled is None else torch.zeros_like(encoded.pooled)
        return Encoded(torch.zeros_like(encoded.states), pooled)

    def _encode(self, span: Span, skip: int, words: Sequence[Words]) -> Encoded:
        encoded = [encoder(span.chunks, skip, own) for encoder, own in zip(self._encoders, words, strict=True)]
        states = torch.cat([each.states for each in encoded], dim=-1)
        return Encoded(states, encoded[-1].pooled)


def _final_norm(model: Any) -> Any:
    return getattr(model, "text_model", model).final_layer_norm


def _at(part: Part, step: int) -> Span:
    return next(span for span in part.spans if span.until >= step)


def _filled(encoded: Encoded, length: int, empty: Encoded) -> Encoded:
    """As long as the longest, by empty chunks."""
    missing = (length - encoded.states.shape[1]) // empty.states.shape[1]
    return Encoded(torch.cat([encoded.states, *[empty.states] * missing], dim=1), encoded.pooled)
