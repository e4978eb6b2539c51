"""Build the package and check what is in it; make a release, all but the upload.

    python scripts/release.py package
    python scripts/release.py release 0.2.0

A release needs a clean checkout, a section of CHANGELOG.md with the version and today's date, and tests that
pass.  It writes the version, commits, builds, tags, and prints the command that uploads.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = "dist"
VERSION_FILE = "src/pixel_m4/version.py"
# What belongs to no package: tests, data, notes, what runs leave, caches.
STRAY = re.compile(
    r"(^|/)(tests?|docs|notes?|data|benchmarks|runs|quickstart-.*|shared|__pycache__|\.[^/]+)/|\.(pyc|orig|log|tmp)$"
)
ALLOWED = re.compile(r"^pixel_m4/(cli/data|quickstart/|published/data)")
_VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def members(archive: Path) -> dict[str, int]:
    """The package's files in a wheel or sdist, by their place in the package, with their sizes.

    Raises:
        SystemExit: something is in it that does not belong there.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            found = {entry.filename: entry.file_size for entry in wheel.infolist() if not entry.is_dir()}
        package = {name: size for name, size in found.items() if ".dist-info/" not in name}
        others = set()
    else:
        with tarfile.open(archive) as sdist:
            found = {entry.name.partition("/")[2]: entry.size for entry in sdist if entry.isfile()}
        package = {name.removeprefix("src/"): size for name, size in found.items() if name.startswith("src/")}
        others = {name for name in found if not name.startswith("src/")}
    known = {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md", "constraints.txt"),
        *("pyproject.toml", ".gitignore"),
    }
    stray = sorted(name for name in package if STRAY.search(name) and not ALLOWED.search(name))
    stray += sorted(name for name in package if not name.startswith("pixel_m4/")) + sorted(others - known)
    if stray:
        sys.exit(f"{archive.name} holds what does not belong there: {', '.join(stray)}")
    return package


def check(wheel: Path, sdist: Path) -> None:
    """See that both hold the same package, with its types and weights, and say how large they are.

    Raises:
        SystemExit: they do not.
    """
    built, source = members(wheel), members(sdist)
    if built != source:
        differing = sorted(name for name, _ in built.items() ^ source.items())
        sys.exit(f"{wheel.name} and {sdist.name} differ in {', '.join(differing)}")
    for needed in ("pixel_m4/py.typed", "pixel_m4/assets/pixel-m4-ud/model.safetensors"):
        if needed not in built:
            sys.exit(f"{wheel.name} lacks {needed}")
    for archive, content in ((wheel, built), (sdist, source)):
        unpacked = sum(content.values()) / 1e6
        size = archive.stat().st_size / 1e6
        print(f"{archive.name}: {size:.1f} MB, {len(content)} files, {unpacked:.1f} MB unpacked")


def build(root: Path, output: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from it; check them.

    Args:
        root: of the checkout.
        output: a folder without earlier packages.

    Returns:
        The wheel and the sdist.
    """
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(root))
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    check(wheel, sdist)
    return wheel, sdist


def package(root: Path = ROOT) -> tuple[Path, Path]:
    """Build into ``dist/``, which is emptied, and check with twine."""
    output = root / DIST
    shutil.rmtree(output, ignore_errors=True)
    archives = build(root, output)
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, archives))
    return archives


def release(version: str, root: Path = ROOT, *, tests: Sequence[str] = ("make", "lint", "test")) -> None:
    """Make a release; see the module.

    Raises:
        SystemExit: something is missing; nothing was changed then.
    """
    problem = refusal(version, root)
    if problem:
        sys.exit(problem)
    _run(*tests, cwd=root)
    write_version(root, version)
    _run("git", "commit", "--quiet", "--all", "--message", f"Version {version}", cwd=root)
    archives = package(root)
    _run("git", "tag", "--annotate", f"v{version}", "--message", f"Version {version}", cwd=root)
    print(f"\nv{version} is tagged, and nothing is uploaded. To publish it:\n  git push --follow-tags")
    print(f"  {sys.executable} -m twine upload {' '.join(str(archive) for archive in archives)}")


def refusal(version: str, root: Path) -> str | None:
    """Why a release cannot be made, or None."""
    if not _VERSION.fullmatch(version):
        return f"VERSION={version!r}: write it like 0.2.0 or 0.2.0rc1"
    if _git(root, "status", "--porcelain"):
        return "the checkout has changes: commit them, or put them away"
    if f"v{version}" in _git(root, "tag").split():
        return f"there is a tag v{version} already"
    heading = f"## [{version}] - {date.today().isoformat()}"
    if heading not in (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines():
        return f"CHANGELOG.md has no line {heading!r}: move what is unreleased there"
    return None


def write_version(root: Path, version: str) -> None:
    """Write the version to the package and to the citation."""
    places = (
        (VERSION_FILE, r'(__version__ = ")[^"]+', rf"\g<1>{version}"),
        ("CITATION.cff", r"(?m)^(version: ).+$", rf"\g<1>{version}"),
        ("CITATION.cff", r"(?m)^(date-released: ).+$", rf"\g<1>{date.today().isoformat()}"),
    )
    for name, pattern, value in places:
        file = root / name
        text, count = re.subn(pattern, value, file.read_text(encoding="utf-8"))
        if count != 1:
            sys.exit(f"{file}: {pattern} is there {count} times, not once")
        file.write_text(text, encoding="utf-8")


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def _run(*words: str, cwd: Path | None = None) -> None:
    done = subprocess.run(words, cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"this failed: {' '.join(words)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="build the package, or make a release")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("package", help="build wheel and sdist in dist/, and check them")
    actions.add_parser("release", help="make a release").add_argument("version", nargs="?", default="")
    arguments = parser.parse_args()
    if arguments.action == "package":
        package()
    else:
        release(arguments.version)
