"""`environment.yml` as repo2docker reads it, which builds the images of Binder and JupyterHub.

repo2docker's own code decides; nothing is built. Whether conda's channels hold what is asked for is
not known here: they are asked only in the build.
"""

import importlib.util
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("repo2docker") is None,
    reason="repo2docker is not installed (pip install jupyter-repo2docker)",
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own dependencies'
@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_repo2docker_takes_python_and_packages_from_environment_yml(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    from repo2docker.app import Repo2Docker  # noqa: PLC0415

    monkeypatch.chdir(PROJECT)
    packs = (pack(Repo2Docker().base_image) for pack in Repo2Docker().buildpacks)
    found = next(pack for pack in packs if pack.detect())
    assert type(found).__name__ == "CondaBuildPack"
    assert found.python_version == "3.11"
    found.platform = platform
    # The base image of this version, and not of the next older one that repo2docker knows.
    locks = [name for name in found.get_build_script_files() if name.endswith(".lock")]
    assert len(locks) == 1
    assert "py-3.11-linux" in locks[0]

    steps = found.render({})
    assert found.separate_kernel_env is False, "one environment for Jupyter and the kernel"
    copied, installed = steps.index("COPY --chown=1000:1000 src/"), steps.index("env update")
    assert copied < installed, "`-e .` needs the course there"
    assert '--file "environment.yml"' in steps
