"""An animation of a page, token by token: python docs/animate.py docs/three_plus_five.html docs/three_plus_five.gif

Every picture is the page itself, as it decodes: needs playwright, a chromium (CHROMIUM=path) and pillow.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1100, 860
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
MILLISECONDS = 1600


def pictures(page_path: Path) -> list[Image.Image]:
    """One for each decoded token."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(bypass_csp=True, viewport={"width": WIDTH, "height": HEIGHT}).new_page()
        page.goto(page_path.resolve().as_uri())
        page.wait_for_function("wasm2xformer.ended && wasm2xformer.detail")
        page.add_style_tag(content=".sub, .controls, nav.top, .panel h3 button { display: none !important; }")
        found = []
        for position in page.evaluate("wasm2xformer.forced.flatMap((given, p) => (given ? [] : [p]))"):
            page.evaluate(f"wasm2xformer.select({position})")
            page.wait_for_function("wasm2xformer.detail.position === wasm2xformer.cursor - 1")
            page.wait_for_timeout(300)
            found.append(Image.open(io.BytesIO(page.screenshot())).convert("P", palette=Image.Palette.ADAPTIVE, colors=64))
        browser.close()
    return found


def main(page: str, output: str) -> None:
    first, *others = pictures(Path(page))
    first.save(output, save_all=True, append_images=others, duration=MILLISECONDS, loop=0, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
