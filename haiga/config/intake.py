"""Settings of pictures and documents: how much of them a request may bring."""

from collections.abc import Mapping

from haiga.config.parsing import parse_bytes, parse_count, parse_number
from haiga.config.setting import Setting

INTAKE: Mapping[str, Setting] = {
    "image_size": Setting(
        "--image-size",
        parse_bytes,
        "10MB",
        "HAIGA_IMAGE_SIZE",
        "Largest image of a request, in base64 where it is sent so.",
        metavar="SIZE",
    ),
    "image_side": Setting(
        "--image-side",
        parse_count,
        "8000",
        "HAIGA_IMAGE_SIDE",
        "Most pixels of either side of an image.",
        metavar="PIXELS",
    ),
    "image_side_many": Setting(
        "--image-side-many",
        parse_count,
        "2000",
        "HAIGA_IMAGE_SIDE_MANY",
        "Most pixels of either side of an image in a request with more than 20 of them.",
        metavar="PIXELS",
    ),
    "images": Setting(
        "--images",
        parse_count,
        "100",
        "HAIGA_IMAGES",
        "Most images and documents of a request.",
        metavar="NUMBER",
    ),
    "image_edge": Setting(
        "--image-edge",
        parse_count,
        "1568",
        "HAIGA_IMAGE_EDGE",
        "Pixels of its longer side to which a larger image is made smaller.",
        metavar="PIXELS",
    ),
    "pdf_pages": Setting(
        "--pdf-pages",
        parse_count,
        "100",
        "HAIGA_PDF_PAGES",
        "Most pages of all PDFs of a request.",
        metavar="NUMBER",
    ),
    "pdf_edge": Setting(
        "--pdf-edge",
        parse_number,
        "1024",
        "HAIGA_PDF_EDGE",
        "Pixels of the longer side of the pictures of a PDF's pages, for models that see; 0 for no pictures.",
        metavar="PIXELS",
    ),
}
