"""`haiga image`: the command. What it does is in drawing.py."""

from pathlib import Path
from typing import Annotated

import typer

from haiga.cli.options import Url, settings_from
from haiga.core.errors import Invalid


def image(
    context_: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What is to be seen.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The picture's file: .png, .jpg or .webp. Several are numbered.")
    ] = Path("picture.png"),
    model: Annotated[str | None, typer.Option(help="The model; by default the server's first.")] = None,
    negative: Annotated[str, typer.Option(help="What is not to be seen.")] = "",
    style: Annotated[list[str] | None, typer.Option(help="A style of the server's, by its name; repeatable.")] = None,
    size: Annotated[str | None, typer.Option(help="Width and height in pixels.", metavar="WxH")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same picture.", min=0)] = None,
    number: Annotated[int, typer.Option("--number", "-n", help="How many pictures.", min=1, max=64)] = 1,
    guidance: Annotated[float | None, typer.Option(help="How closely the prompt is followed.", min=0)] = None,
    sampler: Annotated[str | None, typer.Option(help="The sampler, by A1111's and SD.Next's names.")] = None,
    image_: Annotated[str | None, typer.Option("--image", help="A picture to begin from, its path or address.")] = None,
    mask: Annotated[str | None, typer.Option(help="Only where this picture is white is the other made anew.")] = None,
    strength: Annotated[float | None, typer.Option(help="How much of --image is changed.", min=0, max=1)] = None,
    url: Url = None,
) -> None:
    """Make a picture on a running server."""
    settings = settings_from(context_)
    if mask is not None and image_ is None:
        raise Invalid("a mask needs a picture that it is for: --image", field="--mask")
    from haiga.cli.drawing import Order, draw

    asked = {
        "prompt": prompt,
        "model": model,
        "negative_prompt": negative or None,
        "styles": style or None,
        "steps": steps,
        "seed": seed,
        "n": number,
        "guidance_scale": guidance,
        "sampler": sampler,
        "strength": strength,
    }
    order = Order({name: value for name, value in asked.items() if value is not None}, size, image_, mask, out)
    headers = {"x-api-key": settings.api_key} if settings.api_key else {}
    draw(settings.server, headers, order)
