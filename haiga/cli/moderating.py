"""Composition: who judges what may be said, and what is done about it."""

import asyncio
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.cli.metering import Metering
from haiga.config import Settings
from haiga.core.errors import Invalid
from haiga.core.moderation import CATEGORIES
from haiga.core.policies import BUILT_IN, Failure, Policy
from haiga.engines.classifier import LocalClassifier
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.moderation import Classifiers, Judging, ModerationStage, Moderator, NoImages, Policies, RuleJudge
from haiga.services.moderation.audit import Audit
from haiga.services.moderation.explaining import Explaining
from haiga.services.moderation.terms import check_terms
from haiga.starter import moderation_path
from haiga.stores.policies import DatabasePolicies
from haiga.wire.moderation_policies import read_policy

EMBEDDED = "haiga-moderation"
FOLDER = "classifiers"  # of the data directory


class Warm:
    """The classifier loaded with the server, so that its first text is not late, and closed with it."""

    def __init__(self, classifiers: Classifiers, wanted: bool) -> None:
        self._classifiers = classifiers
        self._wanted = wanted and bool(classifiers.names)
        self._task: asyncio.Task[object] | None = None

    def start(self) -> None:
        if self._wanted:
            self._task = asyncio.create_task(self._classifiers.find().judge(["."]), name="classifier")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._classifiers.close()


@dataclass(frozen=True, slots=True)
class Moderating:
    """The parts: what stands in the path of every request, who is asked for judgements alone, and what starts and ends
    with the server."""

    policies: Policies
    stage: ModerationStage
    judging: Judging
    warm: Warm


def moderating(
    settings: Settings, database: AsyncEngine, models: Models, metered: Metering, asking: Inference
) -> Moderating:
    """The parts for these settings; `asking` is the way to chat models in which no moderation stands. Raises Invalid
    for a file that is wrong, and for a policy or a classifier that is named and not there."""
    classifiers = Classifiers(found_classifiers(settings), _thresholds(settings))
    fixed = read_policies(settings.policies)
    policies = Policies(fixed, DatabasePolicies(database), settings.moderation)
    _check_judged(settings, {**BUILT_IN, **fixed}, classifiers)
    rules = RuleJudge(asking, settings.moderation_judge or "")
    failure = cast(Failure, settings.moderation_failure)
    moderator = Moderator(classifiers, rules, failure=failure, timeout=settings.moderation_timeout)
    audit = Audit(metered.metrics.add_decision, texts=settings.moderation_texts)
    stage = ModerationStage(policies, moderator, NoImages(), audit)
    explaining = Explaining(classifiers, moderator, rules)
    judging = Judging(classifiers, NoImages(), policies, moderator, explaining, metered.stages)
    warm = Warm(classifiers, bool(settings.moderation or settings.policies))
    return Moderating(policies, stage, judging, warm)


def found_classifiers(settings: Settings) -> list[LocalClassifier]:
    """Those that are installed, the one that judges where nobody names another first. Raises Invalid."""
    found = {EMBEDDED: moderation_path()} if (moderation_path() / "config.json").exists() else {}
    trained = settings.data_dir / FOLDER
    found |= {path.parent.name: path.parent for path in sorted(trained.glob("*/config.json"))}
    wanted = settings.moderation_classifier
    if wanted is not None and wanted not in found:
        names = ", ".join(found) or "none"
        raise Invalid(f"there is no classifier {wanted} (there are: {names})", field="--moderation-classifier")
    first = sorted(found, key=lambda name: name != wanted)
    return [LocalClassifier(found[name], name=name) for name in first]


def read_policies(path: Path | None) -> dict[str, Policy]:
    """The policies of a TOML or JSON file; none without one. Raises Invalid naming the place of what is wrong."""
    if path is None:
        return {}
    told = _parsed(path)
    if unknown := set(told) - {"policies"}:
        raise Invalid(f"there is only the table [policies], not {min(unknown)}", field=str(path))
    policies = {}
    for name, value in told.get("policies", {}).items():
        try:
            policies[name] = read_policy(name, value)
            check_terms(policies[name])
        except Invalid as error:
            raise Invalid(error.message, field=f"{path}: policies.{name}.{error.field}") from None
    return policies


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        told = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}", field="--policies") from None
    except ValueError as error:
        raise Invalid(f"{path}: {error}", field="--policies") from None
    if not isinstance(told, dict) or not all(isinstance(each, dict) for each in told.get("policies", {}).values()):
        raise Invalid(f"{path}: expected [policies.NAME] tables", field="--policies")
    return told


def _check_judged(settings: Settings, fixed: Mapping[str, Policy], classifiers: Classifiers) -> None:
    """Raise Invalid where the server's policy can never be applied."""
    policy = fixed.get(settings.moderation or "")
    if policy and policy.categories and policy.sides and not classifiers.names:
        raise Invalid("no classifier is installed to judge by this policy's categories", field="--moderation")


def _thresholds(settings: Settings) -> dict[str, float]:
    thresholds = dict(settings.moderation_thresholds)
    if unknown := set(thresholds) - set(CATEGORIES):
        raise Invalid(
            f"there is no category {min(unknown)}; there are {', '.join(CATEGORIES)}", field="--moderation-threshold"
        )
    return thresholds
