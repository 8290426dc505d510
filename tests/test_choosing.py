from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from editar_cli import Editor, choosing
from editar_cli.choosing import BestOf, ClipScorer, OwnScorer, load_scorer
from editar_cli.decoding.decoder import Score
from editar_cli.editor import EditSession
from editar_cli.errors import ModelError, UsageError
from editar_cli.images import source_from_image, to_pixels
from editar_cli.metrics.clip import ClipScore
from editar_cli.pipeline import Asked, make_all
from tests.clip_files import write_tiny_clip


@pytest.fixture(scope="module")
def editor(tiny_bundle):
    return Editor.load(tiny_bundle, device="cpu")


@pytest.fixture
def session(editor):
    return EditSession(editor, editor.options(), seed=1)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def no_clip(monkeypatch):
    monkeypatch.setattr(choosing, "_cached_clip", lambda: None)


def asked(seed=0, text="make it snowy"):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    image = Image.fromarray(noise).resize((60, 40), Image.Resampling.BICUBIC)
    return Asked(source=source_from_image(image), text=text, seed=seed)


class Fixed:
    """Gives each candidate the score that was thought of before."""

    name, own = "fixed", False

    def __init__(self, *scores):
        self.scores = list(scores)

    def __call__(self, prepared, drawn):
        return self.scores[: len(drawn)]


def best_of(session, count, scorer, *, at_once=4, **more):
    return BestOf(session, count, scorer, at_once=at_once, **more)


def test_candidates_are_what_the_session_makes_with_their_seeds(session):
    maker = best_of(session, 3, Fixed(0, 1, 0), keep=True)
    (made,) = make_all(maker, [asked(5)])
    seeds = [one.seed for one in maker.prepare(asked(5))]
    assert seeds[0] == 5 and len(set(seeds)) == 3
    alone = make_all(session, [replace(asked(5), seed=seed) for seed in seeds])
    for candidate, one in zip(made.candidates, alone, strict=True):
        assert np.array_equal(candidate, one.pixels)
    assert np.array_equal(made.pixels, alone[1].pixels)
    assert made.found == {"scores": [0, 1, 0], "chosen": 2}


@pytest.mark.parametrize(
    ("scores", "chosen"), [((1, 0, 0), 1), ((0, 0, 2), 3), ((1, 1, 1), 1), ((0, 2, 2), 2)]
)
def test_the_best_is_kept_and_of_equals_the_first(session, scores, chosen):
    (made,) = make_all(best_of(session, 3, Fixed(*scores)), [asked()])
    assert made.found["chosen"] == chosen
    assert made.candidates == (), "kept where that is asked for"


@pytest.mark.parametrize("name", ["likelihood", "ratio"])
def test_the_choice_does_not_depend_on_batch_or_company(session, name):
    pictures = [asked(seed) for seed in range(4)]
    found = []
    for slots, at_once in ((1, 1), (1, 8), (2, 3), (4, 16)):
        maker = best_of(session, 4, OwnScorer(name), at_once=at_once)
        found.append(make_all(maker, pictures, slots=slots))
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.found["chosen"] == other.found["chosen"]
            assert one.found["scores"] == pytest.approx(other.found["scores"], abs=1e-4)
            assert np.array_equal(one.pixels, other.pixels)
    assert len({made.found["chosen"] for made in found[0]}) > 1, "not always the first"


def test_the_models_own_score_is_that_of_the_picture_alone(session):
    maker = best_of(session, 2, OwnScorer("likelihood"))
    (made,) = make_all(maker, [asked(3)])
    for one, score in zip(maker.prepare(asked(3)), made.found["scores"], strict=True):
        ((_, drawn),) = session.stream([one], slots=1)
        assert score == pytest.approx(drawn.score.likelihood, abs=1e-4)


def test_nothing_is_scored_for_a_scorer_that_looks(session):
    assert not any(one.scored for one in best_of(session, 2, Fixed(0, 0)).prepare(asked()))
    assert all(one.scored for one in best_of(session, 2, OwnScorer("ratio")).prepare(asked()))


