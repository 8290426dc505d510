import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from editar_cli.errors import EditarError, ImageError
from editar_cli.synthesis import scenes

BOX_FACES = ("1 2 3 4", "5 8 7 6", "1 5 6 2", "2 6 7 3", "3 7 8 4", "4 8 5 1")


def write_box(path: Path, width: float, height: float, depth: float) -> Path:
    """A box as furniture files have it: y up, any unit, no normals."""
    corners = [
        (x * width, y * height, z * depth)
        for y in (0, 1)
        for x, z in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    lines = ["o box", *(f"v {x} {y} {z}" for x, y, z in corners)]
    lines += [f"f {face}" for face in BOX_FACES]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def models(tmp_path: Path) -> list[tuple[str, Path]]:
    folder = tmp_path / "models"
    folder.mkdir()
    sizes = [(40, 45, 40), (80, 200, 50), (200, 80, 90), (60, 75, 60), (1, 1, 1), (5, 4, 6)]
    return [
        (f"box {number}", write_box(folder / f"{number}.obj", *size))
        for number, size in enumerate(sizes)
    ]


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(60, 256, (90, 120, 3)).astype(np.uint8)


def test_depth_map_shows_near_bright_in_inverse_depth() -> None:
    depth = np.array([[1.0, 2.0], [4.0, 4.0]], np.float32)
    # Inverse depths 1, 1/2, 1/4, 1/4: one third of the way up for 2 m.
    np.testing.assert_array_equal(scenes.depth_map(depth), [[255, 85], [0, 0]])
    assert scenes.depth_map(depth).dtype == np.uint8


def test_depth_map_of_an_even_depth_is_black() -> None:
    assert not scenes.depth_map(np.full((3, 4), 2.5, np.float32)).any()


def test_a_missing_renderer_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, models: list[tuple[str, Path]]
) -> None:
    monkeypatch.setitem(sys.modules, "pybullet", None)
    with pytest.raises(EditarError, match=r'pip install "editar\[scenes\]"'):
        scenes.render_scene(models, [], seed=0)


def test_models_are_normalised_by_their_bounding_box(tmp_path: Path) -> None:
    mesh = scenes._read_obj(write_box(tmp_path / "box.obj", 200, 100, 50))
    assert mesh is not None
    np.testing.assert_allclose(mesh.extent, [1, 0.25, 0.5])
    np.testing.assert_allclose(mesh.corners.min(axis=(0, 1)), [-0.5, -0.125, 0])
    np.testing.assert_allclose(mesh.corners.max(axis=(0, 1)), [0.5, 0.125, 0.5])
    assert len(mesh.corners) == 12


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v 0 0 0\nv 1 1 1\nf 1 2 9\n",
        "v 0 0 0\nv 1 x 1\nv 1 0 0\nf 1 2 3\n",
        "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
        "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n",
        "v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n",
    ],
    ids=["empty", "missing vertex", "no number", "needle", "nan", "two coordinates"],
)
def test_unusable_models_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.obj"
    path.write_text(text)
    assert scenes._read_obj(path) is None


def test_negative_indices_count_from_the_newest_vertex(tmp_path: Path) -> None:
    path = tmp_path / "triangle.obj"
    path.write_text("v 9 9 9\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n")
    mesh = scenes._read_obj(path)
    assert mesh is not None
    np.testing.assert_allclose(mesh.extent, [1, 0, 1])


