"""The command `scripts/generate`."""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.generation.openapi import write_openapi
from scripts.generation.protoc import write_descriptors, write_stubs

GENERATED = Path("generated")


def _generate(target: Path) -> None:
    write_stubs(target)
    write_descriptors(target / "croupier.binpb")
    write_openapi(target / "openapi.json")


def _differences(compared: filecmp.dircmp[str], below: str = "") -> list[str]:
    names = [*compared.left_only, *compared.right_only, *compared.diff_files]
    found = [f"{below}{name}" for name in names if name != "__pycache__"]
    for name, child in compared.subdirs.items():
        found += _differences(child, f"{below}{name}/")
    return sorted(found)


def main() -> int:
    """Generates, or with --check compares with what is there."""
    parser = argparse.ArgumentParser(prog="scripts/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if anything would change")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        fresh = Path(made) / "generated"
        fresh.mkdir()
        _generate(fresh)
        differing = _differences(filecmp.dircmp(GENERATED, fresh, ignore=["__pycache__"]))
        if not differing:
            print("generated/ is fresh")
            return 0
        if arguments.check:
            print("generated/ is stale; run scripts/generate:", *differing, sep="\n  ")
            return 1
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(fresh, GENERATED)
    print("regenerated:", *differing, sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
