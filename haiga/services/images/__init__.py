"""Pictures: jobs in a queue, done one after another, kept for a time."""

from haiga.services.images.asking import Wish, error_of, pictures_of
from haiga.services.images.jobs import Jobs

__all__ = ["Jobs", "Wish", "error_of", "pictures_of"]
