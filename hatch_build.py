"""Builds the extension in C for a compiled wheel (`make dist COMPILED=1`), beside what mypyc compiles."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension

EXTENSION = "gesture_maze.models.native"


class ExtensionHook(BuildHookInterface):
    """Compiles `EXTENSION` into a temporary folder, so that nothing is left in the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and add the library to the wheel."""
        source = Path(self.root, *EXTENSION.split(".")).with_suffix(".c")
        # no fused multiply-add, with which other processors would give other sums
        flags = ["-O3", "-ffp-contract=off"]
        extension = Extension(EXTENSION, [str(source)], libraries=["m"], extra_compile_args=flags)
        self._folder = tempfile.TemporaryDirectory()
        built = Path(self._folder.name)
        options = {"build_lib": str(built), "build_temp": str(built), "force": True}
        distribution = Distribution({"name": "native", "ext_modules": [extension]})
        distribution.command_options["build_ext"] = {key: ("", one) for key, one in options.items()}
        distribution.run_command("build_ext")
        build_data["infer_tag"], build_data["pure_python"] = True, False
        for library in built.rglob("*.so"):
            build_data["force_include"][str(library)] = library.relative_to(built).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built, once it is in the wheel."""
        self._folder.cleanup()
