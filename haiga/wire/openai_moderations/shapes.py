"""The shapes of the Moderations API: what is asked, and what is answered.

Rule: fields of this server's own begin with `haiga_` in answers.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from haiga.wire.openai_body import Shape

MAX_INPUTS = 2048
DEFAULT_MODEL = "omni-moderation-latest"


class TextPart(Shape):
    type: Literal["text"]
    text: str


class ImageUrl(Shape):
    url: str


class ImagePart(Shape):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ModerationBody(Shape):
    """The body of POST /v1/moderations. A list of texts has a result for each of them; a list of parts, texts and
    images, has one result."""

    input: Annotated[Any, BeforeValidator(_as_list, json_schema_input_type=str | list[str] | list[Part])]
    model: str | None = None
    explain: bool = Field(False, description="Say why: a level of risk, and the spans that carry it.")
    rewrite: bool | str = Field(
        False, description="Suggest a text without harm, by this model (true: by the server's choice)."
    )
    user: str | None = None


class ExplainBody(ModerationBody):
    """The body of POST /v1/moderations/explain."""

    explain: bool = True


class SpanAnswer(BaseModel):
    """A part of a text, [start, end) in characters; `weight` is what leaving it out takes from the category's score.
    `input` is the number of the text among the result's own."""

    category: str
    input: int
    start: int
    end: int
    text: str
    weight: float


class RewriteAnswer(BaseModel):
    """A text that was judged itself; null where none was harmless, and `problem` then says so."""

    model: str
    text: str | None
    category_scores: dict[str, float]
    problem: str | None


class ExplanationAnswer(BaseModel):
    risk: Literal["none", "low", "medium", "high"]
    category: str
    spans: list[SpanAnswer]
    rewrite: RewriteAnswer | None = None


class UnjudgedAnswer(BaseModel):
    """An image that nobody here can judge."""

    type: Literal["image_url"]
    index: int
    reason: str


class ModerationResult(BaseModel):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text", "image"]]]
    haiga_policy_hits: list[str] | None = None
    haiga_unjudged: list[UnjudgedAnswer] | None = None
    haiga_explanation: ExplanationAnswer | None = None


class ModerationAnswer(BaseModel):
    id: str
    model: str
    results: list[ModerationResult]
    haiga_policies: list[str] | None = None
