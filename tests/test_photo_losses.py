"""Every loss has a note, every note is true, nothing speaks of what is gone."""

import hashlib
import io
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
from photo_fakes import Gain
from PIL import ExifTags, Image
from test_photo_files import exif, file_of, jpeg_with_everything, smooth

from tfexposure.errors import UserError
from tfexposure.photo import batch
from tfexposure.photo.correcting import Settings
from tfexposure.photo.io import decode, encode, jpeg, png, tiff, xmp

OPEN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.'
    b'org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" tiff:Make="M" '
)
CLOSE = b"</rdf:Description></rdf:RDF></x:xmpmeta>"
ITEMS = (
    b"<Container:Directory><rdf:Seq>"
    b'<rdf:li rdf:parseType="Resource"><Container:Item '
    b'Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li>'
    b'<rdf:li rdf:parseType="Resource"><Container:Item '
    b'Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="9"/></rdf:li>'
    b'<rdf:li rdf:parseType="Resource"><Container:Item '
    b'Item:Semantic="MotionPhoto" Item:Mime="video/mp4" Item:Length="5008"/>'
    b"</rdf:li></rdf:Seq></Container:Directory>"
)
MOTION = OPEN + b'GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="5008">'
VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20


def jpeg_of(packet=None, **options):
    image = Image.fromarray(smooth())
    return file_of(image, "JPEG", xmp=packet or b"", **options)


def rewritten(data, kind=None, **options):
    buffer, photo = io.BytesIO(), decode.read_photo(data)
    assert not photo.notes  # Nothing is lost yet.
    encode.write_photo(photo, buffer, kind=kind, **options)
    return buffer.getvalue(), photo.notes


def test_the_video_of_a_motion_photo_stays_behind_the_picture():
    data = jpeg_of(MOTION + CLOSE) + VIDEO
    out, notes = rewritten(data)
    assert out.endswith(VIDEO) and not notes
    assert b"MotionPhoto" in out
    assert Image.open(io.BytesIO(out)).size == (36, 24)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "avif"])
def test_where_it_cannot_stay_nothing_announces_it(kind):
    data = jpeg_of(MOTION + ITEMS + CLOSE) + VIDEO
    out, notes = rewritten(data, kind)
    assert any("video" in note for note in notes)
    packet = decode.read_photo(out).xmp
    assert b"Motion" not in packet and b"MicroVideo" not in packet
    assert b'tiff:Make="M"' in packet and b"Primary" in packet


def test_strip_takes_the_video_too():
    out, _ = rewritten(jpeg_of(MOTION + CLOSE) + VIDEO, metadata="strip")
    assert b"ftyp" not in out and b"Motion" not in out


