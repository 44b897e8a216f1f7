"""Notebooks from one warm process: what all of them import is imported once.

Python, TensorFlow and Keras take several seconds to start, for each notebook and for the program
that runs it. Here the process that schedules the notebooks imports them, and every notebook gets
two forks of it: the program, and a kernel in waiting. The kernel is forked first, while its process
has a single thread; the program tells it later, through a pipe, which kernel to become. Jupyter
calls what starts its kernels a provisioner.

TensorFlow starts its devices and its threads with the first operation, which a process that only
schedules never asks for: so it can be imported before a fork. Other libraries cannot; see
`libraries`.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partialmethod
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import IO, Any, Final

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from threadpoolctl import threadpool_limits
from tqdm import tqdm

# By the module that Python runs.
_PROGRAM: Final = {"cvlab": ("cvlab.publish.execution",), "pytest": ("pytest", "nbformat")}
# For the kernels of notebooks with Keras.
_LIBRARIES: Final = (
    *("keras", "matplotlib.backends.backend_agg", "scipy.ndimage"),
    *("sklearn.datasets", "sklearn.linear_model"),
)


class Fork:
    """A forked process, with what `subprocess.Popen` offers to those who wait for it or end it.

    Args:
        run: Called in the new process, which ends with the status that it returns or exits with.
    """

    stdin = stdout = stderr = None

    def __init__(self, run: Callable[[], object]) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            os._exit(_status(run))

    def poll(self) -> int | None:
        """Return the status with which the process ended, None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status when the process has ended.

        Raises:
            subprocess.TimeoutExpired: If it still runs after `timeout` seconds.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


def _status(run: Callable[[], object]) -> int:
    """Run a function as a program: return the status that it would exit with."""
    try:
        found = run()
    except SystemExit as end:
        found = end.code
    except BaseException:
        traceback.print_exc()
        found = 1
    if isinstance(found, str):
        print(found, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return found if isinstance(found, int) else int(bool(found))


class _Waiting:
    """A fork that becomes a kernel when it is told which; it ends if it never is."""

    def __init__(self) -> None:
        read, write = os.pipe()

        def become() -> None:
            os.close(write)
            os.setsid()  # signals to the group of a kernel must not reach the program
            with os.fdopen(read) as pipe:
                order = json.loads(pipe.read() or "null")
            if order:
                _become(**order)

        self.process = Fork(become)
        os.close(read)
        self._pipe = os.fdopen(write, "w")

    def launch(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, stderr: Any
    ) -> Fork:
        """Tell the fork to become the kernel of a command, as `subprocess.Popen` would start it."""
        messages = f"/proc/{os.getpid()}/fd/{stderr.fileno()}" if stderr else os.devnull
        order = {"command": [*command], "env": {**env}, "cwd": str(cwd), "messages": messages}
        with self._pipe as pipe:
            json.dump(order, pipe)
        return self.process


def _become(command: Sequence[str], env: Mapping[str, str], cwd: str, messages: str) -> None:
    from ipykernel.kernelapp import launch_new_instance  # noqa: PLC0415 - imported before the fork

    descriptor = os.open(messages, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(env)
    if "OMP_NUM_THREADS" in env:  # NumPy read it when it was imported, before the fork
        threadpool_limits(int(env["OMP_NUM_THREADS"]))
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # It ends with the program, even where that is killed. Jupyter says so in a variable, which was
    # read when ipykernel was imported, before the fork.
    own = (f"parent_handle={os.getppid()}", f"extra_extensions={__name__}")
    sys.argv = [*command[2:], *(f"--IPKernelApp.{option}" for option in own)]
    launch_new_instance(argv=sys.argv[1:])


def load_ipython_extension(shell: Any) -> None:
    """Take the waits out of Keras as soon as it is imported; the kernel calls this."""

    def look(*_: object) -> None:
        if "keras" in sys.modules:
            import_module("cvlab.publish.waits").remove_waits()

    look()
    shell.events.register("post_run_cell", look)


class Provisioner(LocalProvisioner):
    """Starts a program's first kernel in the fork that waits for it, any other one as usual."""

    waiting: _Waiting | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel; see `jupyter_client`."""
        waiting, Provisioner.waiting = Provisioner.waiting, None
        if waiting is None:
            return await super().launch_kernel(cmd, **kwargs)
        folder = kwargs.get("cwd") or Path.cwd()
        kernel = waiting.launch(cmd, kwargs["env"], folder, kwargs.get("stderr"))
        self.process = kernel  # type: ignore[assignment]
        self.pid = self.pgid = kernel.pid
        return self.connection_info


def libraries(notebooks: Iterable[Path], backend: str, *, gpu: bool) -> tuple[str, ...]:
    """Return the modules that the kernels of notebooks want and that may be imported before a fork.

    Args:
        notebooks: What will run. One without Keras starts quickly anyway.
        backend: Of Keras. JAX starts threads when it is imported, and a fork would lack them.
        gpu: Whether there is a GPU, which processes cannot share across a fork.
    """
    if backend != "tensorflow" or gpu:
        return ()
    wanted = any("import keras" in path.read_text(encoding="utf-8") for path in notebooks)
    return _LIBRARIES if wanted else ()


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    *,
    modules: Iterable[str] = (),
) -> Fork:
    """Run `python -m MODULE ARGUMENTS` in a fork of this process.

    Args:
        command: What `subprocess.Popen` would run: Python, "-m", the module, its arguments.
        environment: Variables of the process, besides those of this one.
        output: Gets what it writes.
        modules: What its kernel will import; see `libraries`.
    """
    _preload(["ipykernel.kernelapp", *_PROGRAM.get(command[2], ()), *modules])

    def run() -> None:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for given, own in ((nowhere, 0), (output.fileno(), 1), (output.fileno(), 2)):
            os.dup2(given, own)
        os.environ.update(environment)
        if environment.get("TQDM_DISABLE"):  # read when tqdm was imported, before the fork
            tqdm.__init__ = partialmethod(tqdm.__init__, disable=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        Provisioner.waiting = _Waiting()
        factory = KernelProvisionerFactory.instance()
        factory.provisioners["warm"] = EntryPoint("warm", f"{__name__}:Provisioner", "")
        factory.default_provisioner_name = "warm"
        sys.argv = [*command[2:]]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)

    return Fork(run)


def _preload(modules: Iterable[str]) -> None:
    """Import modules, without what TensorFlow writes about that."""
    # As in every kernel; Matplotlib reads it when it is imported.
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    with tempfile.TemporaryFile() as messages:
        kept = os.dup(2)
        os.dup2(messages.fileno(), 2)
        try:
            for name in modules:
                import_module(name)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    # What was imported stays: no kernel has to look through it for garbage, a quarter of a second
    # each time, or to copy the memory that it shares with the others.
    gc.freeze()
