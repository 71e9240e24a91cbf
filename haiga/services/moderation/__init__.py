"""What may be said: texts judged by a classifier, by terms and by rules, and what policies make of it."""

from haiga.services.moderation.classifiers import Classifiers, NoImages
from haiga.services.moderation.judging import Judging
from haiga.services.moderation.moderator import Moderator
from haiga.services.moderation.policies import Policies
from haiga.services.moderation.rules import RuleJudge
from haiga.services.moderation.stage import ModerationStage

__all__ = ["Classifiers", "Judging", "ModerationStage", "Moderator", "NoImages", "Policies", "RuleJudge"]
