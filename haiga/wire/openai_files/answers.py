"""The shapes of answers, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel


class OpenAIFileAnswer(BaseModel):
    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"]
    status_details: None


class OpenAIFilesAnswer(BaseModel):
    object: Literal["list"]
    data: list[OpenAIFileAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OpenAIFileDeletedAnswer(BaseModel):
    id: str
    object: Literal["file"]
    deleted: Literal[True]


class UploadAnswer(BaseModel):
    """A file that arrives in parts."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: OpenAIFileAnswer | None


class UploadPartAnswer(BaseModel):
    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str
