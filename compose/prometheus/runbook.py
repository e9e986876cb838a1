"""Write docs/runbook.md as a page that Prometheus serves: python compose/prometheus/runbook.py

The page is compose/k8s/monitoring/user/runbook.html, the only copy: Kustomize reads no file outside its
folder. Prometheus started with `--web.user-assets` serves that folder below /user, so an alert's runbook_url
opens wherever Prometheus itself does. A test holds that the page is up to date.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

FOLDER: Final = Path(__file__).parent
SOURCE: Final = FOLDER.parents[1] / "docs/runbook.md"
TARGET: Final = FOLDER.parent / "k8s/monitoring/user/runbook.html"
PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>gesture-maze: runbook</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem; color: #1d2330 }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid #ccd }}
:target {{ background: #fff3c4 }}
code {{ background: #eef; padding: 0 .2em }}
</style>
{body}</html>
"""


def anchor(title: str) -> str:
    """Return the anchor that forges give to a heading of this title."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def page(markdown: str) -> str:
    """Return the HTML page of a Markdown document.

    Headings get their anchors; links to other documents, which Prometheus does not serve, become their text.
    """
    markdown = re.sub(r"\[([^\]]+)\]\((?!#)[^)]*\)", r"\1", markdown)
    body = MarkdownIt().render(markdown)
    body = re.sub(r"<h2>(.*?)</h2>", lambda found: f'<h2 id="{anchor(found[1])}">{found[1]}</h2>', body)
    return PAGE.format(body=body)


def main() -> None:
    """Write the page."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
