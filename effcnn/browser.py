"""A Chromium without a window: it prints pages as PDF."""

import os
import shutil
import warnings
from pathlib import Path

from effcnn.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS = 300  # for one document; more means that the page never gets ready


def find(own: str = "") -> str:
    """The browser: the one named in CHROMIUM, else one on the PATH, else Playwright's `own`.

    Raises: UserError where there is none; it says how to get one.
    """
    named = os.environ.get("CHROMIUM")
    if named and not shutil.which(named):
        raise UserError(f"CHROMIUM is {named}, which is no program")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if not found and not Path(own).is_file():
        raise UserError(
            "a PDF needs Chromium or Chrome, and none is on the PATH; get one with 'apt install "
            "chromium' or 'python -m playwright install chromium', or name yours in CHROMIUM"
        )
    return found or own


def need() -> None:
    """Tell before anything long begins what is missing. Raises `UserError`."""
    with _playwright() as playwright:
        find(playwright.chromium.executable_path)


def _playwright():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError(
            "a PDF needs Playwright; install it with 'pip install -c constraints.txt playwright'"
        ) from None
    return sync_playwright()


def print_pdf(url: str, output: Path, ready: str = "true") -> Path:
    """Print the page at `url` into the file `output`, which is there whole or not at all.

    Args:
        ready: what the page says, as a JavaScript expression, when it has arranged itself.

    Raises: UserError without Playwright or a browser, and where the page cannot be printed.
    """
    part = output.with_name(f".{output.name}")
    with _playwright() as playwright:
        from playwright.sync_api import Error

        path = find(playwright.chromium.executable_path)
        try:
            # No sandbox: the pages are our own, and in many containers it cannot be had.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page()
            page.set_default_timeout(1000 * SECONDS)
            page.goto(url)
            page.wait_for_function(ready)
            # The page's own size; with tags, so that a screen reader can read it.
            page.pdf(
                path=part,
                prefer_css_page_size=True,
                print_background=True,
                outline=True,
                tagged=True,
            )
            part.replace(output)
        except Error as error:
            raise UserError(f"no PDF of {url}: {error.message.strip().splitlines()[0]}") from None
        finally:
            part.unlink(missing_ok=True)
    return output
