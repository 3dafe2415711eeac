"""What should someone know who uses the model?

    python card.py ../models/fledgling-4m

Writes MODEL_CARD.md of an exported model, from its config, its training log, and what `npm run eval:model` wrote into its
folder `measured`.
"""

import json
import re
import sys
from pathlib import Path

from safetensors import safe_open

import names
from griffin import Config
from stories import PLOTS
from templates import part

CARD = """---
license: apache-2.0
language: en
tags: [griffin, recurrent-gemma, tiny]
---

# Fledgling, {millions} M parameters

A small Griffin model that tells children's stories, makes small talk and remembers what it was told far beyond its
attention window. It exists so that an engine has something real to run: it loads in a moment.

## What it is

| | |
|---|---|
| architecture | Griffin (RecurrentGemma format): {layers} |
| parameters | {parameters:,}, embeddings shared with the output |
| width, MLP, heads | {width}, {mlp}, {heads} of {head_width} with one key and value head |
| attention window | a token sees itself and {window} earlier ones; the {attention} attention layers one after the other reach {reach} |
| vocabulary | {vocabulary} pieces, byte fallback |
| weights | bfloat16, {bytes:.1f} MB; served in 8 bits, half of that |

## Training

Only text of the project's own grammar (`training/grammar.py`): stories of {plots} plots, chats, and dialogues in which
facts are told and later asked for. No other text was trained on, no other model was used. {tokens} M tokens, {minutes}
minutes of one core of a server's CPU; commands, seeds and settings are in `training/README.md`, the log is
`training-log.txt`.

## Measures

Printed by `npm run eval:model`. Held out means: the {held_out} names, the sentences that tell and ask, the talk in
between and two of the plots are in no training text. Names are composed of {starts} beginnings and {ends} ends, one token each;
a held-out name is a pair that was never seen together, and people and pets have beginnings and ends of their own. A dialogue tells three facts and one about somebody else, talks about
other things, and then asks for the three and for two that were never told. The replies to what is told are the model's own.
Right means that greedy decoding says exactly the expected sentence up to the end of the value. What is further away than {reach} tokens can only come from the recurrent state.

![recall by distance](measured/recall.svg)

{measures}

The text by people is only measured, for comparison; its attributions are in `training/real-text.jsonl`:

{attributions}

`npm run eval:model -- --check` fails below what it should reach. What is asked at a distance is written into the state when it is
told, so distance itself costs little. What is told or asked in a way that is far from every sentence of the training is lost where it
is told, or answered with "I don't know" where it is asked.

The loss on own stories and chats that were not in training is high because the model has learned its plots and answers nearly
by heart and is sure of them; the first row is of new documents made of the plots and answers that were in training. rg8 is served:
what it costs is in the table above, rg4 costs more and remembers as well.

An unwanted word, an address, a telephone number or a link was found in {unwanted} of {replies} replies at temperature {temperature}
({weights}, `npm run eval:model -- --weights {weights} --scan {replies}`).

## What it cannot do

It knows nothing outside its grammar: to many questions about the world it says that it does not know, to others it gives
a wrong answer. It cannot calculate, write programs or translate, and it understands only simple English sentences much
like those above. It remembers eight kinds of fact: the user's name,
age and town, the name of a cat or a dog, a favorite color and food, a lucky number, and where a key is. It knows by their
sound which names are people's and which are pets', and of names that are not made of its parts it may keep only a piece. It
does not remember what other people are called: with names that sound alike it mixes up whose they are. At temperature 1 words now and
then run together, or a name loses its beginning (the scan above also prints the words that occur once: “wasround”, “namedlen”). It is a toy to test an engine with, not a source of advice.

## Licence

Apache-2.0, weights and grammar. `held-out/documents.jsonl` holds short texts by people under the licences named above.

## Files

`trainer-logits.json` holds logits of the trainer's forward pass for some token sequences (f32, these weights): an
implementation should reproduce them to 1e-4.
"""


def model_card(folder: Path) -> str:
    config = Config.load(folder / "config.json")
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        parameters = sum(tensors.get_tensor(name).numel() for name in tensors.keys())
    log = (folder / "training-log.txt").read_text()
    seconds = float(re.findall(r"^ *([\d.]+) s ", log, re.M)[-1])
    attention = config.layers.count("attention")
    real = [json.loads(line) for line in (Path(__file__).parent / "real-text.jsonl").read_text().splitlines()]
    return CARD.format(
        millions=round(parameters / 1e6),
        parameters=parameters,
        bytes=2 * parameters / 1e6,
        layers=", ".join(config.layers),
        width=config.width,
        mlp=config.mlp_width,
        heads=config.heads,
        head_width=config.head_width,
        window=config.window,
        attention=attention,
        reach=attention * config.window,
        vocabulary=config.vocab_size,
        plots=len(part(list(PLOTS), held_out=False)),
        tokens=re.findall(r"([\d.]+) M tokens", log)[-1],
        minutes=round(seconds / 60),
        **json.loads((folder / "measured" / "scan.json").read_text()),
        held_out=len(names.HELD_OUT),
        starts=sum(len(starts) for starts in names.STARTS.values()),
        ends=sum(len(ends) for ends in names.ENDS.values()),
        measures=(folder / "measured" / "report.md").read_text().strip(),
        attributions="\n".join(dict.fromkeys(f"- {text['source']}: {text['attribution']}" for text in real)),
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "MODEL_CARD.md").write_text(model_card(folder))
