"""What is in the package, and when a release can be made."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tarfile
import zipfile
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from pixel_m4 import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small repository with what a release touches."""
    root = tmp_path / "checkout"
    (root / "src" / "pixel_m4").mkdir(parents=True)
    for name in ("CITATION.cff", "src/pixel_m4/version.py"):
        (root / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    heading = f"## [9.8.7] - {date.today().isoformat()}"
    (root / "CHANGELOG.md").write_text(f"# Changes\n\n{heading}\n\n- x\n", encoding="utf-8")
    for words in (
        *(["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "a"]),
        *(["add", "-A"], ["commit", "-qm", "x"]),
    ):
        subprocess.run(["git", *words], cwd=root, check=True)
    return root


def wheel(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return path


@pytest.mark.parametrize(
    "stray",
    [
        *("pixel_m4/tests/test_x.py", "tests/test_x.py", "notes/plan.md", "pixel_m4/data/en.txt"),
        *("pixel_m4/__pycache__/a.pyc", "pixel_m4/.hidden/x", "pixel_m4/run.log", "docs/a.md"),
    ],
)
def test_what_does_not_belong_into_a_package_is_found(
    release: ModuleType, tmp_path: Path, stray: str
) -> None:
    good = ("pixel_m4/__init__.py", "pixel_m4/cli/data.py", "pixel_m4-1.dist-info/METADATA")
    assert set(release.members(wheel(tmp_path / "a.whl", *good))) == set(good[:2])
    with pytest.raises(SystemExit, match=f"holds what does not belong there: {re.escape(stray)}"):
        release.members(wheel(tmp_path / "b.whl", *good, stray))


def test_archives_that_differ_are_refused(release: ModuleType, tmp_path: Path) -> None:
    built = wheel(tmp_path / "a.whl", "pixel_m4/a.py", "pixel_m4/py.typed")
    source = tmp_path / "a.tar.gz"
    (tmp_path / "a.py").write_text("x")
    with tarfile.open(source, "w:gz") as archive:
        archive.add(tmp_path / "a.py", "pixel_m4-1/src/pixel_m4/a.py")
    with pytest.raises(SystemExit, match=r"a\.whl and a\.tar\.gz differ in pixel_m4/py\.typed"):
        release.check(built, source)
    with tarfile.open(source, "w:gz") as archive:
        archive.add(tmp_path / "a.py", "pixel_m4-1/Makefile")
    with pytest.raises(SystemExit, match="does not belong there: Makefile"):
        release.members(source)


def test_a_release_needs_a_clean_checkout_and_a_change_log(release: ModuleType, checkout: Path) -> None:
    assert release.refusal("9.8.7", checkout) is None
    assert "write it like 0.2.0" in release.refusal("9.8", checkout)
    assert "CHANGELOG.md has no line '## [9.8.6] - " in release.refusal("9.8.6", checkout)
    subprocess.run(["git", "tag", "v9.8.7"], cwd=checkout, check=True)
    assert "a tag v9.8.7 already" in release.refusal("9.8.7", checkout)
    (checkout / "new").touch()
    assert "has changes" in release.refusal("9.8.7", checkout)


def test_a_release_stops_where_tests_fail(release: ModuleType, checkout: Path) -> None:
    with pytest.raises(SystemExit, match="this failed: false"):
        release.release("9.8.7", checkout, tests=("false",))
    assert f'"{__version__}"' in (checkout / "src/pixel_m4/version.py").read_text()


def test_a_release_writes_the_version_commits_and_tags(
    release: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "package", lambda root: (root / "dist/x.whl", root / "dist/x.tar.gz"))
    release.release("9.8.7", checkout, tests=("true",))
    assert '__version__ = "9.8.7"' in (checkout / "src/pixel_m4/version.py").read_text()
    citation = yaml.safe_load((checkout / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == "9.8.7"
    assert str(citation["date-released"]) == date.today().isoformat()
    shown = subprocess.run(["git", "tag"], cwd=checkout, capture_output=True, text=True, check=True).stdout
    assert shown == "v9.8.7\n"
    assert release._git(checkout, "status", "--porcelain") == ""
    said = capsys.readouterr().out
    assert "nothing is uploaded" in said
    assert "twine upload" in said


def test_version_citation_and_change_log_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    heading = f"## [{__version__}] - {citation['date-released']}"
    assert heading in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    cited = {reference["title"] for reference in citation["references"]}
    assert cited == {"Language Modelling with Pixels", "Multilingual Pretraining for Pixel Language Models"}


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_same_package_and_nothing_else(
    release: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    built, _ = release.build(ROOT, tmp_path)
    tracked = subprocess.run(
        ["git", "ls-files", "src/pixel_m4"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(release.members(built)) >= {file.removeprefix("src/") for file in tracked}
    with zipfile.ZipFile(built) as archive:
        metadata = archive.read(f"pixel_m4-{__version__}.dist-info/METADATA").decode()
    assert "Typing :: Typed" in metadata
    extras = set(re.findall(r"(?m)^Provides-Extra: (\S+)", metadata))
    assert {"analysis", "export", "phonetic", "plots", "ray", "woff"} <= extras
    target = tmp_path / "unpacked"
    zipfile.ZipFile(built).extractall(target)
    code = "import pixel_m4, sys; print(pixel_m4.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(target)},
    )
    assert Path(done.stdout.strip()) == target / "pixel_m4" / "__init__.py"