@pytest.mark.parametrize("video", [b"", VIDEO])
def test_a_gain_map_goes_whole_with_a_note(video):
    packet = OPEN + b'hdrgm:Version="1.0">' + ITEMS + CLOSE
    segment = (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
    data = jpeg.insert_segments(jpeg_of(packet), [segment])
    gain_map = file_of(Image.fromarray(smooth(9, 9)), "JPEG")
    out, notes = rewritten(data + gain_map + video)
    assert [note for note in notes if "gain map" in note]
    assert out.count(b"\xff\xd8\xff") == 1
    assert b"hdrgm:Version" not in out and b"GainMap" not in out
    assert b"21496" not in out
    assert out.endswith(video) and (b"MotionPhoto" in out) == bool(video)


def test_gain_maps_said_by_elements_go_too():
    packet = (
        b"<a><hdrgm:GainMapMax><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq>"
        b"</hdrgm:GainMapMax><hdrgm:Version>1.0</hdrgm:Version><b/></a>"
    )
    assert xmp.without_gain_map(packet) == b"<a><b/></a>"
    assert xmp.without_gain_map(None) is None


def test_the_end_of_a_picture_is_found():
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        data = jpeg_of(**options)
        assert jpeg.end_of_picture(data) == len(data)
        assert jpeg.end_of_picture(data + VIDEO) == len(data)
        assert jpeg.trailer(data + b"\0" * 9) == (0, b"")
        assert jpeg.trailer(data + data + VIDEO) == (1, VIDEO)
        assert jpeg.end_of_picture(data[:-2]) is None


def test_exif_too_long_for_a_jpeg_costs_no_picture():
    photo = decode.read_photo(file_of(Image.fromarray(smooth()), "PNG"))
    photo.exif = b"II*\0\x08\0\0\0" + bytes(80000)
    buffer = io.BytesIO()
    encode.write_photo(photo, buffer, kind="jpeg")
    assert decode.read_photo(buffer.getvalue()).exif is None
    assert photo.notes == ["its EXIF is too long for JPEG; not kept"]


def on_its_side():
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = 6
    return block.tobytes()


def extended_xmp(data):
    """(what the packet points to, the extended packet), put together."""
    pieces, whole = {}, 0
    name = b"http://ns.adobe.com/xmp/extension/\0"
    for _, body in jpeg.read_segments(data):
        if body.startswith(name):
            digest = body[len(name) : len(name) + 32]
            whole, start = struct.unpack_from(">II", body, len(name) + 32)
            pieces[start] = body[len(name) + 40 :]
    packet = b"".join(pieces[start] for start in sorted(pieces))
    assert len(packet) == whole
    assert hashlib.md5(packet).hexdigest().upper().encode() == digest
    pointer = decode.read_photo(data).xmp
    assert b'xmpNote:HasExtendedXMP="%b"' % digest in pointer
    return pointer, packet


@pytest.mark.parametrize("size", [65_600, 130_800, 200_001])
def test_long_xmp_goes_on_in_segments_of_its_own(size):
    photo = decode.read_photo(file_of(Image.fromarray(smooth()), "PNG"))
    body = OPEN + b'tiff:Orientation="1">' + bytes(size).replace(b"\0", b"x")
    photo.xmp = b"<?xpacket begin='' id='W5M0'?>\n" + body + CLOSE
    photo.xmp += b" " * 99 + b"\n<?xpacket end='w'?>"
    photo.exif, photo.orientation = on_its_side()[6:], 6
    buffer = io.BytesIO()
    encode.write_photo(photo, buffer, kind="jpeg")
    assert not photo.notes
    pointer, packet = extended_xmp(buffer.getvalue())
    assert (
        packet == body.replace(b'Orientation="1"', b'Orientation="6"') + CLOSE
    )
    assert len(ElementTree.fromstring(pointer)) == 1
    assert b'tiff:Orientation="6"' in pointer
    # The next change keeps it to the byte.
    again, _ = rewritten(buffer.getvalue())
    assert extended_xmp(again) == (pointer, packet)


def deep_png():
    buffer, pixels = io.BytesIO(), smooth().astype(np.uint16) * 257
    png.write(buffer, pixels.shape, np.uint16, [(0, pixels)])
    return buffer.getvalue()


def test_a_png_may_be_damaged_beside_its_pixels():
    image = Image.fromarray(smooth())
    for data in (file_of(image, "PNG"), deep_png()):
        title = png.text_chunk(b"Title", b"a title")
        data = png.insert_chunks(data, [title, (b"gAMA", b"x")])
        wrong = data.replace(b"a title", b"A title")
        expected = decode.read_photo(wrong).pixels.array()
        for broken in (wrong, data[:-12], wrong[:-3], wrong[:-20]):
            if broken == wrong[:-20]:
                with pytest.raises(UserError, match="damaged"):
                    decode.read_photo(broken)
                continue
            photo, buffer = decode.read_photo(broken), io.BytesIO()
            assert np.array_equal(photo.pixels.array(), expected)
            encode.write_photo(photo, buffer)
            assert ["damaged parts" in note for note in photo.notes] == [True]
            again = decode.read_photo(buffer.getvalue())
            assert np.array_equal(again.pixels.array(), expected)
            assert b"A title" not in buffer.getvalue()


def test_blocks_behind_a_damaged_segment_are_kept():
    """Else a picture would lie on its side, without a word."""
    data = jpeg_of(MOTION + CLOSE, exif=on_its_side(), icc_profile=b"\0" * 200)
    assert data[2:4] == b"\xff\xe0"
    empty = data[:4] + bytes(2) + data[6:]
    junk = data[:20] + b"\0junk" + data[20:]
    for broken in (empty, junk):
        photo, buffer = decode.read_photo(broken), io.BytesIO()
        encode.write_photo(photo, buffer)
        assert any("segment is damaged" in note for note in photo.notes)
        again = decode.read_photo(buffer.getvalue())
        assert again.orientation == photo.orientation == 6
        assert again.exif == photo.exif and again.pixels.shape == (36, 24, 3)


def test_exif_broken_behind_its_orientation_hinders_no_format():
    block = b"II*\0\x08\0\0\0\x09\0" + struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    data = jpeg_of(exif=b"Exif\0\0" + block)
    for kind in ("jpeg", "png", "tiff", "webp", "avif", "bmp"):
        photo, buffer = decode.read_photo(data), io.BytesIO()
        assert photo.orientation == 6
        encode.write_photo(photo, buffer, kind=kind)
        again = decode.read_photo(buffer.getvalue())
        assert again.pixels.shape == (36, 24, 3), kind


def test_the_extended_part_of_xmp_is_kept_or_noted():
    packet = OPEN + b'xmpNote:HasExtendedXMP="0123">' + CLOSE
    part = (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40)
    data = jpeg.insert_segments(jpeg_of(packet), [part])
    out, notes = rewritten(data)
    assert part[1] in out and not notes
    out, notes = rewritten(data, "png")
    assert "the extended part of XMP cannot be kept" in notes[0]
    assert b"HasExtended" not in out


def test_every_thing_beside_the_pixels_is_kept_or_noted():
    data = jpeg_with_everything()
    for kind in ("png", "webp", "tiff", "avif", "bmp"):
        _, notes = rewritten(data, kind)
        text = " ".join(notes)
        assert "IPTC" in text and "comment" in text, kind
        assert ("EXIF" in text) == (kind == "bmp")
    info = png.text_chunk(b"Title", b"a title")
    data = png.insert_chunks(file_of(Image.fromarray(smooth()), "PNG"), [info])
    assert "text beside XMP" in rewritten(data, "jpeg")[1][0]
    assert not rewritten(data, "png")[1]


def with_thumbnail(colour=(255, 255, 255)):
    small = file_of(Image.new("RGB", (64, 48), colour), "JPEG", quality=95)
    small = small[:-2] + b"\xff\xfe\x08\0" + bytes(2046) + small[-2:]
    order, first = "<", 8
    head = b"II*\0" + struct.pack("<I", first)
    zero = struct.pack("<HHHIHHI", 1, 274, 3, 1, 1, 0, 26)
    one = struct.pack(
        order + "HHHIIHHIII", 2, 513, 4, 1, 56, 514, 4, 1, len(small), 0
    )
    return head + zero + one + small


def thumbnail_of(data):
    block = Image.Exif()
    block.load(Image.open(io.BytesIO(data)).info["exif"])
    small = block.get_ifd(ExifTags.IFD.IFD1)
    start = small[513]
    raw = Image.open(io.BytesIO(data)).info["exif"]
    raw = raw.removeprefix(b"Exif\0\0")
    return Image.open(io.BytesIO(raw[start : start + small[514]]))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_the_preview_shows_the_new_picture(kind):
    assert thumbnail_of(jpeg_of(exif=b"Exif\0\0" + with_thumbnail()))
    image = Image.new("RGB", (320, 240), (20, 60, 90))
    block = b"Exif\0\0" + with_thumbnail()
    data = file_of(image, kind.upper(), exif=block)
    out, notes = rewritten(data)
    small = thumbnail_of(out)
    assert small.size == (64, 48) and not notes
    pixels = np.asarray(small, int)
    assert np.abs(pixels - (20, 60, 90)).max() < 12
    # All else of the block is where it was.
    before, after = with_thumbnail(), decode.read_photo(out).exif
    assert len(after) >= len(before) and after[:48] == before[:48]


def test_photoshops_preview_goes_other_resources_stay():
    def resource(kind, body):
        body += bytes(len(body) % 2)
        return b"8BIM" + struct.pack(">HxxI", kind, len(body)) + body

    iptc, small = resource(1028, b"\x1c\x02\x78\0\x03cat"), resource(1036, b"x")
    block = b"Photoshop 3.0\0" + iptc + small
    data = jpeg.insert_segments(jpeg_of(), [(0xED, block)])
    out, _ = rewritten(data)
    assert iptc in out and small not in out


def test_layers_do_not_go_on_showing_the_old_photo():
    block = Image.Exif()
    block[tiff.LAYERS] = b"Adobe Photoshop Document Data Block\0layers"
    data = file_of(Image.fromarray(smooth()), "TIFF", exif=block)
    out, notes = rewritten(data)
    assert "layers" in notes[0] and b"Document Data" not in out


@pytest.mark.parametrize("order", ["<", ">"])
def test_tags_of_a_tiff_are_kept_to_the_byte(order):
    tifffile = pytest.importorskip("tifffile", reason="writes the tags")
    name = "Jürgen Müller".encode() + b"\0"
    iptc = b"\x1c\x02\x5a\0\x05Koeln\x1c\x02\x19\0\x06Urlaub\0\0\0"
    numbers = np.frombuffer(iptc[:20], order + "u4").tolist()
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        smooth(),
        photometric="rgb",
        metadata=None,
        byteorder=order,
        extratags=[
            (315, 2, len(name), name, True),
            (tiff.IPTC, 4, len(numbers), numbers, True),
            (40000, 5, 2, (1, 3, 7, 9), True),
            (40001, 12, 1, 0.1, True),
            (40002, 9, 1, -5, True),
        ],
    )
    out, notes = rewritten(buffer.getvalue())
    assert not notes
    before = tifffile.TiffFile(io.BytesIO(buffer.getvalue())).pages[0].tags
    after = tifffile.TiffFile(io.BytesIO(out)).pages[0].tags
    for tag in (315, tiff.IPTC, 40000, 40001, 40002):
        assert after[tag].value == before[tag].value
        assert after[tag].dtype == before[tag].dtype


