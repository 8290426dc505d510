"""Regions, each in one flat colour: of classes by a network, or of similar colour without one.

``regions`` finds regions of similar colour, a stand-in for semantic segmentation. Classes are not
known, so a region's colour says where it lies and how large it is, not what it is: regions are
numbered by area and take fixed, well separated colours. ``sam`` colours its masks the same way.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from editar_cli.modes._agreement import region_agreement
from editar_cli.modes._controlnet import (
    SHORT_SIDE,
    nearest,
    network_size,
    resized,
    sam_masks,
    within_aspect,
)
from editar_cli.modes._hub import (
    cached_folder,
    in_cache,
    installed,
    loading,
    need,
    reading,
    weights_file,
    weights_folder,
)
from editar_cli.modes._maps import read_segmentation
from editar_cli.modes._mode import (
    Download,
    Extract,
    Extractor,
    ExtractorSettings,
    Mode,
    Picture,
    by_name,
)

PROMPT = "Given the segmentation mask, generate an image following the description: "

MASKFORMER = Download(
    repository="facebook/maskformer-resnet101-coco-stuff", file="model.safetensors", megabytes=260
)
SAM = Download(
    repository="ybelkada/segment-anything", file="checkpoints/sam_vit_b_01ec64.pth", megabytes=375
)
# The label of what belongs to no class.
IGNORE = 255
# Class scores of all classes are held at once: 171 x 4 bytes per pixel. Larger pictures are
# labelled at this many pixels and the labels enlarged.
MOST_PIXELS = 1 << 20


def region_map(image: NDArray[np.uint8], regions: int = 6) -> NDArray[np.uint8]:
    """HWC uint8 RGB -> HWC uint8 map of at most ``regions`` flat colours.

    Pixels are clustered by Lab colour and height in the picture (k-means from a fixed start), so
    that a blue sky and blue water part; the largest cluster takes the first colour.
    """
    import cv2

    height, width = image.shape[:2]
    scale = 64 / max(height, width)
    small_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = np.asarray(cv2.medianBlur(image, 5), np.uint8)
    small = np.asarray(cv2.resize(smooth, small_size, interpolation=cv2.INTER_AREA), np.uint8)

    def features(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.linspace(0, 60, pixels.shape[0], dtype=np.float32)[:, None, None]
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
        full = np.concatenate([lab, np.broadcast_to(rows, (*pixels.shape[:2], 1))], axis=2)
        return full.reshape(-1, 4).astype(np.float32)

    points = features(small)
    # Start from evenly spaced ranks of lightness: no random draw, so the map is a function of
    # the picture.
    ranks = np.argsort(points[:, 0], kind="stable")
    centres = points[ranks[np.linspace(0, len(ranks) - 1, regions).astype(int)]]
    for _ in range(8):
        nearest = closest(points, centres)
        for k in range(regions):
            if (nearest == k).any():
                centres[k] = points[nearest == k].mean(0)
    labels = closest(features(smooth), centres).reshape(height, width)
    labels = np.asarray(cv2.medianBlur(labels.astype(np.uint8), 5), np.intp)
    order = np.argsort(-np.bincount(labels.ravel(), minlength=regions), kind="stable")
    colours = np.zeros((regions, 3), np.uint8)
    colours[order] = palette(regions)
    return colours[labels]


def closest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.intp]:
    """(N, C) points, (K, C) centres -> (N,) index of the nearest centre."""
    # |p - c|^2 without the part that is the same for every centre
    return np.asarray(((centres**2).sum(1) - 2 * points @ centres.T).argmin(1))


def palette(count: int) -> NDArray[np.uint8]:
    """(count, 3) uint8 RGB colours, far apart in hue and lightness, always the same."""
    golden = 0.61803398875
    hue = (np.arange(count) * golden) % 1.0
    value = np.where(np.arange(count) % 2 == 0, 230.0, 140.0)[:, None]
    phase = np.abs(hue[:, None] * 6 - np.array([3.0, 2.0, 4.0]))
    rgb = np.clip(phase - 1, 0, 1)
    rgb[:, 1:] = np.clip(2 - phase[:, 1:], 0, 1)
    return np.asarray((0.15 + 0.85 * rgb) * value, np.uint8)


@cache
def _coco_stuff() -> dict[str, Any]:
    file = Path(__file__).with_name("coco_stuff.json")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def coco_colours() -> NDArray[np.uint8]:
    """(171, 3) uint8 RGB colours of the COCO-Stuff classes; several classes share one."""
    return np.array(_coco_stuff()["palette"], np.uint8)


def colour_labels(labels: NDArray[np.integer[Any]]) -> Picture:
    """(H, W) COCO-Stuff labels, 0 to 170 -> HWC uint8; 255 and all other labels are black."""
    colours = coco_colours()
    known = (labels >= 0) & (labels < len(colours))
    shown = colours[np.where(known, labels, 0).astype(np.intp)]
    shown[~known] = 0
    return shown


def coco_labels(names: Mapping[int, str], count: int) -> NDArray[np.intp]:
    """(count,) COCO-Stuff label of each of a network's classes, 255 for what is none.

    Names decide. A class whose name is not known keeps its number if the network has as many
    classes as COCO-Stuff has labels; with any other number of classes, numbers mean nothing.
    """
    known = {_plain(name): label for label, name in enumerate(_coco_stuff()["classes"])}
    by_number = count == len(known)
    return np.array(
        [known.get(_plain(names.get(i, "")), i if by_number else IGNORE) for i in range(count)],
        np.intp,
    )


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def load_regions(settings: ExtractorSettings) -> Extract:
    """Regions of similar colour.

    Raises:
        ModelError: OpenCV is not installed.
    """
    need("regions", "cv2")
    return region_map


def load_labels(settings: ExtractorSettings) -> Callable[[Picture], NDArray[np.uint8]]:
    """MaskFormer by transformers: HWC uint8 -> (H, W) uint8 COCO-Stuff labels, 255 for none.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    import torch
    from PIL import Image

    need("maskformer", "transformers", "cv2")
    folder = weights_folder("maskformer", MASKFORMER, settings, _at_hand())
    with loading("maskformer"):
        from transformers import MaskFormerForInstanceSegmentation, MaskFormerImageProcessor

        with reading(folder, "MaskFormer"):
            network: Any = MaskFormerForInstanceSegmentation
            model = network.from_pretrained(folder, dtype=torch.float32)
            processor = MaskFormerImageProcessor.from_pretrained(folder)
    model.eval().to(settings.device)
    label_of = coco_labels(model.config.id2label, model.config.num_labels)

    def labels(picture: Picture) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        scale = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        image = Image.fromarray(within_aspect(picture))
        with torch.inference_mode():
            inputs = processor(images=image, return_tensors="pt").to(settings.device)
            answer = model(**inputs)
            found = processor.post_process_semantic_segmentation(answer, target_sizes=[size])[0]
        return nearest(label_of[found.cpu().numpy()].astype(np.uint8), width, height)

    return labels


