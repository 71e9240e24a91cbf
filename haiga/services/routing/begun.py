"""When an answer has begun: from then on no other model may give it."""

from haiga.core.generation import BlockStarted, Event, Progress, Quoted, Started
from haiga.core.messages import Text, Thinking


def says_something(event: Event) -> bool:
    """Whether the event gives anything of an answer; the empty beginning of a text or a thought does not."""
    match event:
        case Started() | Progress() | Quoted() | BlockStarted(block=Text(text="") | Thinking(thinking="")):
            return False
    return True
