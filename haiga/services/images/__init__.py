"""Pictures: jobs in a queue, done one after another, kept for a time."""

from haiga.services.images.asking import Wish
from haiga.services.images.jobs import Jobs

__all__ = ["Jobs", "Wish"]
