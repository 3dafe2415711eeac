"""What should someone know who uses the model?  Writes the model card, with samples of the exported weights."""

import torch
from tokenizers import Tokenizer

import names
import words
from griffin import Griffin
from recall_score import Scores, score
from sample import PROMPTS, chat_prompt, generate
from stories import PLOTS

DIALOGUES = 60  # of each distance
CARD = """---
license: apache-2.0
language: en
tags: [griffin, recurrent-gemma, tiny]
---

# Fledgling, 3 M parameters

A small Griffin model that tells children's stories, makes small talk and is trained to remember what it was told. It
exists so that an engine has something real to run: it loads in a moment and fits in {bytes} bytes.

## What it is

| | |
|---|---|
| architecture | Griffin (RecurrentGemma format): {layers} |
| parameters | {parameters:,}, embeddings shared with the output |
| width, MLP, heads | {width}, {mlp}, {heads} of {head_width} with one key and value head |
| attention window | a token sees itself and {window} earlier ones; the {attention} attention layers together reach {reach} |
| vocabulary | {vocabulary} pieces, byte fallback |
| weights | bfloat16 |

## Training

Only text of the project's own grammar (`training/grammar.py`): stories of {plots} plots, chats, and dialogues in which
facts are told and later asked for. No other text was used, no other model, and so there is nobody to attribute.
{tokens} M tokens, {minutes} minutes of one CPU core. Loss on unseen text of the same grammar: {loss} per token of the
model's own turns and stories.

The rates, the stages and some of the text were changed while it was trained (`training/README.md` says how), so a new run
comes close to these weights but does not repeat them. The log, every now and then (its first lines count differently what
is marked):

    {log}

## Memory

Measured on dialogues whose names ({held_out}), sentences and other talk are in no training text
(`training/recall_score.py`): three facts, other talk, then questions of the three and of two that were not told. Right
means that greedy decoding says exactly the expected sentence up to the end of the value. The distance is counted from
the last mention of the value. What is further away than {reach} tokens is carried by the recurrent state alone. By chance, a
name would be right in one of {made_up} cases, a colour in one of {colors}.

{recall}

## Samples

Greedy, from the published weights.

{samples}

## What it cannot do

It knows nothing outside its grammar. To many questions about the world it says that it does not know, to others it gives
a wrong answer. It cannot calculate, write programs or translate, and it understands only simple English sentences much
like those above. Its stories are grammatical, but the hero and
the friend often get one and the same name, and the thing asked for may become another. Of what it was told it mixes up
which name belongs to whom, and after a few hundred tokens mostly knows only that something was told, as the table shows. It is a toy to test an engine with, not a source of advice.

## Licence

Apache-2.0, weights and grammar.

## Files

`trainer-logits.json` holds logits of the trainer's forward pass for three token sequences (f32, these weights): an
implementation should reproduce them to 1e-4.
"""


def model_card(model: Griffin, tokenizer: Tokenizer, figures: dict[str, str]) -> str:
    config = model.config
    parameters = sum(p.numel() for p in model.parameters())
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
        held_out=len(names.HELD_OUT),
        made_up=f"{len(names.STARTS) * len(names.CLOSINGS):,}",
        colors=len(words.COLORS),
        attention=config.layers.count("attention"),
        reach=config.layers.count("attention") * config.window,
        recall=memory_table(score(model, tokenizer, DIALOGUES)),
        samples="\n\n".join(sample(model, tokenizer, prompt) for prompt in PROMPTS),
    )


def memory_table(scores: Scores) -> str:
    share = lambda right, of: f"{right / of:.0%}" if of else "–"  # noqa: E731
    rows = ["| tokens | told: right | names: right | names: first piece | wrongly \"I don't know\" | asked | never told: \"I don't know\" |", "|---|---|---|---|---|---|---|"]
    for span, told in scores.told.items():
        name, never = scores.names[span], scores.never_told[span]
        cells = [f"{span[0]}–{span[1] - 1}", share(told.right, told.asked), share(name.right, name.asked), share(name.first, name.asked),
                 share(told.unknown, told.asked), str(told.asked), share(never.right, never.asked)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


@torch.no_grad()
def sample(model: Griffin, tokenizer: Tokenizer, prompt: str) -> str:
    reply = tokenizer.decode(generate(model, chat_prompt(prompt, tokenizer), 300)).replace("\n", "\n> ")
    return f"**{prompt}**\n\n> {reply}"
