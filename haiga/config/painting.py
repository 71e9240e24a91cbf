"""Settings of models that make pictures."""

from collections.abc import Mapping

from haiga.config.parsing import parse_directory, parse_seconds, parse_some, parse_switch
from haiga.config.setting import Setting

PAINTING: Mapping[str, Setting] = {
    "image_shelf": Setting(
        "--image-shelf",
        parse_directory,
        None,
        "HAIGA_IMAGE_SHELF",
        "Folder of what requests for pictures can name: LoRAs, embeddings, VAEs, ControlNets, upscalers, each kind in a"
        " folder of its own; by default `shelf` in the data directory.",
        metavar="DIRECTORY",
    ),
    "image_pickles": Setting(
        "--image-pickles",
        parse_switch,
        "no",
        "HAIGA_IMAGE_PICKLES",
        "Also read files of that folder that are no safetensors, as weights alone; such files may be made to run code.",
        switch="yes",
    ),
    "image_jobs": Setting(
        "--image-jobs",
        parse_some,
        "100",
        "HAIGA_IMAGE_JOBS",
        "Jobs for pictures that a key may have which are not done; the next is refused (429).",
        metavar="N",
    ),
    "keep_images": Setting(
        "--keep-images",
        parse_seconds,
        "7d",
        "HAIGA_KEEP_IMAGES",
        "How long jobs for pictures and what they made are kept.",
        metavar="TIME",
    ),
}
