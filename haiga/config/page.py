"""docs/settings.md."""

from haiga.config.setting import Setting
from haiga.config.table import TABLE


def settings_page() -> str:
    """docs/settings.md."""
    return _HEAD + "\n".join(_section(name, setting) for name, setting in TABLE.items())


def _section(name: str, setting: Setting) -> str:
    flag = f"`{setting.flag} {setting.metavar}".rstrip() + "`, or the variable" if setting.flag else "Variable"
    default = f" Default: `{setting.default}`." if setting.default else ""
    return f"## {name}\n\n{flag} `{setting.environment}`. {setting.help}{default}\n"


_HEAD = """# Settings

A flag beats the environment, which beats the configuration file, which beats the default. In the environment several
values are separated by commas. The file is named by `--config` or the variable `HAIGA_CONFIG`; in it the settings have
the names of the headings here: see [operations](operations.md#the-configuration-file).
This page is written by `python -m haiga.config`.

"""
