"""The shapes of answers, for the OpenAPI document."""

from typing import Literal

from pydantic import BaseModel


class BatchProblemAnswer(BaseModel):
    code: str
    message: str
    line: int | None
    param: str | None


class BatchProblemsAnswer(BaseModel):
    object: Literal["list"]
    data: list[BatchProblemAnswer]


class RequestCountsAnswer(BaseModel):
    total: int
    completed: int
    failed: int


class CachedAnswer(BaseModel):
    cached_tokens: int


class ReasonedAnswer(BaseModel):
    reasoning_tokens: int


class BatchUsageAnswer(BaseModel):
    input_tokens: int
    input_tokens_details: CachedAnswer
    output_tokens: int
    output_tokens_details: ReasonedAnswer
    total_tokens: int


class OpenAIBatchAnswer(BaseModel):
    id: str
    object: Literal["batch"]
    endpoint: str
    model: str | None
    errors: BatchProblemsAnswer | None
    input_file_id: str
    completion_window: Literal["24h"]
    status: Literal[
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
    ]
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCountsAnswer
    usage: BatchUsageAnswer
    metadata: dict[str, str] | None


class OpenAIBatchesAnswer(BaseModel):
    object: Literal["list"]
    data: list[OpenAIBatchAnswer]
    first_id: str | None
    last_id: str | None
    has_more: bool