def load_maskformer(settings: ExtractorSettings) -> Extract:
    """MaskFormer by transformers, in the colours of COCO-Stuff.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    labels = load_labels(settings)
    return lambda picture: colour_labels(labels(picture))


def load_sam(settings: ExtractorSettings) -> Extract:
    """Segment Anything by controlnet-aux: masks painted over each other, the largest first.

    Raises:
        ModelError: packages or weights are not to be had.
    """
    need("sam", "controlnet_aux", "cv2")
    import cv2

    patterns = ("sam_vit_*.pth", "mobile_sam.pt")
    file = weights_file("sam", SAM, settings, _at_hand(), patterns)
    masks = sam_masks(file, settings.device)

    def extract(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        size = network_size(width, height, settings.resolution or SHORT_SIDE)
        looked_at = resized(picture, *size, cv2.INTER_LANCZOS4)
        return nearest(paint(masks(looked_at), looked_at.shape[:2]), width, height)

    return extract


def paint(masks: list[NDArray[np.bool_]], size: tuple[int, ...]) -> Picture:
    """(H, W) masks -> HWC uint8 of that size: later masks cover earlier ones, the rest is black."""
    painted = np.zeros((*size, 3), np.uint8)
    for mask, colour in zip(masks, palette(len(masks)), strict=True):
        painted[mask] = colour
    return painted


def _at_hand() -> list[str]:
    return [name for name, extractor in MODE.extractors.items() if extractor.at_hand()]


MODE = Mode(
    name="segmentation",
    prompt=PROMPT,
    extractors=by_name(
        Extractor(
            name="regions",
            summary="regions of similar colour, found without a network",
            load=load_regions,
            at_hand=lambda: installed("cv2"),
            style="regions",
        ),
        Extractor(
            name="maskformer",
            summary="MaskFormer, the classes and colours of COCO-Stuff",
            load=load_maskformer,
            takes=frozenset({"weights"}),
            download=MASKFORMER,
            at_hand=lambda: (
                installed("transformers", "cv2")
                and cached_folder(MASKFORMER.repository) is not None
            ),
            style="coco-stuff",
        ),
        Extractor(
            name="sam",
            summary="Segment Anything, or MobileSAM given its weights; slow without a GPU",
            load=load_sam,
            takes=frozenset({"weights", "resolution"}),
            download=SAM,
            at_hand=lambda: (
                installed("controlnet_aux", "cv2") and in_cache(SAM.repository, SAM.file)
            ),
            style="regions",
        ),
    ),
    resize="flat",
    read=read_segmentation,
    agreement=region_agreement,
)
