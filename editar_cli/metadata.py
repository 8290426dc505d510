"""What stands in a file beside its pixels: EXIF, XMP and text, read, kept and written.

How a picture was made is written three times over, so that any program finds it: in EXIF's field
for processing software, as XMP, and in a PNG as text too.
"""

import json
import re
import struct
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.dom import minidom
from xml.parsers.expat import ExpatError

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from editar_cli import __version__
from editar_cli.errors import ImageError

EXIF_PROCESSING_SOFTWARE = 0x000B
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
TIFF_XMP = 0x02BC
TEXT_KEY = "editar"
"""Keyword of the text in a PNG."""

_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003
_EXIF_MAKER_NOTE, _EXIF_COMMENT = 0x927C, 0x9286
# Tags that say how the old file's pixels were stored, not what the picture shows; and XMP and
# Photoshop's resources, which have places of their own and hold thumbnails.
_EXIF_STRUCTURE = frozenset(
    {0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0112, 0x0115}
    | {0x0116, 0x0117, 0x011C, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145, 0x014A, 0x0152}
    | {0x0153, 0x015B, 0x0201, 0x0202, 0x0212, 0x0213, 0x0214, TIFF_XMP, 0x8649, 0x8773}
)
# A JPEG's segments have 16 bits for their length.
_JPEG_EXIF_BYTES = 65533 - len(b"Exif\0\0")
_JPEG_XMP_BYTES = 65533 - len(b"http://ns.adobe.com/xap/1.0/\0")
_KEPT_TEXT_BYTES = 1 << 20

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_HISTORY = "http://ns.adobe.com/xap/1.0/mm/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OURS = "urn:editar:1.0"
_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# Properties that would be wrong of the new file: what its pixels were, other pictures in the same
# file, and what was said of an earlier edit of ours.
_XMP_STRUCTURE = frozenset(
    {("http://ns.adobe.com/exif/1.0/", f"Pixel{axis}Dimension") for axis in "XY"}
    | {("http://ns.adobe.com/exif/1.0/", "NativeDigest")}
    | {("http://ns.adobe.com/xap/1.0/", "Thumbnails")}
    | {(_IPTC, name) for name in ("DigitalSourceType", "AIPromptInformation")}
    | {(_IPTC, name) for name in ("AISystemUsed", "AISystemVersionUsed")}
)
_XMP_STALE = frozenset(
    {
        _OURS,
        "http://ns.adobe.com/tiff/1.0/",
        "http://ns.adobe.com/xmp/note/",
        "http://ns.adobe.com/camera-raw-settings/1.0/",
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.apple.com/HDRGainMap/1.0/",
        "http://ns.apple.com/pixeldatainfo/1.0/",
        "http://ns.google.com/photos/1.0/camera/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/container/item/",
        "http://ns.google.com/photos/1.0/depthmap/",
        "http://ns.google.com/photos/1.0/image/",
    }
)
# Places in the frame: they hold as long as the frame does.
_XMP_OF_THE_FRAME = frozenset(
    {
        "http://ns.google.com/photos/1.0/panorama/",
        "http://www.metadataworkinggroup.com/schemas/regions/",
    }
)
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Note = Mapping[str, object]
"""How a picture was made: model, settings, instruction or caption, and seed."""


def kept_exif(exif: Image.Exif) -> Image.Exif | None:
    """A copy without orientation and storage tags, ``None`` where nothing is left.

    Raises:
        SyntaxError, ValueError, TypeError, KeyError, struct.error, OverflowError: it is broken.
    """
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag not in _EXIF_STRUCTURE:
            is_ifd = tag in (EXIF_IFD, GPS_IFD, INTEROP_IFD)
            kept[tag] = exif.get_ifd(tag) if is_ifd else value
    # Writing is what finds out whether the values make sense.
    kept.tobytes()
    return kept if len(kept) else None


def kept_text(info: Mapping[Any, object]) -> dict[str, str]:
    """The texts of a PNG as Pillow has them, without XMP and what we wrote."""
    texts: dict[str, str] = {}
    room = _KEPT_TEXT_BYTES
    for key, value in info.items():
        if not isinstance(key, str) or not isinstance(value, str):
            continue
        if key in ("XML:com.adobe.xmp", TEXT_KEY) or key.startswith("Raw profile type"):
            continue
        room -= len(value)
        if room >= 0:
            texts[key] = value
    return texts


