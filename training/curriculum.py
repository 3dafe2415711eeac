"""What is the model trained on, and in which order?

The stages follow each other by the minutes of training. Remembering grows from the near to the far:
first facts and questions with nothing between them, then with a little talk, at last with two thousand tokens. The
attention window is short in the early stages, so that it cannot do what the recurrence shall learn.
"""

import math
from dataclasses import dataclass, field

from grammar import MIX, Mix
from recall import FACTS


@dataclass(frozen=True)
class Stage:
    until: float  # minutes of training at which it ends
    mix: Mix
    gaps: tuple[int, int]  # characters between a fact and its question in a far recall
    longest: int  # tokens of a document
    tokens: int  # of a batch
    windows: tuple[int, ...]  # of the attention, in turn from batch to batch
    kinds: list[str] = field(default_factory=lambda: list(FACTS))  # of fact in "recall at once"


FEW_KINDS = ["name", "pet", "town"]
STAGES = [
    Stage(4.5, [("recall at once", 65), ("echo", 35)], (100, 300), 256, 2048, (32,)),
    Stage(21, [("recall at once", 88), ("echo", 4), ("chat", 8)], (100, 600), 384, 4096, (16, 16, 64), FEW_KINDS),
    Stage(36, [("recall at once", 34), ("quick recall", 14), ("far recall", 8), ("echo", 2), ("story", 8), ("story chat", 20), ("chat", 14)], (300, 2000), 768, 4096, (16, 64)),
    Stage(math.inf, [("recall at once", 20), ("quick recall", 18), ("far recall", 14), ("story", 8), ("story chat", 22), ("chat", 16), ("echo", 1), ("long chat", 1)], (400, 5500), 2200, 6144, (64,)),
]


def stage_at(minutes: float) -> Stage:
    return next(stage for stage in STAGES if minutes < stage.until)
