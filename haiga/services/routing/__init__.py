"""Several models that may answer: the first that can, does."""

from haiga.services.routing.first import Answers, Ask, first_that_answers, routed_replies
from haiga.services.routing.router import Router

__all__ = ["Answers", "Ask", "Router", "first_that_answers", "routed_replies"]