def test_depth_is_the_distance_along_the_view_axis(tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    east, north, up = np.eye(3)
    camera = scenes._Camera(
        eye=np.array([0, 0, 1.0]), target=np.array([0, 1.0, 1.0]), field_of_view=50.0
    )
    light = scenes._draw_light(np.random.default_rng(0))
    red = np.full((8, 8, 3), (200, 0, 0), np.uint8)
    with scenes._World() as world:
        path = world.file(".obj")
        scenes._write_panel(path, 4.5 * north - 4 * east - 4 * up, 8 * east, 8 * up)
        body = world.add(path, red)
        image, depth, numbers = world.render(camera, light, 33)
    assert (numbers == body).all()
    np.testing.assert_allclose(depth, 4.5, atol=1e-3)
    assert image[..., 0].min() > 60
    assert image[..., 1:].max() < 30


def test_floor_pixels_lie_on_the_floor(tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    rng = np.random.default_rng(3)
    camera, light, side = scenes._draw_camera(rng), scenes._draw_light(rng), 48
    with scenes._World() as world:
        floor = scenes._build_room(world, [], rng)
        _, depth, numbers = world.render(camera, light, side)
    rows, columns = np.nonzero(numbers == floor)
    assert len(rows) > side
    reach = np.tan(np.radians(camera.field_of_view) / 2)
    right, up, ahead = scenes._axes(camera)
    across = ((columns + 0.5) / side * 2 - 1) * reach
    upward = (1 - (rows + 0.5) / side * 2) * reach
    rays = ahead + across[:, None] * right + upward[:, None] * up
    heights = (camera.eye + depth[rows, columns][:, None] * rays)[:, 2]
    # Half a pixel on the floor is a few centimetres at this size.
    assert np.abs(heights).max() < 0.06


def test_a_scene_shows_every_object_it_names(
    models: list[tuple[str, Path]], photo: np.ndarray
) -> None:
    pytest.importorskip("pybullet")
    for seed in range(4):
        scene = scenes.render_scene(models, [photo], seed=seed, size=64)
        assert scene.image.shape == (64, 64, 3)
        assert scene.image.dtype == np.uint8
        assert scene.depth.dtype == np.float32
        assert scene.ids.dtype == np.int32
        assert 2 <= len(scene.names) <= 6
        assert set(scene.names) <= {name for name, _ in models}
        assert set(np.unique(scene.ids)) == set(range(len(scene.names) + 1))
        assert 0.3 < scene.depth.min() < scene.depth.max() < 15
        assert scene.image.mean() > 40


def test_objects_stand_in_front_of_the_room(models: list[tuple[str, Path]]) -> None:
    pytest.importorskip("pybullet")
    scene = scenes.render_scene(models, [], seed=2, size=64)
    farthest = scene.depth[scene.ids == 0].max()
    assert scene.depth[scene.ids > 0].max() < farthest


def test_the_same_seed_gives_the_same_scene(
    models: list[tuple[str, Path]], photo: np.ndarray
) -> None:
    pytest.importorskip("pybullet")
    first, again, other = (
        scenes.render_scene(models, [photo], seed=seed, size=48) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.depth, again.depth)
    np.testing.assert_array_equal(first.ids, again.ids)
    assert first.names == again.names
    assert (first.image != other.image).any()


def test_unusable_models_are_passed_over(models: list[tuple[str, Path]], tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    bad = tmp_path / "bad.obj"
    bad.write_text("no model\n")
    mixed = [("bad", bad), *models[:4], ("absent", tmp_path / "absent.obj")]
    for seed in range(3):
        names = scenes.render_scene(mixed, [], seed=seed, size=32).names
        assert not {"bad", "absent"} & set(names)


def test_no_usable_model_is_an_error_for_people(tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    bad = tmp_path / "bad.obj"
    bad.write_text("")
    with pytest.raises(ImageError, match="2 models"):
        scenes.render_scene([("a", bad), ("b", bad)], [], seed=0, size=32)


def test_a_folder_is_rendered_once_and_goes_on_where_it_stopped(
    models: list[tuple[str, Path]], photo: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("pybullet")
    photos, output = tmp_path / "photos", tmp_path / "out" / "scenes"
    photos.mkdir()
    Image.fromarray(photo).save(photos / "a.png")

    def render(count: int, workers: int = 1) -> list[int]:
        return list(
            scenes.render_folder(
                models[0][1].parent, photos, output, count=count, seed=1, size=32, workers=workers
            )
        )

    assert render(2) == [0, 1]
    assert sorted(path.name for path in output.iterdir()) == [
        "0000.depth.png",
        "0000.jpg",
        "0001.depth.png",
        "0001.jpg",
    ]
    image = Image.open(output / "0000.jpg")
    depth = Image.open(output / "0000.depth.png")
    assert (image.mode, image.size) == ("RGB", (32, 32))
    assert (depth.mode, depth.size) == ("L", (32, 32))
    assert depth.getextrema() == (0, 255)
    assert render(2) == []
    before = (output / "0001.jpg").read_bytes()
    (output / "0001.jpg").unlink()
    assert render(3, workers=2) == [1, 2]
    assert (output / "0001.jpg").read_bytes() == before


def test_an_empty_folder_is_named(models: list[tuple[str, Path]], tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EditarError, match=str(empty)):
        next(scenes.render_folder(models[0][1].parent, empty, tmp_path / "out", count=1))
    with pytest.raises(EditarError, match="absent"):
        next(scenes.render_folder(tmp_path / "absent", empty, tmp_path / "out", count=1))
