"""What the official openai SDK does with this server's files, for any SDK version: run as `python FILE URL`.

Rule: the standard library and openai alone, since the older SDK lives in an environment with nothing else. Every check
has a workspace of its own.
"""

import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import openai


def client(url: str, check: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=check, max_retries=0)


def raised(kind: type[openai.APIError], call: Callable[..., Any], *given: Any, **arguments: Any) -> Any:
    try:
        call(*given, **arguments)
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def check_a_file(api: openai.OpenAI) -> None:
    made = api.files.create(file=("a b.jsonl", b"hello"), purpose="batch")
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", 5, "a b.jsonl", "batch"), made
    assert made.status == "processed"
    assert made.expires_at == made.created_at + 30 * 24 * 3600
    assert made.id.startswith("file-")
    assert api.files.retrieve(made.id) == made
    assert api.files.content(made.id).read() == b"hello"
    assert [file.id for file in api.files.list()] == [made.id]
    deleted = api.files.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "file")
    error = raised(openai.NotFoundError, api.files.retrieve, made.id)
    assert error.body["message"] == f"No such File object: {made.id}"
    raised(openai.NotFoundError, api.files.content, made.id)
    raised(openai.NotFoundError, api.files.delete, made.id)


def check_a_file_is_processed_when_it_is_waited_for(api: openai.OpenAI) -> None:
    made = api.files.create(file=b"x", purpose="user_data")
    assert api.files.wait_for_processing(made.id, max_wait_seconds=5).id == made.id
    assert made.expires_at is None


def check_lists(api: openai.OpenAI) -> None:
    purposes: list[Any] = ["batch", "vision", "batch", "fine-tune", "batch"]
    made = [api.files.create(file=(f"{i}.x", b"x"), purpose=purpose) for i, purpose in enumerate(purposes)]
    ids = [file.id for file in made]
    assert [file.id for file in api.files.list()] == ids[::-1]
    assert [file.id for file in api.files.list(limit=2)] == ids[::-1]
    assert [file.id for file in api.files.list(limit=2, order="asc")] == ids
    assert [file.id for file in api.files.list(purpose="batch", order="asc", after=ids[0])] == [ids[2], ids[4]]
    page = api.files.list(limit=2)
    assert (page.has_more, len(page.data)) == (True, 2)
    raised(openai.NotFoundError, api.files.list, after="file-none")
    raised(openai.BadRequestError, api.files.list, limit=10_001)


def check_expiry(api: openai.OpenAI) -> None:
    def create(seconds: int) -> Any:
        after: Any = {"anchor": "created_at", "seconds": seconds}
        return api.files.create(file=b"x", purpose="user_data", extra_body={"expires_after": after})

    made = create(3600)
    assert made.expires_at == made.created_at + 3600, made
    for seconds in (3599, 2592001):
        assert raised(openai.BadRequestError, create, seconds).body["param"] == "expires_after[seconds]"


def check_purposes(api: openai.OpenAI) -> None:
    wrong: Any = "fun"
    error = raised(openai.BadRequestError, api.files.create, file=b"x", purpose=wrong)
    assert (error.body["param"], error.body["code"]) == ("purpose", "invalid_value"), error.body
    assert "'fun'" in error.body["message"]


def check_a_range(api: openai.OpenAI) -> None:
    id = api.files.create(file=b"0123456789", purpose="user_data").id
    for asked, told in (
        ("bytes=2-4", b"234"),
        ("bytes=-3", b"789"),
        ("bytes=7-", b"789"),
        ("bytes=20-", b"0123456789"),
    ):
        assert api.files.content(id, extra_headers={"range": asked}).read() == told, asked
    answer = api.files.content(id, extra_headers={"range": "bytes=2-4"}).response
    assert (answer.status_code, answer.headers["content-range"]) == (206, "bytes 2-4/10")
    assert answer.headers["content-disposition"].startswith("attachment")


def upload(api: openai.OpenAI, size: int, purpose: Any = "batch") -> Any:
    return api.uploads.create(bytes=size, filename="whole.jsonl", mime_type="application/jsonl", purpose=purpose)


