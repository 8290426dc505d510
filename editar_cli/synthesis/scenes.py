"""Small indoor scenes rendered from furniture models, with exact depth and object ids.

Photographs cover walls and floors; the models are OBJ files without materials, painted here. The
renderer is pybullet's TinyRenderer on the CPU, without a display: an optional dependency,
`pip install "editar[scenes]"`.
"""

from __future__ import annotations

import importlib
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from editar_cli.errors import EditarError, ImageError
from editar_cli.synthesis._effect import Photo

Depth = npt.NDArray[np.float32]
"""Distances along the view axis in metres, HW."""

Ids = npt.NDArray[np.int32]
"""0 for the room and k for the k-th object, HW."""

_Points = npt.NDArray[np.float64]

MIN_OBJECTS = 2
MAX_OBJECTS = 6

_NEAR = 0.1
_FAR = 30.0
_SAMPLES = 3
"""Rays per pixel and axis. Odd, so that one ray goes through the pixel's centre: its depth and
id are the pixel's, while the colour is the mean over all."""

_TRIAL_SIDE = 96
"""Side in pixels of the quick picture that tells which objects can be seen."""

_LEAST_SEEN = 0.004
"""Least fraction of the picture that an object covers; smaller ones leave the scene."""

_ATTEMPTS = 12
"""Arrangements tried until one shows at least MIN_OBJECTS objects."""

_MAX_FACES = 40_000
_NEEDLE = 0.03
"""A model whose second largest extent is under this fraction of its largest has no visible
surface."""

_WALL_HEIGHT = 7.0
"""Metres; taller than any view, since a ceiling would put the whole room in shadow."""

_PALETTE = 4
"""Colours of one object: its parts (OBJ groups) take them in turn."""

_TEXTURE_SIDE = 512

_SHADOW_SIDE = 448
_SHADOW_REACH = 4.0
"""Metres from the middle of the floor to the edge of the shadow map."""
_PHOTOS_PER_SCENE = 3


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One rendered scene.

    `image` is HWC uint8 RGB, `depth` HW float32 in metres along the view axis, `ids` HW int32
    with 0 for the room and k for the k-th object, whose name is `names[k - 1]`. Every object
    covers part of the picture.
    """

    image: Photo
    depth: Depth
    ids: Ids
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        assert self.image.shape == (*self.depth.shape, 3)
        assert self.ids.shape == self.depth.shape
        assert int(self.ids.max()) <= len(self.names)


@dataclass(frozen=True, kw_only=True)
class _Mesh:
    """Triangles of one model: `corners` (T, 3, 3), `normals` (T, 3, 3), `parts` (T,).

    Z up, standing on z = 0, centred, largest extent 1; `extent` is width, depth and height.
    """

    corners: _Points
    normals: _Points
    parts: npt.NDArray[np.int64]
    extent: _Points


@dataclass(frozen=True, kw_only=True)
class _Camera:
    """A pinhole camera with a square picture; metres and degrees."""

    eye: _Points
    target: _Points
    field_of_view: float


@dataclass(frozen=True, kw_only=True)
class _Light:
    """A distant light: `direction` points towards it; the strengths are relative to white."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]
    ambient: float
    diffuse: float


def _pybullet() -> Any:
    try:
        return importlib.import_module("pybullet")
    except ModuleNotFoundError as error:
        raise EditarError(
            "Scenes are rendered with pybullet, which is not installed. "
            'Install it with: pip install "editar[scenes]"'
        ) from error


def _unit(vectors: _Points) -> _Points:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return cast(_Points, vectors / np.maximum(lengths, 1e-12))


def _index(text: str, count: int) -> int:
    """OBJ counts from 1, and backwards from the newest element when negative."""
    number = int(text)
    index = number - 1 if number > 0 else count + number
    if not 0 <= index < count:
        raise ValueError("index outside the file")
    return index


