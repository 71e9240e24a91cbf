"""The settings. Rule: only the command line reads this."""

from haiga.config.page import settings_page
from haiga.config.parsing import (
    one_of,
    parse_bytes,
    parse_count,
    parse_database,
    parse_directory,
    parse_list,
    parse_pairs,
    parse_port,
    parse_seconds,
    parse_switch,
    parse_url,
    parse_windows,
)
from haiga.config.reading import Said, read_settings
from haiga.config.setting import Setting
from haiga.config.table import TABLE, Settings

__all__ = [
    "TABLE",
    "Said",
    "Setting",
    "Settings",
    "one_of",
    "parse_bytes",
    "parse_count",
    "parse_database",
    "parse_directory",
    "parse_list",
    "parse_pairs",
    "parse_port",
    "parse_seconds",
    "parse_switch",
    "parse_url",
    "parse_windows",
    "read_settings",
    "settings_page",
]
