"""`haiga batch run`: the command. What it does is in submitting.py."""

from pathlib import Path
from typing import Annotated

import typer

from haiga.cli.options import Url, settings_from

batch = typer.Typer(help="Run many requests at once, in the background.", no_args_is_help=True)


@batch.callback()
def _group() -> None:
    pass


@batch.command()
def run(
    context_: typer.Context,
    file: Annotated[Path, typer.Argument(help="Requests, one a line, as Anthropic's or OpenAI's batches have them.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the results go; by default beside the file, as NAME.results.jsonl.")
    ] = None,
    version: Annotated[str, typer.Option(help="The API version whose rules hold for Anthropic's.")] = "2023-06-01",
    dedupe: Annotated[
        str | None,
        typer.Option(
            help="Which identical requests are computed once; by default what the server is set to.",
            metavar="all|deterministic|off",
        ),
    ] = None,
    url: Url = None,
) -> None:
    """Run a file of requests on a running server; given again, it goes on where it was."""
    settings = settings_from(context_)
    headers = {"anthropic-version": version} | ({"haiga-dedupe": dedupe} if dedupe else {})
    headers |= {"x-api-key": settings.api_key} if settings.api_key else {}
    from haiga.cli.submitting import submit

    try:
        submit(settings.server, headers, file, out or file.with_suffix(".results.jsonl"))
    except KeyboardInterrupt:
        typer.echo("haiga: the server goes on with the batch; the same command comes back to it", err=True)
        raise typer.Exit(130) from None
