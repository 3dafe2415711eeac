"""What should someone know who uses the model?  Writes the model card, with samples of the exported weights."""

import torch
from tokenizers import Tokenizer

import words
from griffin import Griffin
from recall_score import by_distance
from sample import PROMPTS, chat_prompt, generate
from stories import PLOTS

CARD = """---
license: apache-2.0
language: en
tags: [griffin, recurrent-gemma, tiny]
---

# Fledgling, 2 M parameters

A very small Griffin model that tells children's stories and makes small talk. It exists so that an engine has something
real to run: it loads in a moment and fits in {bytes} bytes.

## What it is

| | |
|---|---|
| architecture | Griffin (RecurrentGemma format): {layers} |
| parameters | {parameters:,}, embeddings shared with the output |
| width, MLP, heads | {width}, {mlp}, {heads} of {head_width} with one key and value head |
| attention window | a token sees itself and {window} earlier ones |
| vocabulary | {vocabulary} pieces, byte fallback |
| weights | bfloat16 |

## Training

Only text of the project's own grammar (`training/grammar.py`): stories of {plots} plots, chats, and dialogues in which
facts are told and later asked for. No other text was used, and no other model. {tokens} M tokens, {minutes} minutes of
one CPU core. Loss on unseen text of the same grammar: {loss} per token of the model's own turns and stories.

## Memory

How often it knows the user's name (one of {names}, or now and then an invented one), by the distance in tokens between
the last mention of the name and the answer. An answer is right when every token of the name is the likeliest one.
One attention layer sees {window} tokens back, all of them together {reach}; anything further away must be carried by the
recurrent state.

{recall}

## Samples

Greedy, from the published weights.

{samples}

## What it cannot do

It knows nothing outside its grammar. To many questions about the world it says that it does not know, to others it gives
a wrong answer. It cannot calculate, write programs or translate, and it understands only simple English sentences much
like those above. In a story it confuses who has what, it gives two characters the same name, and it changes the thing
that the story is about. It forgets facts beyond its attention window, as the table shows. It is a toy to test an engine with, not a source of advice.

## Licence

Apache-2.0, weights and grammar.

## Files

`trainer-logits.json` holds logits of the trainer's forward pass for three token sequences (f32, these weights): an
implementation should reproduce them to 1e-4.
"""


def model_card(model: Griffin, tokenizer: Tokenizer, figures: dict[str, str]) -> str:
    config = model.config
    parameters = sum(p.numel() for p in model.parameters())
    rows = ["| distance | right | asked |", "|---|---|---|"]
    rows += [f"| {low}–{high} | {right / asked:.0%} | {asked} |" for (low, high), (right, asked) in by_distance(model, tokenizer).items() if asked]
    return CARD.format(
        **figures,
        bytes=f"{2 * parameters / 1e6:.1f} million",
        layers=", ".join(config.layers),
        parameters=parameters,
        width=config.width,
        mlp=config.mlp_width,
        heads=config.heads,
        head_width=config.head_width,
        window=config.window,
        vocabulary=config.vocab_size,
        plots=len(PLOTS),
        names=len(words.GIRLS) + len(words.BOYS),
        reach=config.layers.count("attention") * config.window,
        recall="\n".join(rows),
        samples="\n\n".join(sample(model, tokenizer, prompt) for prompt in PROMPTS),
    )


@torch.no_grad()
def sample(model: Griffin, tokenizer: Tokenizer, prompt: str) -> str:
    reply = tokenizer.decode(generate(model, chat_prompt(prompt, tokenizer), 300)).replace("\n", "\n> ")
    return f"**{prompt}**\n\n> {reply}"
