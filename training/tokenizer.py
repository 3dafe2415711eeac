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
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import names
from grammar import END, MIX, START, new_document

VOCABULARY_SIZE = 2048
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", START, END]
PAD, EOS, BOS, END_OF_TURN = 0, 1, 2, 5
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PRINTABLE = [chr(code) for code in range(33, 127)]
UNITS = Regex(r"▁?[A-Za-z]+|[0-9]|\n|▁?[^A-Za-z0-9▁\n]|▁")
TRAINING_DOCUMENTS = 8_000
TRAINING_NAMES = 60_000  # made-up names, so that a name nobody has seen is two or three pieces and not its letters


def train(seed: int = 0, documents: int = TRAINING_DOCUMENTS) -> dict:
    """The content of tokenizer.json."""
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(SPECIAL) - len(BYTES),  # with the newline
        initial_alphabet=[*PRINTABLE, "▁"],
        show_progress=False,
    )
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(UNITS, "isolated")
    learner.train_from_iterator(training_text(seed, documents), trainer)
    learned = json.loads(learner.to_str())["model"]
    pieces = [piece for piece in sorted(learned["vocab"], key=learned["vocab"].get) if piece != "\n"]
    return tokenizer_json([*SPECIAL, *BYTES, "\n", *pieces], learned["merges"])


def training_text(seed: int, documents: int) -> Iterator[str]:
    rng = Random(seed)
    for _ in range(documents):
        yield new_document(rng, MIX).text.replace(START, "\n").replace(END, "\n")
    for _ in range(TRAINING_NAMES):
        yield f" {names.made_up(rng)}."
    for name in names.GIRLS + names.BOYS + names.PETS:
        yield f" {name}" * 1000


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
