"""The models a user has added, and where they come from."""

from haiga.services.library.hub import Hub, Progress
from haiga.services.library.library import Forget, Library, Prepare, is_source, local_model

__all__ = ["Forget", "Hub", "Library", "Prepare", "Progress", "is_source", "local_model"]
