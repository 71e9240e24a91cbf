"""`haiga moderation`: texts judged, classifiers trained on, policies shown and changed."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from haiga.cli.acting import operator
from haiga.cli.options import Database, DataDir, ModerationClassifier, PoliciesFile, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings
from haiga.core.errors import Invalid

if TYPE_CHECKING:
    from haiga.engines.classifier import LocalClassifier
    from haiga.services.moderation import Policies

moderation = typer.Typer(help="What may be said.", no_args_is_help=True, rich_markup_mode=None)
policies = typer.Typer(help="Moderation policies.", no_args_is_help=True, rich_markup_mode=None)
moderation.add_typer(policies, name="policies")
T = TypeVar("T")
CALLED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's name.")]


@moderation.command()
def check(
    context: typer.Context,
    text: Annotated[str, typer.Argument(help="The text; '-' reads it from standard input.")],
    policy: Annotated[
        str | None, typer.Option("--policy", help="Say what this policy makes of it.", metavar="POLICY")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the words that carry each decision.")] = False,
    moderation_classifier: ModerationClassifier = None,
    policies: PoliciesFile = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Judge a text. The exit code is 3 if anything flags it."""
    from haiga.cli.checking import checked

    said = typer.get_text_stream("stdin").read() if text == "-" else text
    flagged, rows = asyncio.run(checked(settings_from(context), said, policy, explain))
    show_table(("what", "score", "threshold", "action", "words"), rows)
    raise typer.Exit(3 if flagged else 0)


@moderation.command()
def train(
    context: typer.Context,
    labels: Annotated[Path, typer.Argument(help='JSON lines: {"text": "…", "labels": ["hate", …]}.')],
    name: Annotated[str, typer.Option("--name", help="What the new classifier is called.", metavar="NAME")],
    moderation_classifier: ModerationClassifier = None,
    data_dir: DataDir = None,
) -> None:
    """Train a classifier on with labels of your own, and install it under a name."""
    from haiga.cli.labels import read_labels, shown
    from haiga.cli.labels import train as trained
    from haiga.cli.moderating import EMBEDDED, FOLDER

    settings = settings_from(context)
    if not CALLED.fullmatch(name) or name == EMBEDDED:
        raise Invalid("letters, digits and . _ - only, and not the name of the embedded one", field="--name")
    read, classifier = read_labels(labels), _classifier(settings)
    target = settings.data_dir / FOLDER / name
    if target.resolve() == classifier.directory.resolve():
        raise Invalid(f"{name} is what is trained on: choose another name", field="--name")
    measured = asyncio.run(trained(classifier, read, target))
    kept = len(read.part(True).texts)
    typer.echo(f"{len(read.texts) - kept} texts trained on, {kept} held back; F1 on these:", err=True)
    show_table(("category", "cases", "texts", "before", "after"), shown(measured))
    typer.echo(f"installed as {name}: haiga serve --moderation-classifier {name}", err=True)


@policies.command("list")
def list_policies(
    context: typer.Context, policies: PoliciesFile = None, data_dir: DataDir = None, database: Database = None
) -> None:
    """Show every policy as it is now."""

    async def rows(found: "Policies") -> list[tuple[str, ...]]:
        return [
            (
                each.policy.name,
                each.policy.version,
                "fixed" if each.fixed else "api",
                ",".join(each.policy.sides) or "-",
            )
            for each in await found.all()
        ]

    show_table(("policy", "version", "source", "sides"), _with_policies(settings_from(context), rows))


@policies.command("show")
def show_policy(
    context: typer.Context,
    policy: PolicyName,
    version: Annotated[str | None, typer.Option(help="A version that it had.", metavar="VERSION")] = None,
    policies: PoliciesFile = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Show a policy as JSON."""
    from haiga.wire.moderation_policies import fields_of

    async def found(kept: "Policies") -> Any:
        return (await kept.get(policy, version)).policy

    read = _with_policies(settings_from(context), found)
    typer.echo(json.dumps({"name": read.name, "version": read.version, **fields_of(read)}, indent=2))


@policies.command("put")
def put_policy(
    context: typer.Context,
    policy: PolicyName,
    file: Annotated[Path, typer.Argument(help="A JSON file of the policy's fields.")],
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Make a policy, or the next version of one; running servers follow within seconds."""
    from haiga.wire.moderation_policies import read_policy

    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise Invalid(f"{file}: {problem}") from None
    if not isinstance(value, dict):
        raise Invalid(f"{file}: expected an object")

    async def put(kept: "Policies") -> str:
        fields = {name: field for name, field in value.items() if name not in ("name", "version")}
        return (await kept.put(read_policy(policy, fields), operator())).policy.label

    typer.echo(_with_policies(settings_from(context), put), err=True)


@policies.command("remove")
def remove_policy(
    context: typer.Context, policy: PolicyName, data_dir: DataDir = None, database: Database = None
) -> None:
    """Have no policy of this name any more; its versions can still be shown."""
    _with_policies(settings_from(context), lambda kept: kept.remove(policy, operator()))
    typer.echo(f"removed {policy}", err=True)


def _classifier(settings: Settings) -> "LocalClassifier":
    from haiga.cli.moderating import found_classifiers

    found = found_classifiers(settings)
    if not found:
        raise Invalid("no classifier is installed to begin with")
    return found[0]


def _with_policies(settings: Settings, work: "Callable[[Policies], Awaitable[T]]") -> T:
    from haiga.cli.moderating import read_policies
    from haiga.services.moderation import Policies
    from haiga.stores.connect import connect
    from haiga.stores.policies import DatabasePolicies

    async def run() -> T:
        async with connect(settings.records) as database:
            return await work(Policies(read_policies(settings.policies), DatabasePolicies(database)))

    return asyncio.run(run())
