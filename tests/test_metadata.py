import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from editar_cli import metadata
from editar_cli.errors import ImageError

NOTE = {"model": "mini", "instruction": 'make it <snowy> & "cold", né', "seed": 7}
NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "GPano": "http://ns.google.com/photos/1.0/panorama/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "editar": "urn:editar:1.0",
}
SOURCE = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}">'
    '<rdf:Description rdf:about="" xmlns:tiff="{tiff}" xmlns:exif="{exif}" xmlns:dc="{dc}"'
    ' xmlns:GPano="{GPano}" xmlns:hdrgm="{hdrgm}" tiff:Orientation="6" exif:PixelXDimension="9"'
    ' GPano:FullPanoWidthPixels="90" hdrgm:Version="1.0" exif:FNumber="28/10">'
    "<tiff:ImageWidth>9</tiff:ImageWidth>"
    "<dc:creator><rdf:Seq><rdf:li>Ana Müller</rdf:li></rdf:Seq></dc:creator>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
).format(**NAMES).encode() + bytes(20)


def written(xmp=None, note=NOTE, *, same_size=True, format="PNG"):
    packet = metadata.xmp_to_write(xmp, note, same_size=same_size, format=format)
    return None if packet is None else ElementTree.fromstring(packet.decode())


def text(tree, name):
    prefix, local = name.split(":")
    found = tree.findall(f".//{{{NAMES[prefix]}}}{local}")
    return [element.text for element in found]


def attributes(tree):
    return {name for element in tree.iter() for name in element.attrib}


def test_instruction_model_and_seed_stand_in_xmp_by_iptcs_names_and_ours():
    tree = written()
    assert text(tree, "Iptc4xmpExt:AIPromptInformation") == [NOTE["instruction"]]
    assert text(tree, "Iptc4xmpExt:AISystemUsed") == ["editar mini"]
    assert text(tree, "editar:Instruction") == [NOTE["instruction"]]
    assert text(tree, "editar:Seed") == ["7"]
    (kind,) = text(tree, "Iptc4xmpExt:DigitalSourceType")
    assert kind.endswith("/compositeWithTrainedAlgorithmicMedia")


def test_a_picture_made_from_a_caption_is_wholly_the_models():
    tree = written(note={"model": "mini", "caption": "a village", "seed": 1})
    (kind,) = text(tree, "Iptc4xmpExt:DigitalSourceType")
    assert kind.endswith("/trainedAlgorithmicMedia")
    assert text(tree, "editar:Caption") == ["a village"]


def test_what_the_source_says_of_its_author_stays_and_what_it_says_of_its_pixels_goes():
    tree = written(SOURCE)
    names = attributes(tree)
    assert "Ana Müller" in text(tree, "rdf:li")
    assert f"{{{NAMES['exif']}}}FNumber" in names
    assert f"{{{NAMES['GPano']}}}FullPanoWidthPixels" in names
    assert not text(tree, "tiff:ImageWidth")
    for gone in ("{%(tiff)s}Orientation", "{%(exif)s}PixelXDimension", "{%(hdrgm)s}Version"):
        assert gone % NAMES not in names


def test_places_in_the_frame_go_with_the_frame():
    tree = written(SOURCE, same_size=False)
    assert f"{{{NAMES['GPano']}}}FullPanoWidthPixels" not in attributes(tree)


def test_a_second_edit_replaces_the_words_of_the_first_and_adds_to_the_history():
    first = metadata.xmp_to_write(SOURCE, NOTE, same_size=True, format="PNG")
    tree = written(first, {**NOTE, "instruction": "at night"})
    assert text(tree, "editar:Instruction") == ["at night"]
    assert text(tree, "Iptc4xmpExt:AIPromptInformation") == ["at night"]
    assert text(tree, "stEvt:action") == ["edited", "edited"]
    assert NOTE["model"] in text(tree, "stEvt:parameters")[0]
    assert "Ana Müller" in text(tree, "rdf:li")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no xml",
        SOURCE[:300],
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + SOURCE,
        b"<?xml version='1.0' encoding='nonsense'?><a/>",
    ],
)
def test_what_is_no_xmp_is_dropped(broken):
    tree = written(broken)
    assert text(tree, "editar:Seed") == ["7"]
    assert metadata.xmp_to_write(broken, None, same_size=True, format="PNG") is None


