"""The part of the tutorial on spreadsheets that reads a workbook, with a stand-in for the library that does it."""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType, SimpleNamespace

from titled_files import Tutorial

from lorasdk import LocatedModel
from lorasdk.builtin.package_source import PackageSource

TABLE = [
    ("No.", "Line (as typed)", "Price EUR", "Clean line"),
    *((n, f"{n} x lamp red 4,90", 4.9, f"lamp | red | {n} | 4.90" if n != 3 else None) for n in range(1, 12)),
]


def test_a_workbook_is_read_by_a_function_of_the_host(tiny_model_dir: Path, monkeypatch):
    def load_workbook(path: str, *, read_only: bool, data_only: bool) -> SimpleNamespace:
        assert (path, read_only, data_only) == ("orders.xlsx", True, True)
        return SimpleNamespace(active=SimpleNamespace(iter_rows=lambda values_only: iter(TABLE)))

    library = ModuleType("openpyxl")
    library.load_workbook = load_workbook
    monkeypatch.setitem(sys.modules, "openpyxl", library)
    tiny = LocatedModel(tiny_model_dir, "folder", "package:tiny")
    monkeypatch.setattr(PackageSource, "check", lambda _self, _request: [])
    monkeypatch.setattr(PackageSource, "locate", lambda _self, _request: tiny)
    (code,) = Tutorial.named("spreadsheet.md").pieces("xlsx.py")
    names: dict[str, object] = {}
    with redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "spreadsheet.md", "exec"), names)
    train, test = printed.getvalue().splitlines()
    assert "lamp | red | 1 | 4.90" in train
    assert "lamp | red |" in test
    rows = list(names["workbook"]("orders.xlsx"))
    assert rows[0] == {"prompt": "1 x lamp red 4,90\nPrice: 4.9", "completion": "lamp | red | 1 | 4.90"}
    assert rows[2]["completion"] is None