def _read_obj(path: Path) -> _Mesh | None:
    """The model, or None where the file is damaged, empty, flat to a line or far too large."""
    points: list[tuple[float, ...]] = []
    normals: list[tuple[float, ...]] = []
    triangles: list[tuple[int, int, int]] = []
    triangle_normals: list[tuple[int, int, int]] = []
    parts: list[int] = []
    part = -1
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                points.append(tuple(float(word) for word in words[1:4]))
            elif words[0] == "vn":
                normals.append(tuple(float(word) for word in words[1:4]))
            elif words[0] in ("o", "g", "usemtl"):
                # Several of them can precede one face list: count only parts that have faces.
                part = len(parts)
            elif words[0] == "f":
                corners, directions = [], []
                for word in words[1:]:
                    fields = word.split("/")
                    corners.append(_index(fields[0], len(points)))
                    has_normal = len(fields) > 2 and fields[2]
                    directions.append(_index(fields[2], len(normals)) if has_normal else -1)
                for i in range(1, len(corners) - 1):
                    triangles.append((corners[0], corners[i], corners[i + 1]))
                    triangle_normals.append((directions[0], directions[i], directions[i + 1]))
                    parts.append(part)
        if not triangles or len(triangles) > _MAX_FACES:
            return None
        vertices = np.array(points, np.float64)[np.array(triangles)]
        given = np.array([*normals, (0.0, 0.0, 0.0)], np.float64)[np.array(triangle_normals)]
    except (OSError, ValueError, IndexError):
        return None
    if vertices.shape[1:] != (3, 3) or not np.isfinite(vertices).all():
        return None

    # OBJ furniture is y-up and looks along +z; here z is up and the camera looks along +y.
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    vertices, given = vertices @ turn, given @ turn
    flat = np.cross(vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0])
    low, high = vertices.min(axis=(0, 1)), vertices.max(axis=(0, 1))
    extent = high - low
    largest = float(extent.max())
    if not largest > 0 or float(np.sort(extent)[1]) < _NEEDLE * largest:
        return None
    kept = np.linalg.norm(flat, axis=1) > 1e-12 * largest**2
    if not kept.any():
        return None
    vertices, given, flat = vertices[kept], given[kept], _unit(flat[kept])[:, None]
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    usable = np.isfinite(given).all(axis=-1) & (np.linalg.norm(given, axis=-1) > 1e-6)
    shaded = np.where(usable[..., None], _unit(np.nan_to_num(given)), flat)
    # Normals must agree with the winding, which decides which side is drawn.
    shaded = np.where((shaded * flat).sum(axis=-1, keepdims=True) < 0, -shaded, shaded)
    return _Mesh(
        corners=(vertices - middle) / largest,
        normals=shaded,
        parts=np.unique(np.array(parts)[kept], return_inverse=True)[1],
        extent=extent / largest,
    )


def _write_mesh(mesh: _Mesh, path: Path) -> None:
    """As OBJ with every face in both windings: models do not agree on one, and the renderer
    leaves out faces seen from behind. The texture coordinate picks the part's colour.
    """
    corners = np.concatenate([mesh.corners, mesh.corners[:, ::-1]]).reshape(-1, 3)
    normals = np.concatenate([mesh.normals, -mesh.normals[:, ::-1]]).reshape(-1, 3)
    colours = np.concatenate([mesh.parts, mesh.parts]) % _PALETTE
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in corners.tolist()]
    lines += [f"vt {(colour + 0.5) / _PALETTE:.4f} 0.5" for colour in range(_PALETTE)]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in normals.tolist()]
    for face, colour in enumerate((colours + 1).tolist()):
        vertex = 3 * face + 1
        lines.append("f " + " ".join(f"{vertex + i}/{colour}/{vertex + i}" for i in range(3)))
    path.write_text("\n".join(lines) + "\n")


def _write_panel(path: Path, origin: _Points, across: _Points, along: _Points) -> None:
    """A flat panel as OBJ, one metre squares or smaller, texture over the whole.

    It faces the side from which `across` to `along` turns counter-clockwise.
    """
    columns = max(1, int(np.ceil(np.linalg.norm(across))))
    rows = max(1, int(np.ceil(np.linalg.norm(along))))
    normal = _unit(np.cross(across, along))
    lines = []
    for row in range(rows + 1):
        for column in range(columns + 1):
            u, v = column / columns, row / rows
            x, y, z = origin + u * across + v * along
            lines += [f"v {x:.6f} {y:.6f} {z:.6f}", f"vt {u:.6f} {v:.6f}"]
    lines.append(f"vn {normal[0]:.6f} {normal[1]:.6f} {normal[2]:.6f}")
    for row in range(rows):
        for column in range(columns):
            a = row * (columns + 1) + column + 1
            b, c, d = a + 1, a + columns + 2, a + columns + 1
            for face in ((a, b, c), (a, c, d)):
                lines.append("f " + " ".join(f"{i}/{i}/1" for i in face))
    path.write_text("\n".join(lines) + "\n")


