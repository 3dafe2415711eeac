"""On which text is the loss measured?

    python held_out.py > documents.jsonl

One document a line: its source and its parts, of which some count. What the user says is read but does not count. New
documents of the grammar; stories, chats and dialogues of the grammar with plots, sentences and names that are not in
training; and `real-text.jsonl`, a little text by people, which is in no training either.
"""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import recall
from chats import HELD_OUT_TOPICS, any_topic
from curriculum import STAGES
from grammar import Document, chat_pieces, new_document, weighted
from stories import new_plot, tell

REAL_TEXT = Path(__file__).parent / "real-text.jsonl"
DOCUMENTS = 20  # of each source
SEED = 4


def story(rng: Random) -> Document:
    return Document(weighted(tell(*new_plot(rng, held_out=True), rng)))


def chat(rng: Random) -> Document:
    turns = [turn for _ in HELD_OUT_TOPICS for turn in any_topic(rng, held_out=True)]
    return Document([piece for question, answer in turns for piece in chat_pieces(question, answer)])


def remembering(rng: Random) -> Document:
    turns = recall.examination(rng, 500).turns
    return Document([piece for question, answer in turns for piece in chat_pieces(question, answer)])


def as_trained(rng: Random) -> Document:
    stage = STAGES[-1]
    return new_document(rng, stage.mix, (700, 2000), stage.typical)


SOURCES: dict[str, Callable[[Random], Document]] = {
    "own documents, new ones of what is in training": as_trained,
    "own stories, plots not in training": story,
    "own chats, questions not in training": chat,
    "own memory dialogues, names and sentences not in training": remembering,
}


def documents() -> list[dict]:
    rng = Random(SEED)
    own = [{"source": source, "parts": [{"text": text, "counts": weight > 0} for text, weight in make(rng).pieces]}
           for source, make in SOURCES.items() for _ in range(DOCUMENTS)]
    return own + [json.loads(line) for line in REAL_TEXT.read_text().splitlines()]


if __name__ == "__main__":
    for document in documents():
        print(json.dumps(document, ensure_ascii=False))
