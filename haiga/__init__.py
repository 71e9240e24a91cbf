"""haiga: one self-hosted server for text, vision and images over models you hold yourself."""

import sys

# OpenVINO tells Google Analytics of each import, unless this package of its own is missing; here nothing leaves the
# building. This runs before any module of haiga can import OpenVINO, in each of its processes.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
