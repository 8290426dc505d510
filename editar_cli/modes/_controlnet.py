"""The networks of the controlnet-aux annotators, with maps that lie on the picture pixel by pixel.

The annotators themselves round sides to multiples of 64 and give the map at that size. Here the
picture is brought to such a size first, the network is run as the annotator runs it, and its
answer, still in floating point, is brought back. All resizing keeps the corners of the picture in
place, not the centres of the corner pixels, so nothing moves by half a pixel.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from editar_cli.errors import CheckpointError
from editar_cli.modes._hub import loading, reading
from editar_cli.modes._mode import Picture

Values = NDArray[np.float32]
"""(H, W) float32."""

Network = Callable[[Picture], Values]
"""A picture with sides that are multiples of 64 -> one value per pixel."""

SHORT_SIDE = 512
STEP = 64
# Where pictures get very long, the short side gives way and then the aspect: a network sees
# at most this many times SHORT_SIDE and at most this aspect.
LONGEST = 4
ASPECT = 16
# Segment Anything: points asked about, per side of the picture.
POINTS = 32


def network_size(width: int, height: int, short: int = SHORT_SIDE) -> tuple[int, int]:
    """(width, height) in multiples of 64 near the picture's aspect; ``short``: the short side."""
    scale = min(short / min(width, height), LONGEST * short / max(width, height))
    least = max(width, height) * scale / ASPECT
    sides = [round(max(side * scale, least) / STEP) * STEP for side in (width, height)]
    return max(STEP, sides[0]), max(STEP, sides[1])


def resized(pixels: NDArray[Any], width: int, height: int, enlarge: int) -> NDArray[Any]:
    """(H, W) or HWC uint8 or float32 -> the same at another size.

    An axis that shrinks is averaged, one that grows is interpolated by OpenCV's ``enlarge``.
    """
    import cv2

    # One axis at a time: averaging is wrong for an axis that grows, and places it differently.
    for size in ((width, pixels.shape[0]), (width, height)):
        old = pixels.shape[1] * pixels.shape[0]
        new = size[0] * size[1]
        if new != old:
            how = cv2.INTER_AREA if new < old else enlarge
            pixels = np.asarray(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how))
    return pixels


