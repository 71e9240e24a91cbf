"""`alwayson_scripts`: units of ControlNet, in the form of the extension sd-webui-controlnet.

Rule: a script that is switched off may be there; one that is on and not known is refused by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import ControlMode
from haiga.wire.body import read_shape
from haiga.wire.sdapi.options import AUTOMATIC, plain
from haiga.wire.sdapi.shapes import ControlUnit

MOST = 8  # units of a request
MODES: Mapping[str, ControlMode] = {
    "0": "balanced",
    "1": "prompt",
    "2": "control",
    "Balanced": "balanced",
    "My prompt is more important": "prompt",
    "ControlNet is more important": "control",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit; its picture as it was sent, None for the request's source. `adapter`: it is an IP-Adapter."""

    model: str
    picture: str | None
    preprocessor: str
    weight: float
    begin: float
    end: float
    mode: ControlMode
    adapter: bool
    field: str


def read_units(scripts: Mapping[str, Any]) -> tuple[Unit, ...]:
    """Raises Unsupported for scripts that are not known, Invalid for units that are wrong."""
    units: list[Unit] = []
    for name, script in scripts.items():
        field = f"alwayson_scripts.{name}"
        args = script.get("args") if isinstance(script, dict) else script
        if name.lower() == "controlnet":
            units += _units(args or [], f"{field}.args")
        elif _is_on(args):
            raise Unsupported(f"always on script {name[:100]} not found", field="alwayson_scripts")
    return tuple(units)


def _is_on(args: Any) -> bool:
    """A script's first argument often says whether it is; an empty list says nothing."""
    return bool(args) and not (isinstance(args, list) and args[0] in (False, None))


def _units(args: Any, field: str) -> list[Unit]:
    if not isinstance(args, list) or len(args) > MOST:
        raise Invalid(f"expected a list of at most {MOST} units", field=field)
    units = (_unit(each, f"{field}.{at}") for at, each in enumerate(args) if isinstance(each, dict))
    return [unit for unit in units if unit is not None]


def _unit(args: dict[str, Any], field: str) -> Unit | None:
    try:
        shape = read_shape(ControlUnit, args)
    except Invalid as error:
        error.field = f"{field}.{error.field}"
        raise
    if not shape.enabled or (shape.model in AUTOMATIC and shape.module in AUTOMATIC):
        return None
    if shape.model in AUTOMATIC:
        raise Invalid("name a model: a preprocessor alone leads nothing", field=f"{field}.model")
    picture, mask = _picture(shape.input_image or shape.image)
    if mask or _picture(shape.mask)[0]:
        raise Unsupported("a unit's mask is not used here", field=f"{field}.mask")
    return Unit(
        plain(shape.model),
        picture,
        shape.module.lower(),
        shape.weight,
        shape.guidance_start,
        shape.guidance_end,
        _mode(shape.control_mode, f"{field}.control_mode"),
        shape.module.lower().startswith("ip-adapter") or "ip-adapter" in shape.model.lower(),
        field,
    )


def _picture(value: Any) -> tuple[str | None, str | None]:
    """A picture and its mask: a text, or an object of two."""
    if isinstance(value, dict):
        return _picture(value.get("image"))[0], _picture(value.get("mask"))[0]
    return (value or None, None) if isinstance(value, str) else (None, None)


def _mode(value: Any, field: str) -> ControlMode:
    value = value[0] if isinstance(value, list) and value else value  # a client library sends it so
    if (mode := MODES.get(str(value))) is None:
        raise Invalid(f"expected one of {', '.join(MODES)}", field=field)
    return mode
