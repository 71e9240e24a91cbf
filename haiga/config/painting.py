"""Settings of models that make pictures."""

from collections.abc import Mapping

from haiga.config.parsing import one_of, parse_directory, parse_seconds, parse_some, parse_switch
from haiga.config.setting import Setting
from haiga.engines.diffusers.fitting import ATTENTIONS, DEVICES, DTYPES, OFFLOADS, QUANTISED, SWITCHES
from haiga.engines.diffusers.setup import BACKENDS

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
    "image_styles": Setting(
        "--image-styles",
        parse_directory,
        None,
        "HAIGA_IMAGE_STYLES",
        "Prompt styles, a file like A1111's styles.csv; by default `styles.csv` in the data directory, if it is there.",
        metavar="FILE",
    ),
    "image_device": Setting(
        "--image-device",
        one_of("auto", *DEVICES),
        "auto",
        "HAIGA_IMAGE_DEVICE",
        "Device of models that make pictures; by default the best there is.",
        metavar="auto|cuda|rocm|xpu|mps|cpu",
    ),
    "image_dtype": Setting(
        "--image-dtype",
        one_of("auto", *DTYPES),
        "auto",
        "HAIGA_IMAGE_DTYPE",
        "Numbers that models for pictures compute in; by default what the device does best.",
        metavar="auto|float32|bfloat16|float16",
    ),
    "image_offload": Setting(
        "--image-offload",
        one_of("auto", *OFFLOADS),
        "auto",
        "HAIGA_IMAGE_OFFLOAD",
        "How much of a model for pictures waits in RAM while it is not used; by default as little as fits.",
        metavar="auto|none|model|group|sequential",
    ),
    "image_tiling": Setting(
        "--image-tiling",
        one_of("auto", *SWITCHES),
        "auto",
        "HAIGA_IMAGE_TILING",
        "Decode pictures by tiles; by default where a whole one would not fit.",
        metavar="auto|on|off",
    ),
    "image_slicing": Setting(
        "--image-slicing",
        one_of("auto", *SWITCHES),
        "auto",
        "HAIGA_IMAGE_SLICING",
        "Decode the pictures of a batch one after another; by default where parts of a model wait in RAM.",
        metavar="auto|on|off",
    ),
    "image_attention": Setting(
        "--image-attention",
        one_of("auto", *ATTENTIONS),
        "auto",
        "HAIGA_IMAGE_ATTENTION",
        "Kernel of the attention in models for pictures; by default torch's own.",
        metavar="auto|native|flash|sage|xformers|_native_math|_native_efficient|flex",
    ),
    "image_quantised": Setting(
        "--image-quantised",
        one_of(*QUANTISED),
        "none",
        "HAIGA_IMAGE_QUANTISED",
        "How the weights of denoisers are made smaller as they are loaded.",
        metavar="none|layerwise|int8|nf4",
    ),
    "image_denoiser": Setting(
        "--image-denoiser",
        one_of(*BACKENDS),
        "torch",
        "HAIGA_IMAGE_DENOISER",
        "What runs the denoiser of models for pictures; torch goes on where it cannot.",
        metavar="torch|compile|openvino|onnx",
    ),
    "image_decoder": Setting(
        "--image-decoder",
        one_of(*BACKENDS),
        "torch",
        "HAIGA_IMAGE_DECODER",
        "What runs the decoder of models for pictures; torch goes on where it cannot.",
        metavar="torch|compile|openvino|onnx",
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
