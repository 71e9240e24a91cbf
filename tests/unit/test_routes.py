"""Which model a conversation goes to."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from haiga.core.routes import Route, ordered

SHARED = (("a", 3.0), ("b", 1.0), ("c", 1.0))


@given(conversation=st.text(max_size=20))
def test_a_conversation_has_one_order_and_every_model_is_in_it(conversation: str) -> None:
    assert ordered(SHARED, conversation) == ordered(tuple(reversed(SHARED)), conversation)
    assert {"a", "b", "c"} == set(ordered(SHARED, conversation))


def test_weights_are_shares_of_conversations() -> None:
    first = Counter(ordered(SHARED, f"conversation {i}")[0] for i in range(5000))
    assert all(abs(first[model] / 5000 - share) < 0.03 for model, share in (("a", 0.6), ("b", 0.2), ("c", 0.2)))


def test_taking_a_model_away_moves_only_its_own_conversations() -> None:
    for i in range(500):
        whole, fewer = ordered(SHARED, str(i)), ordered(SHARED[:2], str(i))
        assert [model for model in whole if model != "c"] == fewer


def test_steps_come_one_after_the_other_and_a_model_once() -> None:
    route = Route("r", ((("local", 1.0),), SHARED, (("local", 1.0), ("d", 1.0))))
    order = route.order("x")
    assert ("local", {"a", "b", "c"}, "d", 5) == (order[0], set(order[1:4]), order[4], len(order))
    assert ("local", "a", "b", "c", "d") == route.models


def test_a_route_answers_to_its_name_and_to_its_pattern() -> None:
    assert [True, True, False] == [Route("claude-*", ()).answers_to(name) for name in ("claude-*", "claude-x", "x")]
