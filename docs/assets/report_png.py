"""Takes the picture of a report that the documentation shows, which is that of the demo::

    lorasdk demo
    python docs/assets/report_png.py runs/wordnet-kinds/run-0001/report.html

Without a report it shows that of the tests, whose answers are made up. It needs Debian's Chromium, which the tests' own
finder brings into the user's cache.
"""

import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).with_name("report.png")
WIDTH, HEIGHT = 1000, 1180
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from debian_chromium import find_chromium  # noqa: E402 - where the tests keep it
from headless_browser import open_browser  # noqa: E402
from sample_report import sample_report, sample_run  # noqa: E402

from lorasdk.report import write_report  # noqa: E402


def take(page: Path) -> None:
    with open_browser(find_chromium()) as browser:
        browser.look(width=WIDTH)
        browser.open(page)
        browser.screenshot(PICTURE, height=HEIGHT)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        given = [Path(argument) for argument in sys.argv[1:]]
        run_dir = sample_run(Path(folder)).run_dir
        take(given[0] if given else write_report(run_dir, sample_report(), run_dir=run_dir).html)
    print(PICTURE)
