"""Pictures: jobs in a queue, done one after another, kept for a time."""

from haiga.services.images.asking import Wish, error_of, pictures_of
from haiga.services.images.jobs import Jobs
from haiga.services.images.tally import Tally

__all__ = ["Jobs", "Tally", "Wish", "error_of", "pictures_of"]
