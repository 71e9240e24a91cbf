"""Names and types that callers give their files."""

import mimetypes
import re

from haiga.core.errors import Invalid

LONGEST = 255  # characters
FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]')
TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
ANY = "application/octet-stream"


def file_name(given: str, mime_type: str) -> str:
    """The last part of a path. A file without a name is called for its type. Raises Invalid."""
    name = given.rpartition("/")[2].strip() or "unnamed" + (mimetypes.guess_extension(mime_type) or "")
    if len(name) > LONGEST:
        raise Invalid(f"filename must have 1 to {LONGEST} characters", field="file")
    if FORBIDDEN.search(name):
        raise Invalid(
            'filename contains forbidden characters: none of < > : " | ? * \\ / and no control characters', field="file"
        )
    return name


def file_type(given: str, filename: str) -> str:
    """The type as given, or what the name says; else that of any bytes."""
    if TYPE.fullmatch(given):
        return given.lower()
    return mimetypes.guess_type(filename)[0] or ANY
