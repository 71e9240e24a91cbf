"""What every shape of a request has in common: unknown fields are kept, and no value is made to fit."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)
