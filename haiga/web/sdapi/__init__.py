"""The routes of A1111's web interface, `/sdapi/v1`, for the clients that speak it."""

from haiga.web.sdapi.extras import REFUSED, Extras
from haiga.web.sdapi.listing import EMPTY, LISTS, UNCHANGED, Listing
from haiga.web.sdapi.painting import Painting
from haiga.web.sdapi.preferences import Preferences
from haiga.web.sdapi.tasks import Tasks

__all__ = [
    "EMPTY",
    "LISTS",
    "REFUSED",
    "UNCHANGED",
    "Extras",
    "Listing",
    "Painting",
    "Preferences",
    "Tasks",
]
