"""Pictures and documents on their way to a model: fetched, decoded, judged, and put where the model reads them.

Rule: behind this stage there are texts and decoded pictures, and nothing else; whatever is wrong with what a caller
sent is said before the model is asked, with its place.
"""

from haiga.services.intake.limits import IntakeLimits
from haiga.services.intake.stage import Intake

__all__ = ["Intake", "IntakeLimits"]