def encoded_note(note: Note) -> str:
    """The note as EXIF and PNG have it: ``editar`` and JSON in ASCII."""
    return f"editar {json.dumps(note)}"


def exif_to_write(
    exif: Image.Exif | None, size: tuple[int, int], note: Note | None, *, format: str
) -> Image.Exif:
    """EXIF for an output of ``size`` (width, height).

    A JPEG has room for 64 KB of it: what is too long there goes without the maker's private note,
    then without the rest of the source's.
    """
    whole = _exif(exif, size, note)
    if format != "JPEG" or len(whole.tobytes()) <= _JPEG_EXIF_BYTES:
        return whole
    details = whole.get(EXIF_IFD)
    if isinstance(details, dict):
        for tag in (_EXIF_MAKER_NOTE, _EXIF_COMMENT):
            details.pop(tag, None)
    for shorter in (whole, _exif(None, size, note)):
        if len(shorter.tobytes()) <= _JPEG_EXIF_BYTES:
            return shorter
    return Image.Exif()


def _exif(source: Image.Exif | None, size: tuple[int, int], note: Note | None) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in (source or {}).items():
        exif[tag] = dict(value) if isinstance(value, dict) else value
    details = exif.get(EXIF_IFD)
    if isinstance(details, dict):
        for tag, length in zip((_EXIF_WIDTH, _EXIF_HEIGHT), size, strict=True):
            if tag in details:
                details[tag] = length
    if note is not None:
        exif[EXIF_PROCESSING_SOFTWARE] = encoded_note(note)
    return exif


def png_text(texts: Mapping[str, str], xmp: bytes | None, note: Note | None) -> PngInfo:
    """The text chunks of a PNG."""
    chunks = PngInfo()
    for key, value in texts.items():
        # Latin-1, 79 characters at most, is what a keyword may be.
        if key.isascii() and 0 < len(key) < 80:
            chunks.add_itxt(key, value, zip=len(value) > 2000)
    if note is not None:
        chunks.add_itxt(TEXT_KEY, json.dumps(note, ensure_ascii=False))
    if xmp is not None:
        chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
    return chunks


def xmp_to_write(
    xmp: bytes | None, note: Note | None, *, same_size: bool, format: str
) -> bytes | None:
    """The XMP packet of an output, ``None`` where there is nothing to say.

    What the source's says of its pixels, of other pictures in its file and of how its raw file was
    developed is left out; the rest stays as it is. IPTC's fields for pictures made by a model tell
    instruction and model; the history gets one more line.

    Args:
        xmp: the source's, or ``None``; what is no XMP is dropped.
        note: how the output was made, or ``None``.
        same_size: the output has the source's frame.
        format: Pillow's name of the output's format; a JPEG has room for 64 KB.
    """
    for kept in (xmp, None):
        document = _parsed(kept)
        if document is None and note is None:
            return None
        if document is not None:
            _leave_out_stale(document, same_size)
        packet = _packet(document, note)
        if format != "JPEG" or len(packet) <= _JPEG_XMP_BYTES:
            return packet
    return None


def _parsed(xmp: bytes | None) -> minidom.Document | None:
    """XMP as a tree; ``None`` where it is none, or defines entities, which may be a trap."""
    if xmp is None or b"<!DOCTYPE" in xmp or b"<!ENTITY" in xmp:
        return None
    try:
        document = minidom.parseString(xmp.strip(b"\0 \r\n\t"))
    except (ExpatError, ValueError, LookupError):
        return None
    return document if document.getElementsByTagNameNS(_RDF, "RDF") else None


def _is_stale(node: minidom.Node, same_size: bool) -> bool:
    namespace, name = node.namespaceURI or "", node.localName
    if namespace in _XMP_STALE or (namespace, name) in _XMP_STRUCTURE:
        return True
    return namespace in _XMP_OF_THE_FRAME and not same_size


def _leave_out_stale(document: minidom.Document, same_size: bool) -> None:
    for description in document.getElementsByTagNameNS(_RDF, "Description"):
        for attribute in list(description.attributes.values()):
            if _is_stale(attribute, same_size):
                description.removeAttributeNode(attribute)
        for child in list(description.childNodes):
            if child.nodeType == child.ELEMENT_NODE and _is_stale(child, same_size):
                description.removeChild(child)


