"""What every shape of a request has in common: unknown fields are kept, and no value is made to fit."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)


class CacheControl(Shape):
    """Marks the prompt up to this block to be cached."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
