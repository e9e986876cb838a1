"""The wheel and source distribution, built as by `make dist`, and environments for them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.support.children import child
from tests.support.laid_out import PIP, closure, link_packages, run
from tests.support.observed import ROOT


@dataclass(frozen=True)
class Distributions:
    """The two files of a release.

    Attributes:
        wheel, sdist: their paths.
    """

    wheel: Path
    sdist: Path

    def wheel_names(self) -> list[str]:
        """Return the paths of the files in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    def sdist_names(self) -> list[str]:
        """Return the paths of the members of the source distribution, below its own folder."""
        with tarfile.open(self.sdist) as archive:
            return [name.partition("/")[2] for name in archive.getnames()]


def build_distributions(folder: Path) -> Distributions:
    """Build the source distribution from the repository, and the wheel from the source distribution."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distributions(wheel, sdist)


@dataclass(frozen=True)
class Environment:
    """A virtual environment outside the repository.

    Attributes:
        folder: its root.
    """

    folder: Path

    @classmethod
    def bare(cls, folder: Path) -> Environment:
        """Create one without any package, not even pip."""
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        return cls(folder)

    @classmethod
    def linked(cls, folder: Path, *extras: str) -> Environment:
        """Create one with the packages that the given extras require, as hard links to local ones."""
        found = cls.bare(folder)
        needs = run(sys.executable, ROOT / "compose/requirements.py", *extras).splitlines()
        link_packages(folder, closure(needs))
        return found

    def install(self, *words: str | Path) -> None:
        """Install with pip into this environment."""
        run(*PIP, "--python", self.folder / "bin/python", "install", "--quiet", *words, folder=self.folder)

    def command(self, name: str, *words: str | Path) -> list[str]:
        """Return the command line of a program of this environment."""
        return [str(self.folder / "bin" / name), *map(str, words)]

    def running(self, name: str, *words: str | Path) -> AbstractContextManager[subprocess.Popen[str]]:
        """Run a program of this environment with an empty environment, outside the repository."""
        return child(
            *self.command(name, *words), cwd=self.folder, env={"PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, name: str, *words: str | Path) -> str:
        """Return the standard output of a program of this environment, which must succeed."""
        with self.running(name, *words) as process:
            out, err = process.communicate(timeout=50)
        assert process.returncode == 0, out + err
        return out
