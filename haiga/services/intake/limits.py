"""How much of pictures and documents a request may bring. The defaults are those that Anthropic documents (2026)."""

from dataclasses import dataclass

from haiga.services.decoding.sizes import PATCH

MANY = 20  # pictures of one request, from which on each must be smaller
LOW = 512  # pixels of the longer side of a picture that is wanted with little detail, as OpenAI documents it


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """`image_size`: bytes of one picture, in base64 where it is sent so. `image_side`: pixels of either side, and
    `image_side_many` in requests with more than MANY pictures. `images`: pictures and documents of a request.
    `image_edge`, `image_patches`: to what a picture is made smaller, in pixels of its longer side and in squares of 28
    pixels. `pdf_size`: bytes of one PDF. `pdf_pages`: of a request. `pdf_edge`: pixels of the longer side of a page's
    picture; 0 for none."""

    image_size: int = 10 << 20
    image_side: int = 8000
    image_side_many: int = 2000
    images: int = 100
    image_edge: int = 1568
    image_patches: int = 1568
    pdf_size: int = 32 << 20
    pdf_pages: int = 100
    pdf_edge: int = 1024

    @property
    def image_memory(self) -> int:
        """Bytes of a decoded picture at most."""
        return 3 * min(self.image_edge**2, self.image_patches * PATCH**2)

    @property
    def page_memory(self) -> int:
        """Bytes of a page's picture at most."""
        return 3 * (self.pdf_edge + 1) ** 2
