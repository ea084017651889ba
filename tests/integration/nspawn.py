"""A machine that boots a real systemd: an overlay of this one's files, with processes and network of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.integration.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCE = Path(__file__).parents[2]

needs_nspawn = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("systemd-nspawn", "nsenter", "pgrep", "mount"))),
    reason="it takes root and systemd-nspawn: apt-get install systemd-container",
)


class Machine:
    """Use it as a context manager. Nothing that happens in it changes this machine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "m"
        self._folder = folder
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._lent = {
            "python": Path(sys.base_prefix).resolve(),
            "packages": Path(sysconfig.get_path("purelib")),
            "source": SOURCE,
        }

    def install(self) -> None:
        """What systemd/install lays out; for the packages, those of this Python are lent, read-only."""
        subprocess.run(["systemd/install", "--root", self.root], cwd=SOURCE, check=True, capture_output=True)
        program = self.root / "opt/birdwatchd/venv/bin/birdwatchd"
        program.parent.mkdir(parents=True)
        program.write_text(
            "#!/bin/sh\nexport PYTHONPATH=/opt/lent/source:/opt/lent/packages LD_LIBRARY_PATH=/opt/lent/python/lib\n"
            f'exec /opt/lent/python/bin/python3.{sys.version_info.minor} -m birdwatchd "$@"\n'
        )
        program.chmod(0o755)
        subprocess.run(
            ["systemd-sysusers", "--root", self.root, "birdwatchd.conf"], check=True, capture_output=True
        )

    def clone(self) -> Path:
        """A clone for its scripts to be run in, as they are, and without a network.

        They find a Python at /opt/lent/python, with the packages of this one, and in /srv/wheels what builds ours. Where
        the clone lies, seen from outside; inside it is /srv/birdwatchd.
        """
        for name in ("python-up", "python-work"):
            (self._folder / name).mkdir()
        python = self.root / "opt/lent/python"
        python.mkdir(parents=True)
        layers = f"lowerdir={self._lent.pop('python')},upperdir={self._folder / 'python-up'},workdir={self._folder / 'python-work'}"
        _mount("-t", "overlay", "overlay", "-o", layers, str(python))
        library = f"lib/python3.{sys.version_info.minor}"
        (python / library / "sitecustomize.py").write_text(
            "import sys\n\nsys.path.append('/opt/lent/packages')\n"
        )
        (self.root / "etc/ld.so.conf.d/lent.conf").write_text("/opt/lent/python/lib\n")
        subprocess.run(["ldconfig", "-r", self.root], check=True)
        clone = self.root / "srv/birdwatchd"
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=SOURCE, capture_output=True, check=True)
        for name in filter(None, tracked.stdout.decode().split("\0")):
            if (SOURCE / name).is_file():
                (clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SOURCE / name, clone / name)
        wheels = self.root / "srv/wheels"
        wheels.mkdir()
        wheel_of("setuptools", wheels)
        return clone

    def boot(self, target: str = "basic.target", *, lent: Path | None = None) -> None:
        """Boot to `target`; `lent` is a folder of this machine that it finds at /run/lent."""
        # What else this machine would start is not wanted.
        for wanted in (self.root / "etc/systemd/system").glob("*.wants/*"):
            if wanted.name != "birdwatchd.service":
                wanted.unlink()
        for name in self._lent:
            (self.root / f"opt/lent/{name}").mkdir(parents=True, exist_ok=True)
        binds = [f"--bind-ro={path}:/opt/lent/{name}" for name, path in self._lent.items()]
        if lent is not None:
            binds.append(f"--bind={lent}:/run/lent")
        nspawn = ["systemd-nspawn", "-q", "--boot", "--private-network", "--register=no", "--keep-unit"]
        with (self._folder / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                [*nspawn, "--link-journal=no", "-D", self.root, *binds, "--", f"--unit={target}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        wait_until(self._booted, "systemd boots")

    def run(self, *command: str, check: bool = True, seconds: float = 60) -> str:
        """Run a command in the machine, as its root; what it writes."""
        enter = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        done = subprocess.run(
            [*enter, *command],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd="/",
            env={"PATH": PATH, "LANG": "C.UTF-8"},  # nothing of this machine's
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}{self.log()}")
        return done.stdout

    def shown(self, name: str) -> str:
        """One property of the service."""
        return self.run("systemctl", "show", "--property", name, "--value", "birdwatchd").strip()

    def log(self) -> str:
        """What the service has written to the journal."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", "birdwatchd", check=False)

    def _booted(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            pytest.skip(f"systemd-nspawn does not run here: {(self._folder / 'console').read_text()[-500:]}")
        found = subprocess.run(
            ["pgrep", "-P", str(self._nspawn.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        if not found:
            return False
        self._leader = int(found[0])
        return self.run("systemctl", "is-active", "basic.target", check=False).strip() == "active"

    def __enter__(self) -> Self:
        _mount("-t", "tmpfs", "-o", "size=512m", "tmpfs", str(self._folder))
        try:
            for name in ("up", "work", "m"):
                (self._folder / name).mkdir()
            layers = f"lowerdir=/,upperdir={self._folder / 'up'},workdir={self._folder / 'work'}"
            _mount("-t", "overlay", "overlay", "-o", layers, str(self.root))
        except BaseException:
            subprocess.run(["umount", self._folder], check=False)
            raise
        for name in ("etc/machine-id", "etc/resolv.conf"):
            (self.root / name).unlink(missing_ok=True)
        (self.root / "etc/machine-id").touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(
                    self._leader, signal.SIGKILL
                )  # the first process of its own tree: all others go with it
        if self._nspawn is not None:
            try:
                self._nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
        for path in (self.root / "opt/lent/python", self.root, self._folder):
            if path.is_mount():
                subprocess.run(["umount", "--lazy", path], check=False)


def wheel_of(name: str, folder: Path) -> None:
    """An installed package, made the wheel again that it was: pip takes nothing else where there is no network."""
    package = metadata.distribution(name)
    with zipfile.ZipFile(folder / f"{name}-{package.version}-py3-none-any.whl", "w") as wheel:
        for file in package.files or ():
            if file.parts[0] != ".." and file.suffix != ".pyc":
                wheel.write(str(file.locate()), str(file))


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no mounting here: {done.stderr.strip()}")
