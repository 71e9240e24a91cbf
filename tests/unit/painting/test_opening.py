"""What is said where pictures cannot be made."""

from haiga.engines.diffusers.opening import lacking


def test_a_missing_library_is_named_with_what_adds_it() -> None:
    told = "this server makes no pictures: no_such_library is not installed; add it with pip install 'haiga[images]'"
    assert told == lacking(("json", "no_such_library"))
    assert None is lacking(("json",))
