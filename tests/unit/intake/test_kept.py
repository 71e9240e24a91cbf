"""What was decoded lately."""

from haiga.services.intake.kept import Kept


def test_what_was_not_asked_for_longest_goes_first() -> None:
    kept: Kept[str] = Kept(10)
    for name in "abc":
        kept.put(name, name, 4)
        kept.get("a")
    assert ["a", None, "c"] == [kept.get(name) for name in "abc"]


def test_a_value_put_anew_is_counted_once() -> None:
    kept: Kept[str] = Kept(10)
    for _ in range(5):
        kept.put("a", "old", 4)
    kept.put("a", "new", 4)
    kept.put("b", "b", 6)
    assert ["new", "b"] == [kept.get("a"), kept.get("b")]


def test_what_is_larger_than_all_there_is_is_not_kept() -> None:
    kept: Kept[str] = Kept(10)
    kept.put("a", "a", 4)
    kept.put("b", "b", 11)
    assert ["a", None] == [kept.get("a"), kept.get("b")]
