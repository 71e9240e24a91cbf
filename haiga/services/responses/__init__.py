"""Answers that are kept, made in the background, followed and continued; conversations that they are added to."""

from haiga.services.responses.conversations import Conversations
from haiga.services.responses.run import Run, Step, Transcript
from haiga.services.responses.service import Responses

__all__ = ["Conversations", "Responses", "Run", "Step", "Transcript"]
