"""Execute one notebook and keep how it ended, or refresh the outputs of a committed one.

An executed notebook appears only when it ran to its end, so an interrupted run can be resumed. A
failed one leaves `NAME.failed.ipynb` with the outputs up to the error.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import nbformat
import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from cvlab import profiles
from cvlab.cache import locked
from cvlab.course import findings
from cvlab.publish import contents
from cvlab.publish.outcomes import Record
from cvlab.publish.tags import FOLDED

KERNEL = "python3"
# Everything else in a notebook's metadata (widget states, timestamps, the interpreter's exact
# version) differs from machine to machine and would fill the history with noise.
CLEAN_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": KERNEL},
    "language_info": {"name": "python"},
}
# Text that a progress bar drew over with a carriage return.
_OVERDRAWN = re.compile(r"[^\n]*\r(?!\n)")


def execute(source: Path, target: Path, profile: str, inputs: str = "") -> Record:
    """Run one notebook with a profile and write the executed notebook and its record.

    Two processes that want the same target wait for one another; the second takes what the first
    one made from the same inputs.

    Args:
        source: The notebook to run; its cells see its folder as working directory.
        target: Where the executed notebook goes if it runs to the end. After a failure it goes
            to `NAME.failed.ipynb` in the same folder instead.
        profile: Value of the `parameters` cell's `PROFILE`.
        inputs: Key of what its outputs depend on; with an empty one it runs in any case.

    Raises:
        ValueError: If there is no such profile.
        FileNotFoundError: If `source` does not exist.
    """
    profiles.get(profile)
    if not source.exists():
        raise FileNotFoundError(f"There is no notebook {source}: see the list in lectures/")
    with locked(target):
        made = Record.current(target.parent, target.stem, inputs) if inputs else None
        return made or _execute(source, target, profile, inputs)


def _execute(source: Path, target: Path, profile: str, inputs: str) -> Record:
    folder, name = target.parent, target.stem
    failed, partial = folder / f"{name}.failed.ipynb", folder / f"{name}.partial.ipynb"
    records = folder / "records"
    # Results of an earlier run must not pass for those of this one if it is interrupted.
    record_file = Record.path(folder, name)
    for stale in (target, failed, record_file, findings.file_of(records, name[:2])):
        stale.unlink(missing_ok=True)
    os.environ[findings.FOLDER_VARIABLE] = str(records.absolute())  # the kernel inherits it

    start = time.monotonic()
    try:
        cell, problem = _run(source, partial, profile)
        verdict = "failed" if problem else "passed"
        seconds = time.monotonic() - start
        # In this order: a target is never there without its record, or the table would miss it.
        finished = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
        record = Record(name, profile, seconds, verdict, cell, problem, finished, inputs)
        record.save(folder)
        if partial.exists():  # a kernel may die before anything is written
            partial.replace(failed if problem else target)
    finally:
        partial.unlink(missing_ok=True)
    return record


def _run(source: Path, executed: Path, profile: str) -> tuple[int, str]:
    """The number of the cell that failed and what it said; 0 and an empty string if none did."""
    try:
        _papermill(source, executed, {"PROFILE": profile})
    except PapermillExecutionError as error:
        # papermill counts the cells of the executed notebook, where it has put one or two of its
        # own in front; the reader looks for the cell in the source.
        first_line = next(iter(error.source.strip().splitlines()), "").strip()
        cells = nbformat.read(source, as_version=4).cells
        number = next((n for n, cell in enumerate(cells, 1) if cell.source == error.source), 0)
        return number, f"{first_line} -> {error.ename}: {error.evalue}"
    except DeadKernelError:
        return 0, (
            "the kernel died, most likely because it ran out of memory: close other programs and "
            "notebooks, and run with -j 1"
        )
    return 0, ""


def _papermill(source: Path, executed: Path, parameters: dict[str, str]) -> NotebookNode:
    """Execute a notebook; its kernel's own messages are shown only if the kernel dies."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as messages:
        try:
            executed_notebook: NotebookNode = papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=parameters,
                kernel_name=KERNEL,
                engine_name="saved at its end",
                kernel_manager_class=_kernel_that_writes_to(messages),
                cwd=str(source.parent),
                progress_bar=False,
            )
        except DeadKernelError:
            messages.seek(0)
            shutil.copyfileobj(messages, sys.stderr)
            raise
    return executed_notebook


class _SavedAtItsEnd(NBClientEngine):
    """papermill's own engine, but for writing the file before and after each cell.

    That takes longer than starting the kernel. The file is written when the notebook ends, fails,
    or its kernel dies.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        save, nb_man.save = nb_man.save, lambda: None
        try:
            return super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.save = save


papermill_engines.register("saved at its end", _SavedAtItsEnd)


def _kernel_that_writes_to(messages: IO[str]) -> type[AsyncKernelManager]:
    """A manager of kernels whose standard error is a file.

    What a cell writes reaches the notebook all the same, but not what TensorFlow's C++ code writes
    there when it starts, past every setting of its own.
    """

    class Manager(AsyncKernelManager):
        # Asynchronous as in the class above, which likewise hides it from mypy.
        async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
            options["extra_arguments"] = ["--IPKernelApp.capture_fd_output=False"]
            await super().start_kernel(stderr=messages, **options)

    return Manager


def clean(notebook: NotebookNode) -> NotebookNode:
    """Strip what differs from run to run but teaches nothing; sources and outputs stay.

    Progress bars keep their last state only, what was printed in pieces is one piece again, and
    cell metadata keeps only the tags. Solutions and hidden code are folded away.
    """
    notebook.metadata = nbformat.from_dict(CLEAN_METADATA)
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != "injected-parameters"]
        kept: dict[str, Any] = {"tags": tags} if tags else {}
        if FOLDED & set(tags):
            kept["jupyter"] = {"source_hidden": True}  # JupyterLab shows it at a click
        cell.metadata = nbformat.from_dict(kept)
        CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _OVERDRAWN.sub("", output.text)
    return notebook


def refresh(path: Path) -> None:
    """Run a committed notebook with its own parameters and write its outputs back, cleaned.

    Args:
        path: A notebook in `lectures/`, changed in place only if it runs to the end.

    Raises:
        PapermillExecutionError: If a cell fails; the notebook is left as it was.
    """
    partial = path.with_name(f".{path.stem}.partial.ipynb")
    try:
        executed = _papermill(path, partial, {})
        nbformat.write(clean(executed), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def adopt(executed: Path, path: Path) -> None:
    """Write the outputs of an executed notebook into the committed one, cleaned.

    Args:
        executed: What `execute` wrote for the default profile.
        path: The notebook in `lectures/` that it was made from.

    Raises:
        ValueError: If the notebook was changed since.
    """
    committed = nbformat.read(path, as_version=4)
    cells = [cell for cell in committed.cells if cell.cell_type == "code"]
    ran = [
        cell
        for cell in nbformat.read(executed, as_version=4).cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    if [cell.source for cell in ran] != [cell.source for cell in cells]:
        raise ValueError(
            f"{path} was changed after {executed} was made from it: run `python -m cvlab lectures` "
            "first"
        )
    for cell, source in zip(cells, ran, strict=True):
        cell.outputs = source.outputs
    contents.number(cells)  # the cell that was left out had a number, too
    nbformat.write(clean(committed), path)
