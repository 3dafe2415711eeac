"""How do documents become batches?

Every row of a batch is one document behind <bos>, so each document starts at position 0 with an empty state. Documents
of similar length share a batch, and the rest of a row is padding, which lies after the text and is not part of the loss.
"""

from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from grammar import Document, new_document
from tokenizer import BOS, EOS, PAD

LONGEST = 1024  # tokens; longer documents are left out
LONGEST_AT_FIRST = 320  # short documents teach copying, sooner and in less time; memory is learned upon it
TOKENS_PER_BATCH = 2048
DOCUMENTS_PER_POOL = 512

Row = tuple[list[int], list[bool]]  # the ids, and which of them the model is to predict
Batch = tuple[Tensor, Tensor, Tensor]  # inputs, targets and marks, each [B, T]


def encode(document: Document, tokenizer: Tokenizer) -> Row:
    ids, learned = [BOS], [False]
    for text, by_the_model in document.pieces:
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        learned += [by_the_model] * len(piece)
    return [*ids, EOS], [*learned, learned[-1]]


def pool(tokenizer: Tokenizer, seed: int, size: int = DOCUMENTS_PER_POOL, longest: int = LONGEST) -> list[Batch]:
    """Batches of similar rows, in random order. The same seed gives the same batches."""
    rng = Random(seed)
    rows = sorted((encode(new_document(rng), tokenizer) for _ in range(size)), key=lambda row: len(row[0]))
    rows = [row for row in rows if len(row[0]) <= longest]
    batches: list[list[Row]] = [[]]
    for row in rows:
        if len(row[0]) * (len(batches[-1]) + 1) > TOKENS_PER_BATCH:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return [stack(batch) for batch in batches if batch]


def stack(rows: list[Row]) -> Batch:
    T = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [PAD] * (T - len(ids)) for ids, _ in rows])
    learned = torch.tensor([marks + [False] * (T - len(marks)) for _, marks in rows])
    return ids[:, :-1], ids[:, 1:], learned[:, 1:]