def nearest(picture: Picture, width: int, height: int) -> Picture:
    """HWC uint8 -> the same at another size, without a new colour."""
    import cv2

    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    # By the centres of pixels: the other nearest-neighbour rule moves a map by half a pixel.
    how = cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def within_aspect(picture: Picture) -> Picture:
    """The picture itself, or stretched where it is too narrow for a network's own resizing."""
    import cv2

    height, width = picture.shape[:2]
    least = max(ASPECT, -(-max(width, height) // ASPECT))
    return resized(picture, max(width, least), max(height, least), cv2.INTER_LINEAR)


def on_picture(network: Network, short: int | None) -> Network:
    """A network for pictures of any size: its values at exactly that size."""

    def run(picture: Picture) -> Values:
        import cv2

        height, width = picture.shape[:2]
        size = network_size(width, height, short or SHORT_SIDE)
        values = network(resized(picture, *size, cv2.INTER_LANCZOS4))
        return resized(values.astype(np.float32), width, height, cv2.INTER_LINEAR)

    return run


def grey(values: Values) -> Picture:
    """(H, W) in [0, 1] -> HWC uint8 with three equal channels; what lies outside is cut off."""
    levels = (values * 255.0).clip(0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def stretched(values: Values) -> Picture:
    """(H, W) -> HWC uint8, the least value black and the greatest white; a flat map is black."""
    least, greatest = float(values.min()), float(values.max())
    # What differs by rounding alone is flat.
    if greatest - least <= max(1e-8, 1e-6 * max(abs(least), abs(greatest))):
        return np.zeros((*values.shape, 3), np.uint8)
    values = values - values.min()
    return grey(values / values.max())


def hed_network(state: dict[str, Any], file: Path, device: str) -> Network:
    """Soft edges in (0, 1), from weights under controlnet-aux's names.

    Raises:
        CheckpointError: the weights are of another network.
    """
    import cv2
    import torch

    with loading("hed"):
        from controlnet_aux.hed import ControlNetHED_Apache2
    network = ControlNetHED_Apache2()
    with reading(file, "HED"):
        network.load_state_dict(state)
    network.float().eval().to(device)

    def run(picture: Picture) -> Values:
        height, width = picture.shape[:2]
        with torch.inference_mode():
            sides = network(_tensor(picture, device))
        # Each side output at the size of its block, all brought to the picture's.
        logits = [
            cv2.resize(side[0, 0].cpu().numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
            for side in sides
        ]
        mean = np.mean(np.stack(logits, axis=2), axis=2).astype(np.float64)
        return np.asarray(1 / (1 + np.exp(-mean)), np.float32)

    return run


def midas_network(file: Path, device: str) -> Network:
    """Relative inverse depth by DPT-Hybrid: near is large.

    Raises:
        CheckpointError: the file cannot be read or is of another network.
    """
    import torch

    with loading("midas"):
        from controlnet_aux.midas import MiDaSInference

        with reading(file, "MiDaS"):
            network = MiDaSInference(model_type="dpt_hybrid", model_path=str(file))
    network.float().eval().to(device)

    def run(picture: Picture) -> Values:
        with torch.inference_mode():
            depth = network(_tensor(picture, device) / 127.5 - 1.0)[0]
        return np.asarray(depth.cpu().numpy(), np.float32)

    return run


def zoe_network(file: Path, device: str) -> Network:
    """Depth in metres by ZoeDepth: far is large.

    Raises:
        CheckpointError: the file cannot be read or is of another network.
    """
    import torch

    with loading("zoe"):
        from controlnet_aux.zoe import ZoeDepth, get_config

        with reading(file, "ZoeDepth"):
            state = torch.load(file, map_location="cpu", weights_only=True)["model"]
            network = ZoeDepth.build_from_config(get_config("zoedepth", "infer"))
            # Not strict inside, since timm's releases differ in buffers: a file of another
            # network would pass.
            missing = network.load_state_dict(state).missing_keys
    if len(missing) > len(state) // 10:
        raise CheckpointError(f"{file}: not ZoeDepth's weights: {missing[0]} and others are absent")
    network.float().eval().to(device)

    def run(picture: Picture) -> Values:
        with torch.inference_mode():
            depth = network.infer(_tensor(picture, device) / 255.0)[0, 0]
        return np.asarray(depth.cpu().numpy(), np.float32)

    return run


def sam_masks(file: Path, device: str) -> Callable[[Picture], list[NDArray[np.bool_]]]:
    """Segment Anything, or MobileSAM by the look of the weights: masks, the largest first.

    The function takes a picture and gives (H, W) masks at its size, which may overlap.

    Raises:
        CheckpointError: the file cannot be read or is of another network.
    """
    import torch

    with loading("sam"):
        from controlnet_aux.segment_anything import SamAutomaticMaskGenerator, sam_model_registry

        with reading(file, "Segment Anything"):
            state = torch.load(file, map_location="cpu", weights_only=True)
            position = state.get("image_encoder.pos_embed")
            kinds = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
            kind = "vit_t" if position is None else kinds[position.shape[-1]]
            network = sam_model_registry[kind]()
            network.load_state_dict(state)
    network.float().eval().to(device)
    generator = SamAutomaticMaskGenerator(network, points_per_side=POINTS)

    def run(picture: Picture) -> list[NDArray[np.bool_]]:
        with torch.inference_mode():
            found = generator.generate(picture)
        found.sort(
            key=lambda mask: -mask["area"]
        )  # stable: equal areas stay in the network's order
        return [np.asarray(mask["segmentation"], np.bool_) for mask in found]

    return run


def _tensor(picture: Picture, device: str) -> Any:
    """HWC uint8 -> (1, 3, H, W) float32 in [0, 255] on the device."""
    import torch

    # Copied: a picture may be read-only or lie backwards in memory.
    pixels = torch.tensor(np.ascontiguousarray(picture), device=device)
    return pixels.permute(2, 0, 1)[None].float()
