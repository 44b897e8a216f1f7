"""A class: kernels that read one cache share its pages; `environment.yml` serves JupyterHub."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from packaging.specifiers import SpecifierSet
from PIL import Image

from tests.bench import classroom

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc/self/smaps")
@pytest.mark.knocks
def test_kernels_on_one_cache_hold_one_copy(tmp_path: Path) -> None:
    images, cache = tmp_path / "images", tmp_path / "cache"
    random = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (images / kind).mkdir(parents=True)
        for number in range(50):
            levels = random.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(levels).save(images / kind / f"{kind}.{number}.png")
    cache.mkdir()
    classroom.kernels(1, str(cache), "arrays", images)  # decodes them
    found = classroom.kernels(3, str(cache), "arrays", images)
    bytes_of_arrays = 100 * 512 * 512 * 3
    for one in found:
        assert one["Rss"] == pytest.approx(bytes_of_arrays, rel=0.01)
        assert one["Anonymous"] == 0
    # Together they hold what one alone would hold, not three times that.
    assert sum(one["Pss"] for one in found) == pytest.approx(bytes_of_arrays, rel=0.02)


def project() -> dict[str, Any]:
    content = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(content)["project"]
    return found


def environment() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return found


def test_the_environment_has_only_what_repo2docker_reads() -> None:
    found = environment()
    assert set(found) == {"name", "channels", "dependencies"}
    assert found["channels"] == ["conda-forge"]
    *conda, pip = found["dependencies"]
    assert all(re.fullmatch(r"[a-z0-9_-]+(=[0-9.]+)?", one) for one in conda)
    assert list(pip) == ["pip"]
    assert "pip" in conda  # conda warns where pip itself is missing


def test_repo2docker_finds_a_version_of_python_that_the_course_runs_on() -> None:
    # How repo2docker reads it (CondaBuildPack.python_version); a range would give it its default.
    found = [
        match[1]
        for one in environment()["dependencies"]
        if isinstance(one, str) and (match := re.match(r"python\s*=+\s*([\d\.]*)", one))
    ]
    (version,) = found
    assert re.fullmatch(r"3\.\d+", version)
    assert version in SpecifierSet(project()["requires-python"])


def test_the_package_itself_brings_all_others() -> None:
    # A local path makes repo2docker copy the whole course before it installs.
    (install,) = environment()["dependencies"][-1]["pip"]
    match = re.fullmatch(r"-e \.\[tensorflow,(\w+)\]", install)
    assert match is not None
    assert match[1] in project()["optional-dependencies"]


def test_nothing_overrides_the_environment_in_repo2docker() -> None:
    # A Dockerfile wins over environment.yml, and a folder binder/ hides it.
    assert not any((ROOT / name).exists() for name in ("Dockerfile", "binder", ".binder"))
