"""How far back does the model remember?

    python recall_score.py FOLDER [dialogues]

In each dialogue the user says a name and asks for it after some other talk. An answer is right when, with the answer's
own words before it, each token of the name is the likeliest one. The result is grouped by the distance in tokens between
the last mention of the name and the answer.
"""

import sys
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

from batches import LONGEST
from grammar import END, chat_document
from griffin import Griffin
from recall import FACTS, filler
from sample import load
from templates import fill
from tokenizer import BOS

EDGES = (0, 64, 128, 192, 256, 384, 512, 768, LONGEST)
Scores = dict[tuple[int, int], tuple[int, int]]  # (from, to) -> (right, asked)


@torch.no_grad()
def by_distance(model: Griffin, tokenizer: Tokenizer, dialogues: int = 400, seed: int = 99) -> Scores:
    rng = Random(seed)
    scores: Scores = {span: (0, 0) for span in zip(EDGES, EDGES[1:])}
    for _ in range(dialogues):
        fact = FACTS["name"]
        name = fact.value(rng)
        told = (f"My name is {name}.", f"Nice to meet you, {name}! What would you like to talk about?")
        asked = (fill(fact.ask, {}, rng), "")
        talk = chat_document([told, *filler(rng, int(2800 * rng.random() ** 2)), asked], Random(0)).text.removesuffix(f"{END}\n")
        prompt = [BOS, *tokenizer.encode(f"{talk}Your name is", add_special_tokens=False).ids]
        answer = tokenizer.encode(f" {name}.", add_special_tokens=False).ids
        until_told = talk[: talk.index("! What would you like")]
        distance = len(prompt) - len(tokenizer.encode(until_told, add_special_tokens=False).ids)
        span = next((span for span in scores if span[0] <= distance < span[1]), None)
        if span is None:
            continue
        likeliest = model(torch.tensor([prompt + answer]))[0, len(prompt) - 1 : -1].argmax(-1)
        right, count = scores[span]
        scores[span] = (right + (likeliest.tolist() == answer), count + 1)
    return scores


def main() -> None:
    torch.set_num_threads(1)
    model, tokenizer = load(Path(sys.argv[1]))
    scores = by_distance(model, tokenizer, int(sys.argv[2]) if len(sys.argv) > 2 else 400)
    for (low, high), (right, asked) in scores.items():
        if asked:
            print(f"{low:5} - {high:4} tokens   {right / asked:4.0%}   ({right} of {asked})")


if __name__ == "__main__":
    main()
