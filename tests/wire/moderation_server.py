"""A server that moderates: a fake engine, a fake classifier, real policies in a real database."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anthropic
import openai
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.core.access import Caller
from haiga.core.policies import Decision, Policy, Side
from haiga.core.ports import Engine, TextClassifier
from haiga.core.records import Price, Record
from haiga.engines.fake_classifier import FakeClassifier
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.moderation import Classifiers, Judging, ModerationStage, Moderator, NoImages, Policies, RuleJudge
from haiga.services.moderation.audit import Audit
from haiga.services.moderation.explaining import Explaining
from haiga.services.responses import Responses
from haiga.services.usage import Recorder
from haiga.stores.connect import connect
from haiga.stores.policies import DatabasePolicies
from haiga.stores.responses import DatabaseResponses
from haiga.web.app import Services, WebSettings
from haiga.wire.moderation_policies import read_policy
from tests.wire.openai_server import serving

WORDS = {"vile": "hate", "gory": "violence", "shady": "illicit"}
POLICIES: Mapping[str, Any] = {
    "strict": {"categories": {"*": "block"}},
    "masking": {"categories": {"hate": "mask"}, "terms": [{"name": "zeus", "text": "project zeus", "action": "mask"}]},
    "terms": {
        "terms": [
            {"name": "codename", "text": "project zeus"},
            {"name": "card", "pattern": r"\b(\d{4} ){3}\d{4}\b"},
        ]
    },
    "output": {"categories": {"*": "block"}, "sides": ["output"]},
    "input": {"categories": {"*": "block"}, "sides": ["input"]},
    "watchful": {"categories": {"*": "flag"}, "images": "flag"},
    "blind": {"categories": {"*": "block"}, "images": "block"},
    "open": {"categories": {"*": "block"}, "failure": "open", "timeout": 0.05},
    "closed": {"categories": {"*": "block"}, "failure": "closed", "timeout": 0.05},
    "lenient": {"categories": {"hate": {"action": "flag", "threshold": 0.95}}},
}


@dataclass
class Keys:
    """Anybody, under the policy that the credential names: `key:POLICY`, or none."""

    async def authenticate(self, credential: str | None) -> Caller:
        name = (credential or "").partition(":")[2]
        return Caller(key=credential, admin=credential == "admin", policy=name or None)


@dataclass
class Moderated:
    """A server that runs, what it recorded, and official clients."""

    url: str
    classifier: FakeClassifier
    records: list[Record] = field(default_factory=list)
    decisions: list[tuple[Side, Decision]] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)

    def chat(self, policy: str = "", path: str = "/v1") -> openai.OpenAI:
        client = openai.OpenAI(base_url=f"{self.url}{path}", api_key=f"key:{policy}" if policy else "k", max_retries=0)
        self.clients.append(client)
        return client

    def admin(self) -> openai.OpenAI:
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key="admin", max_retries=0)
        self.clients.append(client)
        return client

    def claude(self, policy: str = "") -> anthropic.Anthropic:
        client = anthropic.Anthropic(base_url=self.url, api_key=f"key:{policy}" if policy else "k", max_retries=0)
        self.clients.append(client)
        return client


@contextmanager
def moderating(
    directory: Path,
    engines: Sequence[Engine],
    classifier: TextClassifier | None = None,
    default: str | None = None,
    policies: Mapping[str, Any] = POLICIES,
) -> Iterator[Moderated]:
    """The server while the block runs."""
    file = directory / "moderated.db"

    async def made() -> None:
        async with connect(file):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool)
    fake = FakeClassifier(WORDS)
    served = Moderated("", fake)
    models = Models({engine.card.name: engine for engine in engines})
    recorder = Recorder(served.records.append, lambda caller, name: (name, Price()))
    classifiers = Classifiers([classifier or fake])
    fixed = {name: read_policy(name, value) for name, value in policies.items()}
    kept = Policies(fixed, DatabasePolicies(database), default)
    rules = RuleJudge(Inference(models, b"key", [recorder]))
    moderator = Moderator(classifiers, rules)
    audit = Audit(lambda side, decision, seconds: served.decisions.append((side, decision)))
    stage = ModerationStage(kept, moderator, NoImages(), audit)
    judging = Judging(classifiers, NoImages(), kept, moderator, Explaining(classifiers, moderator, rules), [recorder])
    inference = Inference(models, b"key", [recorder, stage], judging=judging)
    services = Services(
        Keys(),
        inference,
        WebSettings(open=False),
        policies=kept,
        responses=Responses(inference, DatabaseResponses(database)),
    )
    with serving(services) as url:
        served.url = url
        try:
            yield served
        finally:
            for client in served.clients:
                client.close()


def policy(name: str, value: Mapping[str, Any]) -> Policy:
    return replace(read_policy(name, value), version="1")
