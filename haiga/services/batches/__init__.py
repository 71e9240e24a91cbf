"""Batches over the one path to a model: nothing lost, nothing computed twice."""

from haiga.services.batches.clerk import Clerk
from haiga.services.batches.forms import Form
from haiga.services.batches.service import Batches
from haiga.services.batches.worker import Worker

__all__ = ["Batches", "Clerk", "Form", "Worker"]