def test_a_variation_has_other_candidates(session):
    maker = best_of(session, 3, OwnScorer("ratio"))
    first, other = maker.prepare(asked(1)), maker.vary(maker.prepare(asked(1)), 2)
    assert [one.seed for one in other] == [
        one.seed for one in maker.prepare(replace(asked(1), seed=2))
    ]
    assert not {one.seed for one in first} & {one.seed for one in other}
    assert all(one.scored and one.square is other[0].square for one in other)


def test_progress_counts_pictures_and_less_memory_is_told_in_pictures(session, monkeypatch):
    drawn, told = [], []
    stream = session.stream

    def short(prepared, *, slots, on_drawn, on_fewer_slots):
        on_fewer_slots(slots // 2)
        return stream(prepared, slots=1, on_drawn=on_drawn, on_fewer_slots=on_fewer_slots)

    monkeypatch.setattr(session, "stream", short)
    maker = best_of(session, 4, OwnScorer("ratio"), at_once=8)
    prepared = [maker.prepare(asked(seed)) for seed in range(2)]
    results = list(
        maker.stream(prepared, slots=2, on_drawn=drawn.append, on_fewer_slots=told.append)
    )
    assert [number for number, _ in results] == [0, 1]
    assert sum(drawn) == pytest.approx(2)
    assert told == [1] and maker.at_once == 4


def test_facts_say_how_it_was_chosen(session):
    facts = best_of(session, 3, OwnScorer("ratio")).facts
    assert (facts["best_of"], facts["scorer"], facts["model"]) == (3, "ratio", "tiny")


def test_where_the_model_had_nothing_to_decide_all_are_equal():
    class Drawn:
        score = None

    class Unguided:
        score = Score(likelihood=-1.0, ratio=None)

    assert OwnScorer("likelihood")(None, [Drawn(), Unguided()]) == [0.0, -1.0]
    assert OwnScorer("ratio")(None, [Drawn(), Unguided()]) == [0.0, 0.0]


def test_auto_is_clip_where_it_is_here_and_else_the_model_itself(no_clip, clip_folder):
    assert load_scorer("auto").name == "ratio"
    assert load_scorer("auto", guided=False).name == "likelihood"
    assert load_scorer("auto", weights=clip_folder).name == "clip"
    assert load_scorer("likelihood").name == "likelihood"


def test_clip_in_the_hubs_cache_is_taken(monkeypatch, clip_folder):
    asked_for = []

    def cached(name, file):
        asked_for.append(name)
        return "found" if "base" in name and file == "model.safetensors" else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    assert choosing._cached_clip() == "openai/clip-vit-base-patch32"
    assert "large" in asked_for[0], "the larger one first"


def test_clip_that_is_not_here_says_what_brings_it(no_clip, tmp_path):
    with pytest.raises(ModelError, match=r"hf download openai/clip.*--scorer-weights"):
        load_scorer("clip")
    with pytest.raises(ModelError, match="--scorer clip"):
        load_scorer("clip", weights=tmp_path / "gone")


def test_settings_that_contradict_each_other_are_refused(clip_folder):
    with pytest.raises(UsageError, match="--scorer-weights and --scorer ratio"):
        load_scorer("ratio", weights=clip_folder)
    with pytest.raises(UsageError, match="--scorer ratio and --guidance 1"):
        load_scorer("ratio", guided=False)


def test_clips_score_is_the_directional_similarity(session, clip_folder):
    clip = ClipScore(clip_folder, local_only=True)
    scorer = load_scorer("clip", weights=clip_folder)
    maker = best_of(session, 3, scorer)
    prepared = maker.prepare(asked(4))
    ((_, drawn),) = maker.stream([prepared], slots=1)
    scores = scorer(prepared[0], drawn)
    text = clip.text("make it snowy") - clip.text("a photo")
    before = clip.image(to_pixels(drawn[0].before))
    for one, score in zip(drawn, scores, strict=True):
        step = clip.image(to_pixels(one.after)) - before
        wanted = float((step @ text) / (step.norm() * text.norm()))
        assert score == pytest.approx(wanted, abs=1e-5)
    lazy = replace(drawn[0], after=drawn[0].before)
    assert scorer(prepared[0], [lazy]) == [0.0]
    made = maker.finish(prepared, drawn)
    assert made.found["chosen"] == 1 + int(torch.tensor(scores).argmax())
    assert isinstance(scorer, ClipScorer)
