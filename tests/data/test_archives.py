"""Archives from strangers: every trick is refused by the member's name."""

import stat
import struct
import zipfile
from pathlib import Path

import pytest

from cvlab.data import archives
from cvlab.data.archives import ArchiveError, open_archive
from tests.small_photos import zip_of


def refused(path: Path) -> str:
    with pytest.raises(ArchiveError) as caught:
        open_archive(path)
    return str(caught.value)


def test_an_honest_archive_opens(tmp_path: Path) -> None:
    members = {"train/cat.0.jpg": b"a", "readme[1].txt": b"b" * 5000, "MSR-LA - 3467.docx": b""}
    with open_archive(zip_of(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../x.jpg", "'..'"),
        ("train/../../x.jpg", "'..'"),
        ("/etc/x.jpg", "absolute path"),
        ("C:/x.jpg", "absolute path"),
        ("c:x.jpg", "absolute path"),
        ("train\\cat.0.jpg", "backslash"),
        ("..\\x.jpg", "backslash"),
        ("\\\\host\\share\\x.jpg", "backslash"),
        ("cat\n.jpg", "control characters"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, reason: str) -> None:
    path = zip_of(tmp_path / "a.zip", {"train/cat.0.jpg": b"a", name: b"b"})
    message = refused(path)
    assert repr(name) in message
    assert reason in message
    assert str(path) in message


def test_a_name_that_hides_behind_a_zero_byte(tmp_path: Path) -> None:
    # zipfile itself cuts the name at the zero byte and would show an innocent one.
    path = zip_of(tmp_path / "a.zip", {"cat.jpg#../x": b"a"})
    path.write_bytes(path.read_bytes().replace(b"cat.jpg#../x", b"cat.jpg\0../x"))
    assert "control characters" in refused(path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (stat.S_IFLNK, "it is a link"),
        (stat.S_IFIFO, "neither a file"),
        (stat.S_IFCHR, "neither a file"),
    ],
)
def test_links_and_devices(tmp_path: Path, kind: int, reason: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("cat.1.jpg")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    message = refused(path)
    assert "'cat.1.jpg'" in message
    assert reason in message


def patch_central_directory(path: Path, offset: int, value: bytes) -> None:
    """Overwrite a field of the first entry of the table of contents (APPNOTE 4.3.12)."""
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + offset : start + offset + len(value)] = value
    path.write_bytes(data)


def test_encrypted_member(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"cat.1.jpg": b"a"})
    patch_central_directory(path, 8, struct.pack("<H", 1))
    assert "'cat.1.jpg': it is encrypted" in refused(path)


def test_unknown_compression(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"cat.1.jpg": b"a"})
    patch_central_directory(path, 10, struct.pack("<H", 97))
    assert "'cat.1.jpg': its compression method 97" in refused(path)


def test_absurd_declared_size(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {"cat.1.jpg": b"a"})
    patch_central_directory(path, 24, struct.pack("<I", 3_000_000_000))
    message = refused(path)
    assert "'cat.1.jpg': it claims 3.0 GB, more than 104.9 MB" in message


def test_absurd_compression(tmp_path: Path) -> None:
    members = {"cat.1.jpg": b"fine", "cat.2.jpg": bytes(20_000_000)}
    path = zip_of(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    message = refused(path)
    assert "'cat.2.jpg': it would grow from" in message
    assert "to 20.0 MB, more than 200 times" in message


def test_what_is_read_is_bounded_by_the_declared_size(tmp_path: Path) -> None:
    """A member that unpacks to more than it declares is cut there and fails its CRC-32."""
    path = zip_of(tmp_path / "a.zip", {"cat.1.jpg": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    patch_central_directory(path, 24, struct.pack("<I", 1000))
    with open_archive(path) as archive, pytest.raises(zipfile.BadZipFile, match="CRC"):
        archive.read("cat.1.jpg")


def test_two_members_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("cat.1.jpg", b"a")
        archive.writestr("cat.1.jpg", b"b")
    assert "'cat.1.jpg': a second member has the same name" in refused(path)


def test_too_many_members_and_too_much_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_of(tmp_path / "a.zip", {f"cat.{i}.jpg": b"12345" for i in range(11)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    assert "has 11 members, more than 10" in refused(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 11)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 54)
    assert "claim 55 bytes together, more than 54 bytes" in refused(path)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 55)
    open_archive(path).close()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\x1f\x8b\x08 a tar.gz", "is not a zip archive: it starts with the bytes"),
        (b"<!DOCTYPE html><html>Sign in</html>", "is a web page"),
    ],
)
def test_no_zip_at_all(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "train.zip"
    path.write_bytes(content)
    message = refused(path)
    assert says in message
    assert "Pass a whole zip archive" in message
    assert "elete" not in message  # the course did not make it


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_cut_short(tmp_path: Path, share: float) -> None:
    path = zip_of(tmp_path / "a.zip", {f"cat.{i}.jpg": bytes(500) for i in range(50)})
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "most likely cut short" in refused(path)
