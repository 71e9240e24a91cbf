"""Settings of what this program turns to: a running server, the hub of models.

Rule: rows of the table of settings, in its order.
"""

from collections.abc import Mapping

from haiga.config.parsing import parse_url
from haiga.config.setting import Setting

OUTWARD: Mapping[str, Setting] = {
    "url": Setting(
        "--url",
        parse_url,
        None,
        "HAIGA_URL",
        "A running server to talk to. Without one, `haiga chat` and `haiga run` load the model themselves.",
        metavar="URL",
    ),
    "api_key": Setting(None, str, None, "HAIGA_API_KEY", "The API key for that server.", metavar="KEY", secret=True),
    "hub": Setting(
        None,
        parse_url,
        "https://huggingface.co",
        "HF_ENDPOINT",
        "The hub that `haiga models add org/name` downloads from.",
        metavar="URL",
    ),
    "hub_token": Setting(
        None, str, None, "HF_TOKEN", "Token for restricted repositories of that hub.", metavar="TOKEN", secret=True
    ),
}
