"""Bodies of the routes that load and unload adapters, as vLLM has them."""

from pydantic import Field

from haiga.wire.body import read_object
from haiga.wire.openai_body import Shape, read_shape


class LoadAdapterBody(Shape):
    """The body of POST /v1/load_lora_adapter."""

    lora_name: str = Field(min_length=1, max_length=200)
    lora_path: str = Field(min_length=1, max_length=4096, description="A directory of the server's machine.")
    base_model_name: str | None = Field(None, description="By default the model that the adapter says itself.")
    load_inplace: bool = Field(False, description="Take the place of an adapter of this name.")


class UnloadAdapterBody(Shape):
    """The body of POST /v1/unload_lora_adapter."""

    lora_name: str


def read_load(body: bytes) -> LoadAdapterBody:
    """Raises Invalid."""
    return read_shape(LoadAdapterBody, read_object(body))


def read_unload(body: bytes) -> UnloadAdapterBody:
    """Raises Invalid."""
    return read_shape(UnloadAdapterBody, read_object(body))


def write_done(name: str, what: str) -> bytes:
    """What vLLM answers, as plain text."""
    return f"Success: LoRA adapter '{name}' {what} successfully.".encode()
