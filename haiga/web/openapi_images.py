"""The OpenAPI document of what makes pictures; see openapi.py."""

from typing import Any

from pydantic import BaseModel

from haiga.web.openapi import body, form, operation
from haiga.wire.image_jobs import JobAnswer, JobBody, JobDeletedAnswer, JobsAnswer
from haiga.wire.openai_images import ImageEditForm, ImageGenerationBody, ImagesAnswer, ImageVariationForm
from haiga.wire.openai_models import OpenAIErrorAnswer

BODIES = (ImageGenerationBody, ImageEditForm, ImageVariationForm, JobBody)
ERROR = OpenAIErrorAnswer
GENERATE = operation(ImagesAnswer, {"requestBody": body(ImageGenerationBody)}, error=ERROR, streams=True)
FILE = {"type": "string", "format": "binary"}


def _with_files(shape: type[BaseModel], *names: str) -> dict[str, Any]:
    """A form of a shape's fields and some files, of which the first must be there."""
    described = form(shape)
    content = described["content"]["multipart/form-data"]
    files = {"type": "object", "required": [names[0]], "properties": dict.fromkeys(names, FILE)}
    content["schema"] = {"allOf": [content["schema"], files]}
    return described


EDIT = operation(ImagesAnswer, {"requestBody": _with_files(ImageEditForm, "image", "mask")}, error=ERROR, streams=True)
VARY = operation(ImagesAnswer, {"requestBody": _with_files(ImageVariationForm, "image")}, error=ERROR)
CREATE_JOB = operation(JobAnswer, {"requestBody": body(JobBody)}, error=ERROR)
CREATE_JOB["responses"][202] = CREATE_JOB["responses"].pop(200)
LIST_JOBS = operation(JobsAnswer, {}, error=ERROR)
GET_JOB = operation(JobAnswer, {}, error=ERROR)
DELETE_JOB = operation(JobDeletedAnswer, {}, error=ERROR)
JOB_EVENTS = operation(None, {}, error=ERROR, streams=True)
JOB_PICTURE = operation(None, {}, error=ERROR)
JOB_PICTURE["responses"][200]["content"] = {"image/*": {"schema": FILE}}
