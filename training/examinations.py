"""Which dialogues is memory measured on?

    python examinations.py FOLDER [dialogues a distance] > dialogues.jsonl

Writes the held-out dialogues of recall_score.py for other programs, one a line: the messages, the indices of
those that tell facts, and for each question the index of its message, the sentence expected (up to the end of the value), the value (null where it was never told), the kind
of fact and the distance in tokens of FOLDER's tokenizer (null likewise).
"""

import json
import sys
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

import recall
from grammar import unmarked
from recall_score import SPANS, laid_out


def dialogues(tokenizer: Tokenizer, count: int, seed: int = 99) -> list[dict]:
    rows = []
    for (low, _), chars in SPANS.items():
        rng = Random(seed + low)
        for _ in range(count):
            memory = recall.examination(rng, round(chars * rng.uniform(0.8, 1.25)))
            _, places = laid_out(memory, tokenizer)
            questions = []
            for place, (turn, kind, mentioned) in zip(places, memory.questions):
                known = mentioned is not None
                answer = memory.turns[turn][1]
                questions.append({
                    "at": 2 * turn,
                    "expected": unmarked(answer[: answer.rindex("*")]) if known else "I don't know",
                    "value": memory.values[kind] if known else None,
                    "kind": kind,
                    "distance": place.distance,
                })
            rows.append({"messages": messages(memory.turns), "tells": [2 * turn for turn in memory.tells], "questions": questions})
    return rows


def messages(turns: list[tuple[str, str]]) -> list[dict]:
    pairs = [(("user", unmarked(question)), ("assistant", unmarked(answer))) for question, answer in turns]
    return [{"role": role, "content": content} for pair in pairs for role, content in pair]


if __name__ == "__main__":
    tokenizer = Tokenizer.from_file(str(Path(sys.argv[1]) / "tokenizer.json"))
    for row in dialogues(tokenizer, int(sys.argv[2]) if len(sys.argv) > 2 else 40):
        print(json.dumps(row, ensure_ascii=False))
