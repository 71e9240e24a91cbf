"""Batches over the one path to a model: nothing lost, nothing computed twice."""

from haiga.services.batches.service import Batches
from haiga.services.batches.worker import Form, Worker

__all__ = ["Batches", "Form", "Worker"]
