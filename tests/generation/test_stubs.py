"""The stubs work for somebody who has only what the README tells them to install."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IMPORT_S_MAX = 60


def named_packages() -> list[str]:
    """Reads the names of packages in the README's sentence for providers."""
    [sentence] = re.findall(
        r"^Install (.*?), put `generated/` on", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    return re.findall(r"`([a-z-]+)`", sentence)


def with_requirements(names: list[str]) -> set[str]:
    """Adds what installing the packages brings along."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def modules_of(name: str) -> Iterator[str]:
    for path in metadata.files(name) or ():
        if path.suffix in (".py", ".so") and ".." not in path.parts:
            yield str(path)


def test_stubs_import_where_only_the_named_packages_are_installed(tmp_path: Path) -> None:
    names = named_packages()
    assert "grpcio" in names
    installed = tmp_path / "installed"
    for name in with_requirements(names):
        for module in modules_of(name):
            target = installed / module
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(metadata.distribution(name).locate_file(module))))
    stubs = [
        str(path.relative_to(ROOT / "generated").with_suffix("")).replace("/", ".")
        for path in (ROOT / "generated").glob("croupier/game/v1/provider_service_pb2*.py")
    ]
    assert len(stubs) == 2
    script = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'generated')!r}, {str(installed)!r}]\n"
        + "".join(f"import {stub}\n" for stub in stubs)
        + "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(  # noqa: S603 (this interpreter)
        # Without the site-packages of this environment, in which everything is installed.
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True,
        text=True,
        timeout=IMPORT_S_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"grpc", "google", "croupier"} <= set(done.stdout.split())