def _packet(document: minidom.Document | None, note: Note | None) -> bytes:
    if document is None:
        document = minidom.parseString(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-'
            'rdf-syntax-ns#"/></x:xmpmeta>'
        )
    if note is not None:
        _tell(document, note)
    root = document.documentElement
    assert root is not None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'{root.toxml()}\n<?xpacket end="w"?>'
    ).encode()


def _tell(document: minidom.Document, note: Note) -> None:
    """Add how the picture was made."""
    asked = next((name for name in ("instruction", "caption") if name in note), None)
    properties: dict[str, object] = {}
    if asked is not None:
        # IPTC's words: an edited photograph has parts of both kinds.
        made = "composite" if asked == "instruction" else "trained"
        kind = {"composite": "compositeWithTrained", "trained": "trained"}[made]
        properties["Iptc4xmpExt:DigitalSourceType"] = f"{_MADE}{kind}AlgorithmicMedia"
        properties["Iptc4xmpExt:AIPromptInformation"] = note[asked]
    if "model" in note:
        properties["Iptc4xmpExt:AISystemUsed"] = f"editar {note['model']}"
        properties["Iptc4xmpExt:AISystemVersionUsed"] = __version__
    for name in ("instruction", "caption", "model", "seed"):
        if name in note:
            properties[f"editar:{name.capitalize()}"] = note[name]
    settings = json.dumps(note, ensure_ascii=False)
    properties["editar:Settings"] = settings

    rdf = document.getElementsByTagNameNS(_RDF, "RDF")[0]
    # The prefix that this document has for it.
    mark = rdf.tagName.removesuffix("RDF")
    description = document.createElementNS(_RDF, f"{mark}Description")
    description.setAttributeNS(_RDF, f"{mark}about", "")
    for prefix, namespace in (("Iptc4xmpExt", _IPTC), ("editar", _OURS)):
        description.setAttributeNS(_XMLNS, f"xmlns:{prefix}", namespace)
    for name, value in properties.items():
        _add(document, description, _IPTC if name.startswith("Iptc") else _OURS, name, value)
    rdf.appendChild(description)

    histories = document.getElementsByTagNameNS(_HISTORY, "History")
    lists = histories[0].getElementsByTagNameNS(_RDF, "Seq") if histories else []
    if lists:
        history = lists[0]
    else:
        for old in histories:
            assert old.parentNode is not None
            old.parentNode.removeChild(old)
        description.setAttributeNS(_XMLNS, "xmlns:xmpMM", _HISTORY)
        outer = _add(document, description, _HISTORY, "xmpMM:History")
        history = _add(document, outer, _RDF, f"{mark}Seq")
    event = _add(document, history, _RDF, f"{mark}li")
    event.setAttributeNS(_RDF, f"{mark}parseType", "Resource")
    event.setAttributeNS(_XMLNS, "xmlns:stEvt", _EVENT)
    # No time: the same run again is to write the same file.
    _add(document, event, _EVENT, "stEvt:action", "edited")
    _add(document, event, _EVENT, "stEvt:softwareAgent", f"editar {__version__}")
    _add(document, event, _EVENT, "stEvt:parameters", settings)


def _add(
    document: minidom.Document,
    parent: minidom.Element,
    namespace: str,
    name: str,
    value: object = None,
) -> minidom.Element:
    element = document.createElementNS(namespace, name)
    if value is not None:
        element.appendChild(document.createTextNode(_NO_XML.sub("\ufffd", str(value))))
    parent.appendChild(element)
    return element


def how_made(file: Path | bytes) -> dict[str, object] | None:
    """What an output of ours says of itself: model, settings, instruction or caption, and seed.

    Args:
        file: its path, or its content.

    Returns:
        ``None`` where it says nothing.

    Raises:
        ImageError: it is no picture.
    """
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file) as image:
            texts: list[object] = [image.getexif().get(EXIF_PROCESSING_SOFTWARE)]
            texts.append(image.info.get(TEXT_KEY))
            xmp = image.info.get("xmp")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error) as error:
        name = "picture" if isinstance(file, bytes) else file
        raise ImageError(f"{name}: cannot be read: {error}") from error
    document = _parsed(xmp.encode() if isinstance(xmp, str) else xmp)
    if document is not None:
        for element in document.getElementsByTagNameNS(_OURS, "Settings"):
            texts.append("".join(getattr(node, "data", "") for node in element.childNodes))
    for text in texts:
        if isinstance(text, str):
            try:
                note = json.loads(text.removeprefix("editar "))
            except json.JSONDecodeError:
                continue
            if isinstance(note, dict):
                return note
    return None
