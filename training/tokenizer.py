"""How does text become token ids?

    python tokenizer.py FOLDER        trains on the grammar and writes FOLDER/tokenizer.json

Byte-pair encoding in the manner of Gemma 1: a space is "▁", nothing is put in front of the text, a character without a
piece of its own falls back to its bytes. The vocabulary, 2048 pieces:

    0 <pad>   1 <eos>   2 <bos>   3 <unk>   4 <start_of_turn>   5 <end_of_turn>
    6 … 261   the bytes <0x00> … <0xFF>
    262       the newline
    263 …     printable ASCII, "▁" and what byte-pair encoding merged

Training cuts the text into units, a word with the space before it, a digit, a mark, and merges only within units. So no
piece reaches over a word's end, and encoding needs no cutting at all: a merge over a boundary does not exist. That is
why the tokenizer.json has no pre-tokenizer, and every implementation agrees on where words end.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

import names
import words
from grammar import END, MIX, START, new_document

VOCABULARY_SIZE = 2048
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", START, END]
PAD, EOS, BOS, END_OF_TURN = 0, 1, 2, 5
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PRINTABLE = [chr(code) for code in range(33, 127)]
UNITS = re.compile(r"▁?[A-Za-z]+|[0-9]|\n|▁?[^A-Za-z0-9▁\n]|▁")
TRAINING_DOCUMENTS = 6_000

Merge = tuple[str, str]


def train(seed: int = 0, documents: int = TRAINING_DOCUMENTS) -> dict:
    """The content of tokenizer.json."""
    counts = Counter(unit for text in training_text(seed, documents) for unit in UNITS.findall(text.replace(" ", "▁")))
    first = name_merges()
    alphabet = [*SPECIAL, *BYTES, "\n", *PRINTABLE, "▁"]
    merges = first + learned_merges(counts, first, VOCABULARY_SIZE - len(alphabet))
    return tokenizer_json(list(dict.fromkeys([*alphabet, *(a + b for a, b in merges)])), [list(merge) for merge in merges])


def training_text(seed: int, documents: int) -> Iterator[str]:
    rng = Random(seed)
    for _ in range(documents):
        yield new_document(rng, MIX).text.replace(START, "\n").replace(END, "\n")
    values = names.GIRLS + names.BOYS + names.PETS + names.TOWNS + words.COLORS + words.FACT_FOODS + words.NUMBERS + words.AGES
    values += [place.split()[-1] for place in words.HIDING_PLACES]
    for value in values:  # what is asked for is one token, with a small letter and with a capital one
        yield f" {value}" * 1000
    for value in words.COLORS + words.FACT_FOODS + words.NUMBERS + words.AGES:
        yield f" {value.capitalize()}" * 300


def name_merges() -> list[Merge]:
    """The merges that make one token of each beginning and each end of the composed names. They come before all others, so
    no other merge can reach into a name."""
    starts = [start for kind in names.STARTS.values() for start in kind]
    merges: list[Merge] = []
    for part in [*(end for kind in names.ENDS.values() for end in kind), *starts]:
        for end in range(2, len(part) + 1):
            merge = (part[: end - 1], part[end - 1])
            if merge not in merges:
                merges.append(merge)
    return merges + [("▁", start) for start in starts]


def learned_merges(counts: Counter[str], first: list[Merge], size: int) -> list[Merge]:
    """The most frequent pair, again and again (byte-pair encoding), after the merges that are given, until they make
    `size` pieces together."""
    units = [list(unit) for unit in counts]
    weights = list(counts.values())
    ranks = {merge: rank for rank, merge in enumerate(first)}
    for unit in units:
        apply_all(unit, ranks)
    whole = {(before + start, end) for before in ("", "▁") for kind in names.STARTS for start in names.STARTS[kind] for end in names.ENDS[kind] if start + end not in names.USUAL}
    pairs: Counter[Merge] = Counter()
    places: dict[Merge, set[int]] = defaultdict(set)
    for at, unit in enumerate(units):
        for pair in zip(unit, unit[1:]):
            pairs[pair] += weights[at]
            places[pair].add(at)
    merges: list[Merge] = []
    pieces = {a + b for a, b in first}
    while len(pieces) < size:
        best = max((pair for pair in pairs if pair not in whole), key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        pieces.add(best[0] + best[1])
        for at in sorted(places[best]):
            unit = units[at]
            for pair in zip(unit, unit[1:]):
                pairs[pair] -= weights[at]
            merge_in(unit, best)
            for pair in zip(unit, unit[1:]):
                pairs[pair] += weights[at]
                places[pair].add(at)
        del pairs[best]
    return merges


def apply_all(unit: list[str], ranks: dict[Merge, int]) -> None:
    while candidates := [pair for pair in zip(unit, unit[1:]) if pair in ranks]:
        merge_in(unit, min(candidates, key=lambda pair: ranks[pair]))


def merge_in(unit: list[str], pair: Merge) -> None:
    at = 0
    while at < len(unit) - 1:
        if (unit[at], unit[at + 1]) == pair:
            unit[at : at + 2] = [pair[0] + pair[1]]
        at += 1


def tokenizer_json(vocabulary: list[str], merges: list[list[str]]) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for i, token in enumerate(SPECIAL)
        ],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": "<bos>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<bos>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(vocabulary)},
            "merges": merges,
        },
    }


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(train(), ensure_ascii=False, indent=1) + "\n")
    tokenizer = Tokenizer.from_file(str(path))
    sample = "Tell me a story about a brave girl and a kite."
    print(f"{path}: {tokenizer.get_vocab_size()} pieces")
    print(" ".join(tokenizer.encode(sample, add_special_tokens=False).tokens))


if __name__ == "__main__":
    main()
