"""Several models that may answer: the first that can, does."""

from haiga.services.routing.first import Answers, first_that_answers, routed_replies
from haiga.services.routing.router import Router

__all__ = ["Answers", "Router", "first_that_answers", "routed_replies"]
