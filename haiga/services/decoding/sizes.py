"""How large a picture may stay. Source: the vision page of Anthropic's documentation of 2026."""

PATCH = 28  # pixels of a side of what counts as one token there


def fitted(size: tuple[int, int], edge: int, patches: int) -> tuple[int, int]:
    """The largest (width, height) of the same shape whose longer side has at most `edge` pixels and which has at most
    `patches` squares of PATCH pixels, begun ones counted; the size itself where it fits."""
    if _fits(size, edge, patches):
        return size
    longer = min(max(size), edge)
    low, high = 1, longer  # the longer side; the least one always fits
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(_scaled(size, middle), edge, patches):
            low = middle
        else:
            high = middle - 1
    return _scaled(size, low)


def _fits(size: tuple[int, int], edge: int, patches: int) -> bool:
    return max(size) <= edge and -(-size[0] // PATCH) * -(-size[1] // PATCH) <= patches


def _scaled(size: tuple[int, int], longer: int) -> tuple[int, int]:
    scale = longer / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height