def _hsv(hue: float, saturation: float, value: float) -> Photo:
    """RGB (3,) uint8 of hue, saturation and value, each in [0, 1]."""
    sector = (np.array([5.0, 3.0, 1.0]) + 6 * hue) % 6
    share = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    rgb = 255 * value * (1 - saturation * share)
    return rgb.round().astype(np.uint8)


def _object_colours(rng: np.random.Generator) -> Photo:
    """A palette strip, (8, 8 * _PALETTE, 3): one hue with accents, or wood, white and grey."""
    kind = rng.random()
    hue, saturation, value = rng.random(), rng.uniform(0.4, 0.85), rng.uniform(0.55, 0.98)
    if 0.65 < kind < 0.83:
        hue, saturation, value = rng.uniform(0.05, 0.1), rng.uniform(0.4, 0.7), 0.85 * value
    elif kind >= 0.83:
        saturation *= 0.15
    strip = [_hsv(hue, saturation, value)]
    for _ in range(_PALETTE - 1):
        if rng.random() < 0.6:
            strip.append(_hsv(hue, saturation, float(np.clip(value * rng.uniform(0.7, 1.2), 0, 1))))
        else:
            strip.append(_hsv(rng.random(), rng.uniform(0, 0.6), rng.uniform(0.3, 0.95)))
    return np.repeat(np.repeat(np.array(strip, np.uint8)[None], 8, axis=0), 8, axis=1)


def _plain(rng: np.random.Generator) -> Photo:
    """A quiet wall or floor colour, (8, 8, 3)."""
    colour = _hsv(rng.random(), rng.uniform(0.03, 0.4), rng.uniform(0.6, 0.98))
    return np.broadcast_to(colour, (8, 8, 3)).astype(np.uint8)


def _crop(photo: Photo, rng: np.random.Generator, *, whole: bool) -> Photo:
    """A square part of the photo, (_TEXTURE_SIDE, _TEXTURE_SIDE, 3); parts are toned down."""
    height, width = photo.shape[:2]
    side = min(height, width)
    if not whole:
        side = max(1, round(side * rng.uniform(0.3, 0.8)))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    part = Image.fromarray(photo[top : top + side, left : left + side]).resize(
        (_TEXTURE_SIDE, _TEXTURE_SIDE), Image.Resampling.LANCZOS
    )
    if whole:
        return np.asarray(part)
    values = np.asarray(part, np.float32)
    mean = values.mean(axis=(0, 1), keepdims=True)
    # A dark photo would make a black wall.
    lift = max(0.0, 105.0 - float(mean.mean()))
    toned = mean + (values - mean) * rng.uniform(0.35, 0.9) + lift
    return cast(Photo, np.clip(toned, 0, 255).astype(np.uint8))