def test_without_a_note_the_sources_xmp_goes_along_alone():
    tree = written(SOURCE, None)
    assert "Ana Müller" in text(tree, "rdf:li")
    assert not text(tree, "editar:Seed")


def test_signs_that_xml_cannot_hold_are_replaced():
    tree = written(note={**NOTE, "instruction": "a\x00b\x1bc\ud800d"})
    assert text(tree, "editar:Instruction") == ["a\ufffdb\ufffdc\ufffdd"]


def test_xmp_too_long_for_a_jpeg_goes_and_ours_stays():
    long = SOURCE.replace("Ana Müller".encode(), b"x" * 70_000)
    assert len(metadata.xmp_to_write(long, NOTE, same_size=True, format="PNG")) > 70_000
    tree = written(long, format="JPEG")
    assert text(tree, "editar:Seed") == ["7"]
    assert "x" * 70_000 not in text(tree, "rdf:li")
    endless = {**NOTE, "instruction": "x" * 70_000}
    assert metadata.xmp_to_write(None, endless, same_size=True, format="JPEG") is None


def exif_with(**details):
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA002: 9, **details}
    return exif


def test_exif_too_long_for_a_jpeg_loses_the_makers_note_first():
    exif = exif_with()
    exif[0x8769][0x927C] = b"x" * 66_000
    kept = metadata.exif_to_write(exif, (4, 3), NOTE, format="JPEG")
    assert kept[0x010F] == "camera"
    assert kept[0x8769] == {0x9003: "2020:01:02 03:04:05", 0xA002: 4}
    whole = metadata.exif_to_write(exif, (4, 3), NOTE, format="PNG")
    assert len(whole[0x8769][0x927C]) == 66_000
    assert len(exif[0x8769][0x927C]) == 66_000


def test_exif_that_is_too_long_all_over_leaves_the_note():
    exif = exif_with()
    exif[0x010E] = "x" * 70_000
    kept = metadata.exif_to_write(exif, (4, 3), NOTE, format="JPEG")
    assert dict(kept) == {0x000B: metadata.encoded_note(NOTE)}
    endless = {**NOTE, "instruction": "x" * 70_000}
    assert not len(metadata.exif_to_write(None, (4, 3), endless, format="JPEG"))


def test_texts_of_a_png_are_kept_but_for_xmp_ours_and_masses():
    info = {
        "Title": "sea",
        "editar": "{}",
        "XML:com.adobe.xmp": "<x/>",
        "gamma": 0.45,
        "Raw profile type exif": "...",
        "Huge": "x" * 2_000_000,
    }
    assert metadata.kept_text(info) == {"Title": "sea"}


@pytest.mark.parametrize("field", ["exif", "xmp", "text"])
def test_each_of_the_three_places_tells_how_a_picture_was_made(field):
    xmp = metadata.xmp_to_write(None, NOTE, same_size=True, format="WEBP")
    exif = metadata.exif_to_write(None, (4, 3), NOTE, format="WEBP")
    pnginfo = metadata.png_text({}, None, NOTE)
    buffer = io.BytesIO()
    image = Image.new("RGB", (4, 3))
    if field == "exif":
        image.save(buffer, "WEBP", exif=exif.tobytes())
    elif field == "xmp":
        image.save(buffer, "WEBP", xmp=xmp)
    else:
        image.save(buffer, "PNG", pnginfo=pnginfo)
    assert metadata.how_made(buffer.getvalue()) == NOTE


def test_other_pictures_do_not_tell_how_they_were_made(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert metadata.how_made(tmp_path / "a.png") is None
    (tmp_path / "b.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"b\.png"):
        metadata.how_made(tmp_path / "b.png")
