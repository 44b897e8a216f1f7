"""The key of a notebook's inputs: it changes with what can change the outputs, and only then."""

from pathlib import Path

import nbformat
import pytest

from cvlab.course import statements
from cvlab.publish import inputs
from tests.small_project import write

LECTURES = sorted((Path(__file__).parents[2] / "lectures").glob("[0-9]*.ipynb"))
BASE = '''"""What it is."""

from pathlib import Path


def load():  # a comment
    """Load it."""
    return Path(__file__).parent / "weights"
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of which the notebook below imports `plots` and, through it, `models.base`."""
    files = {
        "__init__.py": "",
        "plots.py": "def draw():\n    from cvlab.models import base\n    return base.load()\n",
        "models/__init__.py": "from . import sizes\n",
        "models/base.py": BASE,
        "models/sizes.py": "SMALL = 64\n",
        "models/weights/base.h5": "1",
        "models/weights/CARD.md": "1",
        "models/other.py": "",
        "publish/__init__.py": "",
        "publish/report.py": "TITLE = 1\n",
    }
    folder = tmp_path / "cvlab"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(inputs, "PACKAGE", folder)
    return folder


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write(tmp_path / "01_a.ipynb", "from cvlab import plots\nplots.draw()")


def key(notebook: Path) -> str:
    return inputs.key(notebook, {"profile": "quick"})


def test_a_notebook_can_import_what_its_imports_import(package: Path) -> None:
    found = inputs.reachable(["from cvlab import plots"])
    names = ["cvlab", "cvlab.models", "cvlab.models.base", "cvlab.models.sizes", "cvlab.plots"]
    assert sorted(found) == names
    assert found["cvlab.models"] == package / "models/__init__.py"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("plots.py", "def draw():\n    from cvlab.models import base\n    return base.load\n"),
        ("models/__init__.py", "from . import sizes\nNAME = 1\n"),  # the room of a module
        ("models/base.py", BASE.replace("load()", "load(size=1)")),
        ("models/sizes.py", "SMALL = 32\n"),
        ("models/weights/base.h5", "2"),  # a data file that a module names
        ("models/weights/added.h5", "1"),
    ],
)
def test_what_it_can_import_changes_the_key(
    package: Path, notebook: Path, file: str, text: str
) -> None:
    before = key(notebook)
    (package / file).write_text(text)
    assert key(notebook) != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("publish/report.py", "TITLE = 2\n"),  # nothing of a notebook leads there
        ("models/other.py", "SMALL = 32\n"),
        ("models/base.py", BASE.replace("a comment", "another")),
        ("models/base.py", BASE.replace("Load it.", "Load them.").replace("What", "Who")),
        ("models/base.py", BASE.replace("load():", "load(\n):")),
        ("models/weights/CARD.md", "2"),
    ],
)
def test_anything_else_does_not(package: Path, notebook: Path, file: str, text: str) -> None:
    before = key(notebook)
    (package / file).write_text(text)
    assert key(notebook) == before


def test_cells_tags_and_settings_count_and_outputs_do_not(package: Path, notebook: Path) -> None:
    before = key(notebook)
    content = notebook.read_text()
    notebook.write_text(content.replace("plots.draw()", "plots.draw(1)"))
    assert key(notebook) != before
    notebook.write_text(content.replace('"parameters"', '"other"'))
    assert key(notebook) != before
    notebook.write_text(content.replace('"outputs": []', '"outputs": [1]'))
    assert key(notebook) == before
    assert inputs.key(notebook, {"profile": "laptop"}) != before
    assert inputs.key(notebook, {"profile": "quick"}, [package / "plots.py"]) != before


def test_a_damaged_notebook_has_a_key_too(package: Path, notebook: Path) -> None:
    before = key(notebook)
    notebook.write_text(notebook.read_text()[:-10])
    assert key(notebook) != before


def test_a_cell_with_magic_may_import_anything(package: Path) -> None:
    assert "cvlab.publish.report" in inputs.reachable(["%load_ext something"])


def test_no_lecture_depends_on_how_it_is_published() -> None:
    for path in LECTURES:
        modules = inputs.reachable([_code(path)])
        assert not [name for name in modules if name.split(".")[1:2] == ["publish"]]
        assert {"cvlab", "cvlab.profiles"} <= modules.keys()
        assert ("cvlab.course.claims" in modules) == bool(statements.of_notebook(path.stem[:2]))


def test_only_some_lectures_depend_on_the_quiz_and_on_weights() -> None:
    with_quiz = {path.stem[:2] for path in LECTURES if "cvlab.course.quiz" in _modules(path)}
    assert with_quiz == {"00", "14"}
    with_base = {path.stem[:2] for path in LECTURES if "cvlab.models.embedded" in _modules(path)}
    assert {"06", "07", "08", "09", "10", "11", "12", "13"} <= with_base
    assert not {"00", "05", "14", "17"} & with_base


def _code(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def _modules(path: Path) -> set[str]:
    return set(inputs.reachable([_code(path)]))
