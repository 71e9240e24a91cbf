"""What can be asked of a text model, and the one stream of events that answers.

Rule: a whole answer is `fold` of the stream, so that there is one path to a model and both forms agree.

The stream, in order:
    Started                                       once: the prompt was counted, its reuse is known
    Progress*                                     while a long prompt is being prefilled
    Echo                                          where the request asks for its prompt back
    (BlockStarted Delta* BlockStopped)*           index 0, 1, 2 …, never interleaved
    Finished                                      once, last: why it stopped, what it used
Where a provider's answer is quoted, a Quoted follows the events that each of its own means, or stands before Finished.
An error is raised from the iterator; blocks left open then are for the wire to close.
"""

from haiga.core.generation.events import (
    BlockStarted,
    BlockStopped,
    Choice,
    CitationDelta,
    Delta,
    Dropped,
    Echo,
    Event,
    Finished,
    Form,
    InputDelta,
    Plain,
    Progress,
    PromptToken,
    Quoted,
    Routed,
    Served,
    SignatureDelta,
    Started,
    StopReason,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    together,
    total,
    unquoted,
)
from haiga.core.generation.folding import PARTIAL, Folder, Reply, fold, replay
from haiga.core.generation.request import (
    Priority,
    Sampling,
    SamplingRequest,
    Source,
    TextRequest,
    ThinkingRequest,
    resolve,
    sourced,
)

__all__ = [
    "PARTIAL",
    "BlockStarted",
    "BlockStopped",
    "Choice",
    "CitationDelta",
    "Delta",
    "Dropped",
    "Echo",
    "Event",
    "Finished",
    "Folder",
    "Form",
    "InputDelta",
    "Plain",
    "Priority",
    "Progress",
    "PromptToken",
    "Quoted",
    "Reply",
    "Routed",
    "Sampling",
    "SamplingRequest",
    "Served",
    "SignatureDelta",
    "Source",
    "Started",
    "StopReason",
    "TextDelta",
    "TextRequest",
    "ThinkingDelta",
    "ThinkingRequest",
    "TokenLogprob",
    "Usage",
    "fold",
    "replay",
    "resolve",
    "sourced",
    "together",
    "total",
    "unquoted",
]
