"""How far back does the model remember, and does it know what it was not told?

    python recall_score.py FOLDER [dialogues a distance] [--trained] [--json]

Every dialogue is an examination of recall.py: names, sentences and other talk that no training document holds, three
facts, then questions about these and about two that were never told.

An answer is right when, from the first word on, each token of the expected sentence up to the end of its value is the
likeliest one: this is what greedy decoding would say. "I don't know" counts by its own words. A question's distance is
the number of tokens from the last mention of the value to the first token of the answer.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

import recall
import recall_facts
from batches import ROW_MULTIPLE
from grammar import chat_pieces
from griffin import Griffin
from sample import load
from tokenizer import BOS

# (from, to) in tokens, and the characters of other talk that lead there
SPANS = {(0, 64): 1, (64, 128): 250, (128, 256): 600, (256, 512): 1400, (512, 1024): 3100, (1024, 2048): 6000}


@dataclass
class Count:
    asked: int = 0
    right: int = 0
    first: int = 0  # the first piece of the value is right
    unknown: int = 0  # answered with "I don't know"

    def __str__(self) -> str:
        share = lambda n: f"{n / max(1, self.asked):4.0%}"  # noqa: E731
        return f"right {share(self.right)}   first piece {share(self.first)}   I don't know {share(self.unknown)}   of {self.asked}"


@dataclass
class Scores:
    told: dict[tuple[int, int], Count]  # by distance
    names: dict[tuple[int, int], Count]  # those of the questions above whose answer is a held-out name
    never_told: dict[tuple[int, int], Count]  # by length of the other talk


@dataclass
class Question:
    start: int  # token position of the answer
    value: int  # where its value begins
    end: int  # where its value ends
    distance: int | None
    is_name: bool


def laid_out(memory: recall.Memory, tokenizer: Tokenizer) -> tuple[list[int], list[Question]]:
    """The dialogue's tokens, and where in them the answers are."""
    ids, starts, marks = [BOS], {}, {}
    for turn, (question, answer) in enumerate(memory.turns):
        pieces = chat_pieces(question, answer)
        for i, (text, weight) in enumerate(pieces):
            begin = len(ids)
            ids += tokenizer.encode(text, add_special_tokens=False).ids
            if i == 0:  # the user's turn
                starts[turn] = len(ids)
            if weight > 1.0:  # the last one is the value, or the "I" of "I don't know"
                marks[turn] = (begin, len(ids))
        marks.setdefault(turn, (len(ids), len(ids)))  # a fact told: the reply may say it again, so its end counts
    questions = []
    for turn, kind, mentioned in memory.questions:
        distance = None if mentioned is None else starts[turn] - marks[mentioned][1]
        questions.append(Question(starts[turn], *marks[turn], distance, kind in recall_facts.NAMES))
    return ids, questions


@torch.no_grad()
def score(model: Griffin, tokenizer: Tokenizer, dialogues: int = 40, seed: int = 99, spans=SPANS, held_out: bool = True, features=None) -> Scores:
    features_of = features or Griffin.features
    i_token = tokenizer.encode("I", add_special_tokens=False).ids[0]  # begins "I don't know" and no other answer
    scores = Scores(*({span: Count() for span in SPANS} for _ in range(3)))
    for (low, high), chars in spans.items():
        rng = Random(seed + low)
        made = [laid_out(recall.examination(rng, round(chars * rng.uniform(0.8, 1.25)), held_out), tokenizer) for _ in range(dialogues)]
        for at in range(0, dialogues, 8):
            rows = made[at : at + 8]
            longest = -(-max(len(ids) for ids, _ in rows) // ROW_MULTIPLE) * ROW_MULTIPLE
            tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
            features = features_of(model, tokens).float()  # [T, B, D]
            for row, (ids, questions) in enumerate(rows):
                for question in questions:
                    mark(scores, model, features[:, row], ids, question, (low, high), i_token)
    return scores


def mark(scores: Scores, model: Griffin, features: torch.Tensor, ids: list[int], question: Question, span: tuple[int, int], i_token: int) -> None:
    said = model.logits(features[question.start - 1 : question.end - 1]).argmax(-1).tolist()
    expected = ids[question.start : question.end]
    at_value = question.value - question.start
    if question.distance is None:
        count = scores.never_told[span]
        counts = [count]
    else:
        place = next((s for s in SPANS if s[0] <= question.distance < s[1]), None)
        if place is None:
            return
        counts = [scores.told[place]] + ([scores.names[place]] if question.is_name else [])
    for count in counts:
        count.asked += 1
        count.right += said == expected
        count.first += said[at_value] == expected[at_value]
        count.unknown += (said == expected) if question.distance is None else said[0] == i_token


def report(scores: Scores) -> str:
    lines = []
    for title, table in (("told", scores.told), ("of these, names", scores.names), ("never told", scores.never_told)):
        lines += [title] + [f"  {low:5} - {high:4} tokens   {count}" for (low, high), count in table.items() if count.asked]
    return "\n".join(lines)


def as_json(scores: Scores) -> dict:
    table = lambda counts: [{"from": low, "to": high, **vars(count)} for (low, high), count in counts.items() if count.asked]  # noqa: E731
    return {"told": table(scores.told), "names": table(scores.names), "neverTold": table(scores.never_told)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("dialogues", type=int, nargs="?", default=40)
    parser.add_argument("--trained", action="store_true", help="with the names, sentences and talk of the training")
    parser.add_argument("--window", type=int, help="of the attention, instead of the config's")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = load(options.folder)
    if options.window:
        model.window = options.window
    scores = score(model, tokenizer, options.dialogues, held_out=not options.trained)
    print(json.dumps(as_json(scores), indent=2) if options.json else report(scores))


if __name__ == "__main__":
    main()
