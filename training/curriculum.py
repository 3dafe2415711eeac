"""What is the model trained on, and in which order?

The stages follow each other by the share of the training that is done. Remembering grows from the near to the far: first
facts and questions with nothing between them, then with a little talk, at last with two thousand tokens, while stories and
chats come in. The attention window is short in the early stages and in some batches of the later ones, so that the
attention cannot do what the recurrence shall learn.
"""

from dataclasses import dataclass

from grammar import Mix


@dataclass(frozen=True)
class Stage:
    until: float  # share of the training at which it ends
    mix: Mix
    gaps: tuple[int, int]  # characters between a fact and its question in a far recall
    longest: int  # tokens of a document
    tokens: int  # of a batch
    windows: tuple[int, ...]  # of the attention, in turn from batch to batch
    typical: float  # share of the names in recall dialogues that tell by themselves whose they are


NEAR: Mix = [("recall at once", 75), ("far recall", 10), ("chat", 7), ("story chat", 8)]
FAR: Mix = [("recall at once", 45), ("far recall", 28), ("chat", 10), ("story chat", 13), ("story", 4)]
ALL: Mix = [("recall at once", 10), ("far recall", 42), ("chat", 15), ("story chat", 24), ("story", 5), ("echo", 4)]
STAGES = [
    Stage(0.22, NEAR, (50, 600), 384, 4096, (16, 64), typical=0.95),
    Stage(0.38, FAR, (100, 4000), 1280, 4096, (16, 64, 64), typical=0.9),
    Stage(1.00, ALL, (700, 6800), 2304, 6144, (64, 64, 32), typical=0.9),
]


def stage_at(done: float) -> Stage:
    return next((stage for stage in STAGES if done < stage.until), STAGES[-1])
