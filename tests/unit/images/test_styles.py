"""The file of styles as it changes, and prompts within styles."""

from pathlib import Path

import pytest

from haiga.core.errors import Invalid
from haiga.core.images import Hires, ImageRequest
from haiga.services.images.styles import StyleFile, with_styles

KNOWN = {"film": ("photo of {prompt}", "text"), "calm": ("calm", "")}


def test_the_file_is_read_when_it_comes_changes_breaks_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    file = StyleFile(path)
    assert {} == file.styles
    path.write_text("\ufeffname,prompt,negative_prompt\na,one,\n")
    assert {"a": ("one", "")} == file.styles
    path.write_text("name,prompt,negative_prompt\na,another,\n")
    assert {"a": ("another", "")} == file.styles
    path.write_text("nothing of the kind")
    assert {"a": ("another", "")} == file.styles
    path.unlink()
    assert {} == file.styles


def test_styles_stand_around_all_that_a_request_says() -> None:
    asked = ImageRequest("m", "a fox", hires=Hires(negative="blur"))
    expected = ImageRequest("m", "photo of a fox, calm", "text", hires=Hires(negative="blur, text"))
    assert expected == with_styles(asked, ["film", "calm"], KNOWN)
    assert asked == with_styles(asked, [], KNOWN)


def test_a_style_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(Invalid, match="film, calm"):
        with_styles(ImageRequest("m", "a fox"), ["dreamy"], KNOWN)
