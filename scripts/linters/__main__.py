"""Runs all house rules over services/ and scripts/."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import scripts.linters
from scripts.linters import Finding, Rule, check


def rules() -> list[Rule]:
    """Returns the rule of every module beside this one."""
    names = [module.name for module in pkgutil.iter_modules(scripts.linters.__path__)]
    modules = [importlib.import_module(f"scripts.linters.{name}") for name in sorted(names)]
    return [module.RULE for module in modules if hasattr(module, "RULE")]


def findings(root: Path) -> Iterator[Finding]:
    """Yields what breaks a rule anywhere below `root`."""
    known = rules()
    for folder in ("services", "scripts"):
        for file in sorted((root / folder).rglob("*.py")):
            path = PurePosixPath(file.relative_to(root).as_posix())
            source = file.read_text()
            for rule in known:
                yield from check(rule, path, source)


if __name__ == "__main__":
    found = list(findings(Path()))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(rules())} house rules, {len(found)} findings")
    sys.exit(bool(found))
