"""Files and uploads: bytes in blobs, what is known of them in the store."""

from haiga.services.files.service import Files, Incoming
from haiga.services.files.sources import FileSources
from haiga.services.files.uploads import Uploads

__all__ = ["FileSources", "Files", "Incoming", "Uploads"]
