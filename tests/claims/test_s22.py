"""S22: Installable software."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from decimal import Decimal
from pathlib import Path

import pytest

from tests.claims.conftest import ROOT, Program


def run(*words: str | Path, folder: Path) -> None:
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it, and nothing of the sources; the libraries are those of the tests."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, the build backend, is not installed here; requirements/dev.lock brings it")
    folder = tmp_path_factory.mktemp("installed")
    venv, with_pip = folder / "venv", importlib.util.find_spec("pip") is not None
    run(sys.executable, "-m", "venv", *(["--without-pip"] if with_pip else []), venv, folder=folder)
    python = venv / "bin/python"
    # A .pth file lends the libraries of the tests' own environment, but not packages that are editable there.
    site = next((venv / "lib").glob("python3*/site-packages"))
    borrowed = [sysconfig.get_path("purelib"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    lent = [str(Path(one).resolve()) for one in borrowed if Path(one).resolve() != ROOT / "src"]
    (site / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python)] if with_pip else [str(python), "-m", "pip"]
    build = [sys.executable if with_pip else str(python), "-m", "pip", "wheel"]
    run(*build, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, folder=folder)
    (wheel,) = folder.glob("apportion-*.whl")
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=folder)
    return venv


@pytest.fixture
def program(installed: Path, tmp_path: Path) -> Program:
    """The installed command, in an empty folder."""
    return Program(tmp_path, [str(installed / "bin/apportion")], {"PYTHONPATH": ""})


def test_installed_it_charges_and_pays_from_an_empty_folder(program: Program, installed: Path) -> None:
    where = [str(installed / "bin/python"), "-c", "import apportion; print(apportion.__file__)"]
    source = subprocess.run(where, cwd=program.folder, env=program.env, capture_output=True, text=True, check=True)
    assert source.stdout.startswith(str(installed))
    assert program("--version").out.split()[0] == "apportion"
    program("init")
    assert sorted(file.name for file in program.folder.iterdir()) == ["catalog.toml", "usage.csv"]
    summary = program("run", "catalog.toml", "usage.csv", "--close", "--json").json()
    assert summary["charged"] == 6
    balances = {one["owner"]: Decimal(one["posted"]) for one in program("balance", "--json").json()}
    assert balances == {
        "ada": Decimal("-61.62"), "ben": Decimal("-27.27"), "cleo": Decimal("-17.13"),
        "dora": Decimal("49.95"), "otto": Decimal("31.92"), "fees": Decimal("24.15"),
    }  # fmt: skip
    program("verify")
    # and the example data come with it
    site = next((installed / "lib").glob("python3*/site-packages"))
    for folder in (one for one in (ROOT / "examples").iterdir() if (one / "catalog.toml").is_file()):
        shipped = site / "apportion/examples" / folder.name
        assert {file.name: file.read_bytes() for file in shipped.iterdir()} == {
            file.name: file.read_bytes() for file in folder.iterdir()
        }
    video = site / "apportion/examples/video-on-demand"
    month = program("run", video / "catalog.toml", video / "usage.csv", "--store", "video.db", "--json").json()
    assert month["charged"] == 5238