def test_maker_notes_survive_and_their_move_is_said():
    block = Image.Exif()
    block.load(exif())
    data = file_of(Image.fromarray(smooth()), "TIFF", exif=block)
    out, notes = rewritten(data)
    assert b"private maker note" in out
    assert any("maker note was moved" in note for note in notes)


def test_signed_claims_and_coders_notes_go():
    claim = b"\0\0\0\x30jumb\0\0\0\x1cjumdc2pa\0\x11\0\x10\x80\0\0\xaa\08\x9bq"
    picture = file_of(Image.fromarray(smooth()), "PNG")
    data = png.insert_chunks(picture, [(b"caBX", claim), (b"iDOT", bytes(28))])
    out, notes = rewritten(data)
    assert "C2PA" in notes[0] and b"caBX" not in out and b"iDOT" not in out
    data = jpeg.insert_segments(jpeg_of(), [(0xEB, b"JP\0\1\0\0\0\1" + claim)])
    out, notes = rewritten(data)
    assert "C2PA" in notes[0] and b"c2pa" not in out


def test_resolution_of_a_jpeg_stays():
    out, _ = rewritten(jpeg_of(dpi=(300, 300)))
    assert Image.open(io.BytesIO(out)).info["dpi"] == (300, 300)


def test_a_photo_left_as_it_is_lost_nothing(tmp_path):
    """Notes of files copied byte for byte would be false."""
    dark = Image.new("CMYK", (40, 30), (90, 120, 140, 40))
    dark.save(tmp_path / "a.jpg")
    Image.new("P", (40, 30), 3).save(tmp_path / "a.png")
    data = jpeg_of(OPEN + b'hdrgm:Version="1">' + CLOSE)
    (tmp_path / "b.jpg").write_bytes(data + jpeg_of())
    for name in ("a.jpg", "a.png", "b.jpg"):
        for strength, lost in ((0.0, False), (1.0, True)):
            work = batch.Batch(
                Gain(0.7),
                Settings(force=True, strength=strength),
                batch.Output(),
            )
            target = tmp_path / f"{strength}{name}"
            [result] = work.run([(tmp_path / name, target)])
            assert bool(result.notes) == lost, (name, result.notes)
