"""The settings of moderation: rows of the table."""

from collections.abc import Mapping

from haiga.config.parsing import one_of, parse_directory, parse_seconds, parse_shares, parse_switch
from haiga.config.setting import Setting

MODERATION: Mapping[str, Setting] = {
    "moderation": Setting(
        "--moderation",
        str,
        None,
        "HAIGA_MODERATION",
        "The moderation policy that requests and answers are held to where a key has none of its own: `standard`,"
        " `watch`, or one of yours; by default none.",
        metavar="POLICY",
    ),
    "policies": Setting(
        "--policies",
        parse_directory,
        None,
        "HAIGA_POLICIES",
        "A TOML or JSON file of moderation policies.",
        metavar="FILE",
    ),
    "moderation_classifier": Setting(
        "--moderation-classifier",
        str,
        None,
        "HAIGA_MODERATION_CLASSIFIER",
        "The classifier that judges where a request names none: one that `haiga moderation train` has made; by default"
        " the embedded one.",
        metavar="NAME",
    ),
    "moderation_thresholds": Setting(
        "--moderation-threshold",
        parse_shares,
        "",
        "HAIGA_MODERATION_THRESHOLD",
        "From which score a category is flagged, instead of the classifier's own threshold, as in hate=0.4;"
        " repeatable.",
        metavar="CATEGORY=SCORE",
        many=True,
    ),
    "moderation_judge": Setting(
        "--moderation-judge",
        str,
        None,
        "HAIGA_MODERATION_JUDGE",
        "The chat model that judges by a policy's rules and rewrites texts; by default the first model.",
        metavar="MODEL",
    ),
    "moderation_failure": Setting(
        "--moderation-failure",
        one_of("closed", "open"),
        "closed",
        "HAIGA_MODERATION_FAILURE",
        "What happens to a text that cannot be judged: refused, or let pass and said so.",
        metavar="closed|open",
    ),
    "moderation_timeout": Setting(
        "--moderation-timeout",
        parse_seconds,
        "5s",
        "HAIGA_MODERATION_TIMEOUT",
        "How long a text may take to be judged; a long one has a second more for each 10,000 characters.",
        metavar="TIME",
    ),
    "moderation_texts": Setting(
        "--moderation-texts",
        parse_switch,
        "no",
        "HAIGA_MODERATION_TEXTS",
        "Log what was judged beside each decision of moderation, too: its first 10,000 characters.",
        switch="yes",
    ),
}
