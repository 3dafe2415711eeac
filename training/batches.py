"""How do documents become batches?

Every row of a batch is one document behind <bos>, so each document starts at position 0 with an empty state. Documents
of similar length share a batch, and the rest of a row is padding, which lies after the text and is not part of the loss.
"""

from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from curriculum import Stage
from grammar import Document, new_document
from tokenizer import BOS, EOS, PAD

DOCUMENTS_PER_POOL = 512
ROW_MULTIPLE = 64  # of the length of a row: a multiple of every window

Row = tuple[list[int], list[float]]  # the ids, and their weights in the loss
Batch = tuple[Tensor, Tensor, Tensor]  # inputs, targets and the targets' weights, each [B, T]


def encode(document: Document, tokenizer: Tokenizer) -> Row:
    ids, weights = [BOS], [0.0]
    for text, weight in document.pieces:
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        weights += [weight] * len(piece)
    return [*ids, EOS], [*weights, 1.0]


def pool(tokenizer: Tokenizer, rng: Random, stage: Stage, size: int = DOCUMENTS_PER_POOL) -> list[Batch]:
    """Batches of similar rows, in random order. Documents longer than the stage allows are left out."""
    rows = sorted((encode(new_document(rng, stage.mix, stage.gaps, stage.typical), tokenizer) for _ in range(size)), key=lambda row: len(row[0]))
    rows = [row for row in rows if len(row[0]) <= stage.longest]
    batches: list[list[Row]] = [[]]
    for row in rows:
        if len(row[0]) * (len(batches[-1]) + 1) > stage.tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return [stack(batch) for batch in batches if batch]


def stack(rows: list[Row]) -> Batch:
    longest = max(len(ids) for ids, _ in rows) - 1
    T = -(-longest // ROW_MULTIPLE) * ROW_MULTIPLE + 1  # inputs and targets are one shorter
    ids = torch.tensor([ids + [PAD] * (T - len(ids)) for ids, _ in rows])
    weights = torch.tensor([row + [0.0] * (T - len(row)) for _, row in rows])
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]