class _World:
    """One pybullet world and the folder its files lie in; a context manager."""

    def __init__(self) -> None:
        self._bullet = _pybullet()

    def __enter__(self) -> _World:
        self._folder = tempfile.TemporaryDirectory(prefix="editar-scene-")
        self._client = self._bullet.connect(self._bullet.DIRECT)
        assert self._client >= 0
        # Every scene writes its own files, so a cache by name would only grow.
        self._bullet.setPhysicsEngineParameter(enableFileCaching=0, physicsClientId=self._client)
        self._files = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bullet.disconnect(physicsClientId=self._client)
        self._folder.cleanup()

    def file(self, suffix: str) -> Path:
        self._files += 1
        return Path(self._folder.name) / f"{self._files}{suffix}"

    def add(
        self,
        model: Path,
        texture: Photo,
        *,
        scale: float = 1.0,
        place: tuple[float, float, float] = (0.0, 0.0, 0.0),
        yaw: float = 0.0,
    ) -> int:
        """Put a mesh into the world; returns its body number, or -1 if it cannot be shown."""
        bullet, client = self._bullet, self._client
        shape = bullet.createVisualShape(
            bullet.GEOM_MESH,
            fileName=str(model),
            meshScale=[scale] * 3,
            rgbaColor=[1, 1, 1, 1],
            specularColor=[0.08, 0.08, 0.08],
            physicsClientId=client,
        )
        if shape < 0:
            return -1
        body = int(
            bullet.createMultiBody(
                baseMass=0,
                baseVisualShapeIndex=shape,
                basePosition=place,
                baseOrientation=bullet.getQuaternionFromEuler([0, 0, yaw]),
                physicsClientId=client,
            )
        )
        image = self.file(".png")
        Image.fromarray(texture).save(image, compress_level=1)
        bullet.changeVisualShape(
            body,
            -1,
            textureUniqueId=bullet.loadTexture(str(image), physicsClientId=client),
            physicsClientId=client,
        )
        return body

    def remove(self, body: int) -> None:
        self._bullet.removeBody(body, physicsClientId=self._client)

    def render(self, camera: _Camera, light: _Light, side: int) -> tuple[Photo, Depth, Ids]:
        """RGB, depth in metres and body numbers (-1 where nothing is), side x side."""
        bullet, client = self._bullet, self._client
        _, _, colour, buffer, bodies = bullet.getCameraImage(
            side,
            side,
            viewMatrix=bullet.computeViewMatrix(
                camera.eye.tolist(), camera.target.tolist(), [0, 0, 1]
            ),
            projectionMatrix=bullet.computeProjectionMatrixFOV(
                camera.field_of_view, 1.0, _NEAR, _FAR
            ),
            lightDirection=light.direction,
            lightColor=light.colour,
            # The renderer's own shadows detach from the objects: see _shade_floor.
            shadow=0,
            lightAmbientCoeff=light.ambient,
            lightDiffuseCoeff=light.diffuse,
            lightSpecularCoeff=0.1,
            renderer=bullet.ER_TINY_RENDERER,
            physicsClientId=client,
        )
        image = np.asarray(colour, np.uint8).reshape(side, side, 4)[..., :3]
        values = np.asarray(buffer, np.float64).reshape(side, side)
        # The inverse of OpenGL's perspective depth, whose buffer runs from 0 to 1.
        depth = _FAR * _NEAR / (_FAR - (_FAR - _NEAR) * values)
        numbers = np.asarray(bodies, np.int32).reshape(side, side)
        return np.ascontiguousarray(image), depth.astype(np.float32), numbers


def _build_room(world: _World, photos: Sequence[Photo], rng: np.random.Generator) -> int:
    """Floor, back wall and side walls; or a floor before one photograph as a backdrop.

    Returns the body number of the floor.
    """

    def surface(chance: float) -> Photo:
        if photos and rng.random() < chance:
            return _crop(photos[int(rng.integers(len(photos)))], rng, whole=False)
        return _plain(rng)

    backdrop = bool(photos) and rng.random() < 0.4
    half = 8.0 if backdrop else rng.uniform(2.2, 3.6)
    back, front = rng.uniform(2.0, 3.2), -7.0
    east, north, up = np.eye(3)

    def panel(origin: _Points, across: _Points, along: _Points, texture: Photo) -> int:
        path = world.file(".obj")
        _write_panel(path, origin, across, along)
        body = world.add(path, texture)
        assert body >= 0
        return body

    ground = front * north - half * east
    floor = panel(ground, 2 * half * east, (back - front) * north, surface(0.6))
    far_corner = back * north - half * east
    if backdrop:
        photo = _crop(photos[int(rng.integers(len(photos)))], rng, whole=True)
        panel(far_corner, 2 * half * east, 1.2 * half * up, photo)
        return floor
    panel(far_corner, 2 * half * east, _WALL_HEIGHT * up, surface(0.55))
    side = surface(0.25)
    panel(ground, (back - front) * north, _WALL_HEIGHT * up, side)
    panel(far_corner + 2 * half * east, (front - back) * north, _WALL_HEIGHT * up, side)
    return floor


def _draw_camera(rng: np.random.Generator) -> _Camera:
    turn = rng.uniform(-0.35, 0.35)
    distance, height = rng.uniform(2.6, 3.7), rng.uniform(1.1, 2.2)
    eye = np.array([distance * np.sin(turn), -distance * np.cos(turn), height])
    target = np.array([rng.uniform(-0.2, 0.2), rng.uniform(0, 0.5), rng.uniform(0.35, 0.7)])
    return _Camera(eye=eye, target=target, field_of_view=float(rng.uniform(46, 60)))


