from __future__ import annotations

from collections import Counter

import numpy as np

from editar_cli.synthesis._wording import varied


def many(sentence: str, **options) -> Counter[str]:
    return Counter(varied(sentence, np.random.default_rng(seed), **options) for seed in range(1500))


def test_half_of_the_sentences_stay_and_the_rest_are_many() -> None:
    said = many("make the colours of the grass stronger")
    assert 0.5 < said["make the colours of the grass stronger"] / 1500 < 0.8
    assert len(said) > 40


def test_the_same_generator_says_the_same() -> None:
    texts = [varied("remove the dog", np.random.default_rng(5)) for _ in range(2)]
    assert texts[0] == texts[1]


def test_politeness_fits_commands_only() -> None:
    polite = many("turn it into snow")
    assert sum(count for text, count in polite.items() if "please" in text) > 20
    assert any(text.startswith("could you turn it") for text in polite)
    assert not any("please" in text for text in many("snow"))
    assert not any(text.startswith("please") for text in many("could you add snow?"))


def test_spelling_crosses_the_ocean_both_ways() -> None:
    assert many("warm colors")["warm colours"]
    assert many("warm colours")["warm colors"]
    assert many("colourise it")["colorize it"]


def test_a_slip_touches_one_long_word_and_not_its_first_letter() -> None:
    slips = [text for text in many("a snowy day") if text.rstrip(".!") != "a snowy day"]
    assert slips
    for text in slips:
        first, second, third = text.rstrip(".!").split()
        assert (first, third) == ("a", "day") and second[0] == "s" and 4 <= len(second) <= 6


def test_short_words_are_typed_right() -> None:
    assert {text.rstrip(".!") for text in many("a red sky")} == {"a red sky"}


def test_a_sentence_that_must_not_come_out_does_not() -> None:
    assert many("add snow")["please add snow"]
    assert not many("add snow", never={"please add snow"})["please add snow"]
