"""Is the text what it should be?  Run with `python -m pytest`."""

import json
import re
from random import Random

import pytest
from tokenizers import Tokenizer

import chats
import facts
import names
import recall
import recall_facts
import stories
import tokenizer as bpe
import words
from curriculum import STAGES
from grammar import MIX, new_document
from templates import part

DOCUMENTS = 1500


@pytest.fixture(scope="module")
def training_text() -> str:
    rng = Random(3)
    mixes = [(stage.mix, stage.gaps, stage.typical) for stage in STAGES]
    return "\n".join(new_document(rng, *mixes[i % len(mixes)]).text for i in range(DOCUMENTS))


def test_the_same_seed_gives_the_same_documents() -> None:
    assert [new_document(Random(seed)).text for seed in range(20)] == [new_document(Random(seed)).text for seed in range(20)]
    assert len({new_document(Random(seed)).text for seed in range(200)}) > 190


def test_no_template_is_left_unfilled(training_text: str) -> None:
    assert not re.search(r"[\[\]{}|*~]", training_text)
    assert "a(n)" not in training_text and "  " not in training_text
    assert not re.search(r"\b[Aa] [aeio]\w+", training_text.replace("a one", ""))


def test_a_story_has_many_plots_and_words() -> None:
    assert len(part(list(stories.PLOTS), held_out=False)) >= 20
    words = {word.lower() for seed in range(600) for word in re.findall(r"[a-z]+", stories.new_story(Random(seed)))}
    assert len(words) > 1000


# What is kept for the test


def test_held_out_names_are_in_no_training_text(training_text: str) -> None:
    assert len(set(names.HELD_OUT)) == len(names.HELD_OUT) >= 200
    assert not set(names.HELD_OUT) & set(re.findall(r"[A-Z][a-z]+", training_text))


def test_held_out_talk_is_in_no_training_text(training_text: str) -> None:
    for question, answer in part(facts.FACTS, held_out=True):
        assert question not in training_text and answer not in training_text
    for joke in part(facts.JOKES, held_out=True):
        assert joke not in training_text
    for _, answer in part(chats.SMALL_TALK, held_out=True):
        assert answer.split("[")[0].strip() not in training_text or len(answer.split("[")[0]) < 25


def test_an_examination_tells_and_asks_with_sentences_that_are_not_trained_on(training_text: str) -> None:
    for seed in range(100):
        memory = recall.examination(Random(seed), 500)
        for turn, kind, mentioned in memory.questions:
            assert memory.turns[turn][0] not in training_text
            if mentioned is not None and kind in recall_facts.NAMES:
                assert memory.values[kind] in names.HELD_OUT


# Whether the answers are right


@pytest.mark.parametrize("kind", list(recall_facts.FACTS))
def test_every_value_can_be_told_and_asked(kind: str) -> None:
    for seed in range(50):
        for held_out in (False, True):
            memory = recall.Memory(Random(seed), held_out)
            memory.ask(kind)
            memory.tell([kind])
            memory.ask(kind)
            (_, unknown), (told, _), (_, answer) = memory.turns
            value = memory.values[kind]
            assert unknown.startswith("~I~ don't know")
            assert value.lower() in told.lower() and f"*{value}*" in answer


def test_an_answer_holds_what_was_told_last() -> None:
    for seed in range(200):
        rng = Random(seed)
        memory = recall.Memory(rng)
        kind = rng.choice(list(recall_facts.FACTS))
        memory.tell([kind])
        first = memory.values[kind]
        memory.talk(200)
        memory.tell([kind], correcting=True)
        memory.ask(kind)
        assert memory.values[kind] != first
        assert f"*{memory.values[kind]}*" in memory.turns[-1][1]


def test_nothing_but_what_was_told_is_known() -> None:
    for seed in range(100):
        memory = recall.examination(Random(seed), 300)
        for turn, kind, mentioned in memory.questions:
            assert ("don't know" in memory.turns[turn][1]) == (mentioned is None)


@pytest.mark.parametrize("held_out", [False, True])
def test_people_and_pets_have_names_of_their_own(held_out: bool) -> None:
    people, pets = set(names.PEOPLE[held_out]), set(names.OF_PETS[held_out])
    assert not people & pets
    for parts in (names.STARTS, names.ENDS):
        assert not set(parts["people"]) & set(parts["pets"])
    assert people | pets == (set(names.HELD_OUT) if held_out else set(names.TRAINED))


# The tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_str(json.dumps(bpe.train()))


def test_text_comes_back(tokenizer: Tokenizer) -> None:
    for text in [*(new_document(Random(seed), MIX).text for seed in range(30)), "Zoë’s café: 3 × 4 = 12 😀", "  two  spaces\n\n"]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_no_piece_reaches_over_a_word(tokenizer: Tokenizer) -> None:
    for piece in tokenizer.get_vocab():
        assert "▁" not in piece[1:] or piece.startswith("<")


def test_a_composed_name_is_its_two_parts(tokenizer: Tokenizer) -> None:
    for kind, composed in names.COMPOSED.items():
        for name in composed:
            for before in (" ", "\n"):
                pieces = [piece for piece in tokenizer.encode(before + name, add_special_tokens=False).tokens if piece != "\n"]
                assert len(pieces) == 2 and pieces[0].strip("▁") in names.STARTS[kind] and pieces[1] in names.ENDS[kind], pieces


def test_other_values_are_one_token(tokenizer: Tokenizer) -> None:
    places = [place.split()[-1] for place in words.HIDING_PLACES]
    for value in names.GIRLS + names.BOYS + names.PETS + names.TOWNS + words.COLORS + words.FACT_FOODS + words.NUMBERS + words.AGES + places:
        assert len(tokenizer.encode(" " + value, add_special_tokens=False).ids) == 1, value


def test_facts_about_others_are_not_the_users() -> None:
    for seed in range(100):
        memory = recall.Memory(Random(seed))
        memory.tell_of_another()
        assert memory.turns and not memory.values