def check_an_upload_in_parts(api: openai.OpenAI) -> None:
    begun = upload(api, 10)
    assert (begun.status, begun.bytes, begun.file) == ("pending", 10, None), begun
    assert begun.expires_at == begun.created_at + 3600
    parts = [api.uploads.parts.create(begun.id, data=data) for data in (b"world", b"hello")]
    assert {part.upload_id for part in parts} == {begun.id}
    order = [parts[1].id, parts[0].id]
    wrong = raised(openai.BadRequestError, api.uploads.complete, begun.id, part_ids=order, md5="0" * 32)
    assert wrong.body["param"] == "md5"
    raised(openai.BadRequestError, api.uploads.complete, begun.id, part_ids=order[:1])
    raised(openai.BadRequestError, api.uploads.complete, begun.id, part_ids=[*order, "part_none"])
    checksum = hashlib.md5(b"helloworld").hexdigest()
    done = api.uploads.complete(begun.id, part_ids=order, md5=checksum)
    assert (done.status, done.id) == ("completed", begun.id)
    assert done.file is not None and (done.file.bytes, done.file.filename) == (10, "whole.jsonl")
    assert api.files.content(done.file.id).read() == b"helloworld"
    raised(openai.BadRequestError, api.uploads.complete, begun.id, part_ids=order)
    raised(openai.BadRequestError, api.uploads.parts.create, begun.id, data=b"late")


def check_an_upload_that_is_cancelled(api: openai.OpenAI) -> None:
    begun = upload(api, 5)
    part = api.uploads.parts.create(begun.id, data=b"hello")
    assert api.uploads.cancel(begun.id).status == "cancelled"
    raised(openai.BadRequestError, api.uploads.complete, begun.id, part_ids=[part.id])
    raised(openai.BadRequestError, api.uploads.cancel, begun.id)
    raised(openai.NotFoundError, api.uploads.cancel, "upload_none")
    assert list(api.files.list()) == []


def check_a_file_cut_by_the_sdk(api: openai.OpenAI) -> None:
    data = bytes(range(256)) * 400
    done = api.uploads.upload_file_chunked(
        file=data, filename="big.bin", bytes=len(data), mime_type="text/plain", purpose="user_data", part_size=30_000
    )
    assert done.file is not None
    assert api.files.content(done.file.id).read() == data


def check_an_upload_that_is_too_large(api: openai.OpenAI) -> None:
    error = raised(openai.APIStatusError, upload, api, (8 << 30) + 1)
    assert error.status_code == 413


def check_a_batch_from_a_file_to_files(api: openai.OpenAI) -> None:
    def line(name: str, model: str) -> dict[str, Any]:
        body = {"model": model, "messages": [{"role": "user", "content": f"hello {name}"}]}
        return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}

    lines = [line("a", "fake"), line("b", "fake"), line("bad", "unknown")]
    data = "\n".join(map(json.dumps, lines)).encode()
    file = api.files.create(file=("in.jsonl", data), purpose="batch")
    made = api.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"name": "mine"},
    )
    assert made.status == "validating", made
    assert (made.input_file_id, made.metadata, made.expires_at) == (
        file.id,
        {"name": "mine"},
        made.created_at + 24 * 3600,
    )
    for _ in range(500):
        batch = api.batches.retrieve(made.id)
        if batch.status not in ("validating", "in_progress", "finalizing"):
            break
        time.sleep(0.02)
    assert batch.status == "completed", batch
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    assert batch.output_file_id and batch.error_file_id
    answers = [json.loads(line) for line in api.files.content(batch.output_file_id).text.splitlines()]
    said = {answer["custom_id"]: answer["response"]["body"]["choices"][0]["message"]["content"] for answer in answers}
    assert said == {"a": "hello a", "b": "hello b"}, said
    (failed,) = [json.loads(line) for line in api.files.content(batch.error_file_id).text.splitlines()]
    assert failed["custom_id"] == "bad" and failed["error"] is None
    assert failed["response"]["status_code"] == 404
    assert failed["response"]["body"]["error"]["code"] == "model_not_found"
    assert [each.id for each in api.batches.list()] == [made.id]
    assert api.files.retrieve(batch.output_file_id).purpose == "batch_output"


CHECKS = {name: check for name, check in list(globals().items()) if name.startswith("check_")}


def outcome(name: str, url: str) -> str:
    try:
        CHECKS[name](client(url, name))
    except Exception:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    failures = {name: outcome(name, sys.argv[1]) for name in CHECKS}
    print(json.dumps({"version": openai.__version__, "failures": failures}))
