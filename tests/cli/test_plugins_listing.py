"""`lorasdk plugins`: a table for people, a document for machines, and exit code 0 whatever fails."""

import json
import re
from pathlib import Path

import pytest
from installed_packages import install, loader

from lorasdk.cli import main


@pytest.fixture
def plugins(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["plugins", *arguments])
        assert ended.value.code == 0
        printed = capsys.readouterr()
        return printed.out, printed.err

    return call


@pytest.fixture
def installed(monkeypatch, tmp_path: Path):
    def make(name: str, source: str, *entries: str) -> None:
        install(monkeypatch, tmp_path, name, source, *entries)

    return make


def listed(out: str, origin: str) -> list[str]:
    """Lines below an origin, with single spaces."""
    (block,) = re.findall(rf"^{re.escape(origin)}\n((?: .*\n)+)", out, re.MULTILINE)
    return [" ".join(line.split()) for line in block.splitlines()]


def test_what_is_installed_is_listed_by_distribution_in_80_columns(plugins, installed):
    installed("lorasdk-customer-relations", loader("customer_relations"), "loader.customer_relations")
    out, err = plugins()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    assert listed(out, "lorasdk")[0] == "loader file JSON Lines, JSON, CSV or Parquet on this"
    assert "evaluator exact_match the whole answer equals the reference" in listed(out, "lorasdk")
    rows = ["loader customer_relations Rows of customer_relations."]
    assert listed(out, "lorasdk-customer-relations 1.0") == rows


def test_P86_what_failed_is_told_like_an_error_and_the_rest_is_listed(plugins, installed):
    installed("lorasdk-bad", "import a_module_that_is_not_there", "loader.crm")
    installed("lorasdk-good", loader("good"), "loader.good")
    out, err = plugins()
    assert "error plugin.failed-to-load lorasdk-bad 1.0: ModuleNotFoundError: No module named" in err
    assert "fix: repair or uninstall the plugin" in err
    assert "Traceback" not in err
    assert listed(out, "lorasdk-bad 1.0") == ["loader crm cannot be used: see the error"]
    assert listed(out, "lorasdk-good 1.0") == ["loader good Rows of good."]


def test_a_hint_says_what_an_author_should_write(plugins, installed):
    installed("lorasdk-crm", loader("crm"), "acme")
    _, err = plugins()
    assert "hint plugin.undeclared lorasdk-crm 1.0: the entry point 'acme'" in err
    assert 'fix: write "loader.crm" = "lorasdk_crm:plugin" instead' in err


def test_machines_get_one_document_whatever_a_plugin_prints(plugins, installed):
    installed("lorasdk-bad", "raise OSError('[bold]disk[/bold]')", "observer.bad")
    installed("lorasdk-crm", "print('hello')\n" + loader("crm"), "crm")
    out, err = plugins("--json")
    document = json.loads(out)
    assert err == "hello\n"
    assert [offer for offer in document["offers"] if offer["origin"] != "lorasdk"] == [
        {
            "kind": "loader",
            "name": "crm",
            "origin": "lorasdk-crm 1.0",
            "distribution": "lorasdk-crm",
            "version": "1.0",
            "summary": "Rows of crm.",
            "usable": True,
        },
        {
            "kind": "observer",
            "name": "bad",
            "origin": "lorasdk-bad 1.0",
            "distribution": "lorasdk-bad",
            "version": "1.0",
            "summary": "",
            "usable": False,
        },
    ]
    assert [problem["message"] for problem in document["problems"]] == ["OSError: [bold]disk[/bold]"]
    assert [hint["code"] for hint in document["hints"]] == ["plugin.undeclared"]


def test_what_plugins_say_is_never_read_as_markup(plugins, installed):
    installed("lorasdk-crm", loader("crm").replace("Rows of crm.", "Rows [/] of [red]crm."), "loader.crm")
    out, _ = plugins()
    assert "Rows [/] of [red]crm." in " ".join(out.split())