def _draw_light(rng: np.random.Generator) -> _Light:
    # From the camera's side and from above: the room is open there.
    turn = rng.uniform(-0.6, 0.6)
    rise = rng.uniform(0.9, 1.25)
    direction = np.array([np.cos(rise) * np.sin(turn), -np.cos(rise) * np.cos(turn), np.sin(rise)])
    warmth = rng.uniform(-0.06, 0.06)
    x, y, z = direction.tolist()
    return _Light(
        direction=(x, y, z),
        colour=(1.0 + min(0.0, warmth), 1.0 - abs(warmth) / 2, 1.0 - max(0.0, warmth)),
        ambient=float(rng.uniform(0.45, 0.6)),
        diffuse=float(rng.uniform(0.4, 0.6)),
    )


def _draw_scale(mesh: _Mesh, rng: np.random.Generator) -> float:
    """A plausible largest extent in metres: tall things as cupboards, long ones as sofas."""
    width, depth, height = mesh.extent
    base = max(width, depth)
    if height > 1.6 * base:
        return float(rng.uniform(1.1, 1.8))
    if base > 1.7 * height:
        return float(rng.uniform(1.0, 1.6))
    return float(rng.uniform(0.7, 1.2))


def _axes(camera: _Camera) -> tuple[_Points, _Points, _Points]:
    """The unit vectors to the right, up and ahead of the camera."""
    ahead = _unit(camera.target - camera.eye)
    right = _unit(np.cross(ahead, np.array([0.0, 0.0, 1.0])))
    return right, cast(_Points, np.cross(right, ahead)), ahead


def _project(camera: _Camera, points: _Points) -> _Points:
    """Points (N, 3) to picture coordinates (N, 2), both -1 to 1 inside the view."""
    right, up, ahead = _axes(camera)
    offsets = points - camera.eye
    scale = np.tan(np.radians(camera.field_of_view) / 2) * np.maximum(offsets @ ahead, _NEAR)
    return np.stack([offsets @ right / scale, offsets @ up / scale], axis=1)


