"""A release: one version everywhere, a wheel that holds the course, a changelog that says so."""

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from cvlab.publish import release

PROJECT = Path(__file__).parents[2]
SAID = ("cvlab/__init__.py", "CITATION.cff", "CHANGELOG.md")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files that say the version, with an unreleased section in the changelog."""
    for name in SAID:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((PROJECT / name).read_text(encoding="utf-8"))
    changelog = tmp_path / "CHANGELOG.md"
    news = re.sub(r"^## .*$", "## Unreleased", changelog.read_text(), count=1, flags=re.MULTILINE)
    changelog.write_text(news.replace("Unreleased", "0.3.0 - unreleased"))
    return tmp_path


def test_one_version_everywhere(project: Path) -> None:
    for date in ("2026-01-31", "2026-02-01"):  # the second time changes nothing but the date
        release.set_version(project, "0.3.0", date)
        package, citation, changelog = ((project / name).read_text() for name in SAID)
        assert '\n__version__ = "0.3.0"\n' in package
        assert f'\nversion: 0.3.0\ndate-released: "{date}"\n' in citation
        assert citation.count("date-released") == citation.count("\nversion:") == 1
        assert f"\n## 0.3.0 - {date}\n" in changelog
        assert "unreleased" not in changelog


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("", "must be three numbers"),
        ("v0.3", "must be three numbers"),
        ("0.0.9", "lower than the project's"),
    ],
)
def test_a_version_of_another_form_or_past_is_refused(
    project: Path, version: str, message: str
) -> None:
    before = [(project / name).read_text() for name in SAID]
    with pytest.raises(ValueError, match=message):
        release.set_version(project, version, "2026-01-31")
    assert before == [(project / name).read_text() for name in SAID]


def test_a_release_without_news_is_refused(project: Path) -> None:
    release.set_version(project, "0.3.0", "2026-01-31")
    with pytest.raises(ValueError, match=r"begins with '## 0\.3\.0 - 2026-01-31'"):
        release.set_version(project, "0.4.0", "2026-02-01")


def test_a_release_that_fails_changes_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "-C", str(project), "init", "-q"], check=True)
    subprocess.run(["git", "-C", str(project), "add", "."], check=True)
    (project / "left.txt").touch()  # not tracked, so no part of it
    built: list[set[str]] = []

    def build(copy: Path, target: Path) -> tuple[Path, Path]:
        built.append({path.name for path in copy.rglob("*") if path.is_file()})
        assert '"0.3.0"' in (copy / SAID[0]).read_text()
        return target / "a.whl", target / "a.tar.gz"

    def fails(wheel: Path, names: object) -> None:
        raise RuntimeError("notebook 00 failed")

    monkeypatch.setattr(release, "build", build)
    monkeypatch.setattr(release, "rehearse", fails)
    before = [(project / name).read_text() for name in SAID]
    with pytest.raises(RuntimeError, match="notebook 00 failed"):
        release.make(project, "0.3.0", project / "dist", ["00"])
    assert before == [(project / name).read_text() for name in SAID]
    monkeypatch.setattr(release, "rehearse", lambda wheel, names: None)
    said = release.make(project, "0.3.0", project / "dist")
    assert "git tag -a v0.3.0" in said
    assert str(project / "dist/a.whl") in said
    assert '"0.3.0"' in (project / SAID[0]).read_text()
    assert built == [{Path(name).name for name in SAID}] * 2


def test_the_projects_own_files_agree() -> None:
    package, citation, changelog = ((PROJECT / name).read_text("utf-8") for name in SAID)
    version = re.findall(r'^__version__ = "(.+)"', package, flags=re.MULTILINE)
    assert version == re.findall(r"^version: (.+)$", citation, flags=re.MULTILINE)
    first = re.findall(r"^## (\S+)", changelog, flags=re.MULTILINE)[0]
    assert first in (*version, "Unreleased") or "unreleased" in changelog
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    assert settings["project"]["name"] == release.DISTRIBUTION


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    pytest.importorskip("setuptools", reason="setuptools builds the wheel (pip install .[dev])")
    if not (PROJECT / ".git").exists():
        pytest.skip("a release is made from a git repository")
    work = tmp_path_factory.mktemp("release")
    release.copy_tracked(PROJECT, work / "project")
    return release.build(work / "project", work / "dist")


def test_the_wheel_holds_package_notebooks_and_licenses(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    assert sdist.name.startswith("cvlab_course-")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(archive.read(metadata))
    assert said["Name"] == release.DISTRIBUTION
    inside = {name.partition(".data/data/share/cvlab/")[2] for name in names}
    notebooks = [f"lectures/{path.name}" for path in (PROJECT / "lectures").glob("*.ipynb")]
    assert {*notebooks, "lectures/ladder.svg"} <= inside
    tracked = subprocess.run(
        ["git", "-C", str(PROJECT), "ls-files", "cvlab"], capture_output=True, text=True, check=True
    )
    assert {name for name in tracked.stdout.split() if (PROJECT / name).exists()} <= names
    licenses = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert {"LICENSE", "LICENSE-text", "THIRD_PARTY.md"} <= licenses
    foreign = [name for name in names if name.startswith(("tests/", "build/", "shared/"))]
    assert not foreign


def test_an_installed_wheel_finds_its_notebooks(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Not the environment of a release, but its files in a folder of their own."""
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(built[0])], check=True)
    asked = subprocess.run(
        [sys.executable, "-m", "cvlab", "student"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    copies = {path.name for path in (empty / "build/student").iterdir()}
    assert copies == {path.name for path in (PROJECT / "lectures").glob("*.ipynb")}