def _stand(points: _Points, scale: float, x: float, y: float, yaw: float) -> _Points:
    """Points (..., 3) of a mesh where it stands in the room."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turned = points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return cast(_Points, scale * turned + np.array([x, y, 0.0]))


def _floor_shadow(
    triangles: Sequence[_Points], light: _Light, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """How much of the light the objects keep from the floor, 0 to 1, a map seen from above.

    `triangles` holds (T, 3, 3) corners in the room. They are cast along the light onto z = 0.
    """
    shadow = Image.new("L", (_SHADOW_SIDE, _SHADOW_SIDE))
    draw = ImageDraw.Draw(shadow)
    slope = np.array(light.direction[:2]) / light.direction[2]
    for corners in triangles:
        cast_on = corners[..., :2] - corners[..., 2:] * slope
        for triangle in _map_places(cast_on).reshape(-1, 6).tolist():
            draw.polygon(triangle, fill=255)
    # A lamp has a size: soft borders.
    soft = shadow.filter(ImageFilter.GaussianBlur(rng.uniform(1.5, 6.0)))
    return np.asarray(soft, np.float32) / np.float32(255)


def _map_places(points: _Points) -> _Points:
    """Floor places in metres (..., 2) to pixels of the shadow map."""
    return (points / _SHADOW_REACH + 1) * (_SHADOW_SIDE / 2)


def _shade_floor(
    image: Photo,
    depth: Depth,
    on_floor: npt.NDArray[np.bool_],
    camera: _Camera,
    shadow: npt.NDArray[np.float32],
    strength: float,
) -> Photo:
    """The picture with the shadow map laid on its floor pixels."""
    side = image.shape[0]
    rows, columns = np.nonzero(on_floor)
    reach = np.tan(np.radians(camera.field_of_view) / 2)
    across = ((columns + 0.5) / side * 2 - 1) * reach
    upward = (1 - (rows + 0.5) / side * 2) * reach
    right, up, ahead = _axes(camera)
    rays = ahead + across[:, None] * right + upward[:, None] * up
    points = camera.eye + depth[rows, columns][:, None] * rays
    places = np.clip(_map_places(points[:, :2]), 0, _SHADOW_SIDE - 1).astype(np.int64)
    lost = strength * shadow[places[:, 1], places[:, 0]]
    shaded = image.copy()
    shaded[rows, columns] = np.round(image[rows, columns] * (1 - lost[:, None])).astype(np.uint8)
    return shaded


def _place(
    mesh: _Mesh,
    camera: _Camera,
    taken: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> tuple[float, float, float, float] | None:
    """Scale, x, y and yaw of a free spot on the floor inside the view, or None.

    `taken` holds x, y and radius of the objects that stand already.
    """
    scale = _draw_scale(mesh, rng)
    for _ in range(40):
        yaw = float(rng.uniform(-1.0, 1.0))
        x, y = float(rng.uniform(-1.7, 1.7)), float(rng.uniform(-1.2, 1.5))
        width, depth = scale * mesh.extent[:2]
        # Between the inscribed and the circumscribed circle: things may stand close.
        radius = 0.42 * float(np.hypot(width, depth))
        if any(np.hypot(x - a, y - b) < radius + r for a, b, r in taken):
            continue
        corners = itertools.product((-0.5, 0.5), (-0.5, 0.5), (0.0, 1.0))
        box = _stand(np.array(list(corners)) * mesh.extent, scale, x, y, yaw)
        if np.abs(_project(camera, box)).max() > 1.05:
            scale *= 0.98
            continue
        taken.append((x, y, radius))
        return scale, x, y, yaw
    return None


def _try_scene(
    models: Sequence[tuple[str, Path]],
    photos: Sequence[Photo],
    rng: np.random.Generator,
    size: int,
) -> Scene | None:
    """One arrangement; None where fewer than MIN_OBJECTS objects can be seen in it."""
    wanted = int(rng.integers(MIN_OBJECTS, MAX_OBJECTS + 1))
    camera, light = _draw_camera(rng), _draw_light(rng)
    with _World() as world:
        floor = _build_room(world, photos, rng)
        taken: list[tuple[float, float, float]] = []
        bodies: list[tuple[int, str, _Points]] = []
        # A few more than wanted are looked at, since some files are no usable models.
        for number in rng.permutation(len(models))[: 3 * wanted]:
            if len(bodies) == wanted:
                break
            name, path = models[int(number)]
            mesh = _read_obj(path)
            spot = None if mesh is None else _place(mesh, camera, taken, rng)
            if mesh is None or spot is None:
                continue
            scale, x, y, yaw = spot
            obj = world.file(".obj")
            _write_mesh(mesh, obj)
            body = world.add(obj, _object_colours(rng), scale=scale, place=(x, y, 0.002), yaw=yaw)
            if body >= 0:
                bodies.append((body, name, _stand(mesh.corners, *spot)))

        _, _, seen = world.render(camera, light, _TRIAL_SIDE)
        visible = []
        for body, name, triangles in bodies:
            if float((seen == body).mean()) >= _LEAST_SEEN:
                visible.append((body, name, triangles))
            else:
                world.remove(body)
        if len(visible) < MIN_OBJECTS:
            return None
        image, depth, numbers = world.render(camera, light, _SAMPLES * size)
    shadow = _floor_shadow([triangles for _, _, triangles in visible], light, rng)
    image = _shade_floor(
        image, depth, numbers == floor, camera, shadow, float(rng.uniform(0.25, 0.55))
    )

    fine = image.reshape(size, _SAMPLES, size, _SAMPLES, 3).astype(np.float32)
    centre = slice(_SAMPLES // 2, None, _SAMPLES)
    at_centre = numbers[centre, centre]
    ids = np.zeros((size, size), np.int32)
    for k, (body, _, _) in enumerate(visible, start=1):
        ids[at_centre == body] = k
    return Scene(
        image=np.round(fine.mean(axis=(1, 3))).astype(np.uint8),
        depth=np.ascontiguousarray(depth[centre, centre]),
        ids=ids,
        names=tuple(name for _, name, _ in visible),
    )


def render_scene(
    models: Sequence[tuple[str, Path]],
    photos: Sequence[Photo],
    *,
    seed: int,
    size: int = 160,
) -> Scene:
    """Render 2 to 6 of the models on a floor, size x size pixels; the same seed, the same scene.

    `models` holds names and OBJ files (y up, any unit: each is scaled to a plausible size by its
    bounding box); files that cannot be read or have no surface are passed over. `photos` (HWC
    uint8 RGB) cover walls and floors; without photos these are plain.

    Raises EditarError where pybullet is missing and ImageError where the models give no scene.
    """
    _pybullet()
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    for attempt in range(_ATTEMPTS):
        scene = _try_scene(models, photos, np.random.default_rng([seed, attempt]), size)
        if scene is not None:
            return scene
    raise ImageError(
        f"No scene could be made from {len(models)} models: fewer than {MIN_OBJECTS} of them could "
        "be shown. Give more OBJ files with faces, such as furniture."
    )


def depth_map(depth: Depth) -> npt.NDArray[np.uint8]:
    """Depth in metres (HW, above 0) as a picture in which near is bright, HW uint8.

    Inverse depth scaled to span 0 to 255, as MiDaS and DPT maps are shown; an even depth gives 0.
    """
    inverse = 1 / np.asarray(depth, np.float64)
    low, high = float(inverse.min()), float(inverse.max())
    if high == low:
        return np.zeros(inverse.shape, np.uint8)
    return np.round(255 * (inverse - low) / (high - low)).astype(np.uint8)


def _files(folder: Path, suffixes: tuple[str, ...], what: str) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    except OSError as error:
        raise EditarError(
            f"The folder of {what} {folder} cannot be read: {error.strerror}."
        ) from error
    if not files:
        raise EditarError(f"The folder {folder} holds no {what} ({', '.join(suffixes)}).")
    return files


def _read_photo(path: Path) -> Photo:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise ImageError(f"The photo {path} cannot be read: {error}") from error


def _render_numbered(
    models: Sequence[tuple[str, Path]],
    photos: Sequence[Path],
    output: Path,
    number: int,
    seed: int,
    size: int,
) -> int:
    """Render scene `number` of a folder into its two files; returns the number."""
    rng = np.random.default_rng([seed, number])
    chosen = rng.choice(len(photos), min(_PHOTOS_PER_SCENE, len(photos)), replace=False)
    scene = render_scene(
        models,
        [_read_photo(photos[int(i)]) for i in chosen],
        seed=int(rng.integers(2**31)),
        size=size,
    )
    depth_path, image_path = _paths(output, number)
    # Each file appears whole or not at all, so that an interrupted run can go on.
    for path, pixels in ((depth_path, depth_map(scene.depth)), (image_path, scene.image)):
        partial = path.with_name(path.name + ".part")
        kind = "JPEG" if path == image_path else "PNG"
        Image.fromarray(pixels).save(partial, kind, **({"quality": 95} if kind == "JPEG" else {}))
        os.replace(partial, path)
    return number


def _paths(output: Path, number: int) -> tuple[Path, Path]:
    return output / f"{number:04d}.depth.png", output / f"{number:04d}.jpg"


def render_folder(
    models_folder: Path,
    photos_folder: Path,
    output: Path,
    *,
    count: int,
    seed: int = 0,
    size: int = 160,
    workers: int = 1,
) -> Iterator[int]:
    """Render `count` scenes into `output` and yield the number of each as it is finished.

    Scene N is NNNN.jpg (quality 95) and NNNN.depth.png (`depth_map`, uint8). Scenes whose two
    files are there already are skipped, so an interrupted run goes on where it stopped. A scene
    depends on the folders' contents, `seed` and its number only, not on `workers`.

    Raises EditarError where a folder cannot be read or holds nothing usable, or pybullet is
    missing; ImageError where a photo is damaged or the models give no scene.
    """
    _pybullet()
    if count < 0 or workers < 1:
        raise ValueError(f"count {count} must not be negative and workers {workers} at least 1")
    models = [(path.stem, path) for path in _files(models_folder, (".obj",), "OBJ models")]
    photos = _files(photos_folder, (".jpg", ".jpeg", ".png", ".webp"), "photos")
    output.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(count) if not all(path.exists() for path in _paths(output, n))]
    if workers == 1:
        for number in missing:
            yield _render_numbered(models, photos, output, number, seed, size)
        return
    # A fresh interpreter per worker: a fork would inherit the threads of a loaded torch.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = [
            pool.submit(_render_numbered, models, photos, output, number, seed, size)
            for number in missing
        ]
        for task in tasks:
            yield task.result()
