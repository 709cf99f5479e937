"""How the page is laid out, and how long its views take: `make page`.

The layout is compared with tests/page_layout.json: boxes of the main elements, and a small grey picture of the window. Fonts
differ between machines, so both have room; LAYOUT=write makes the file anew, and then a person looks at what changed.
"""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.page import PROGRAMS, add_page, browser, open_page, pytestmark, state, written

__all__ = ["add_page", "browser", "open_page", "pytestmark"]
LAYOUT = Path(__file__).with_name("page_layout.json")
PARTS = ("explore", "break", *(f"chapters?chapter={number}" for number in range(1, 6)))
LOOKS = [(1280, 900, "light", part) for part in PARTS]
LOOKS += [(1280, 900, "dark", "explore"), (390, 844, "light", "explore"), (390, 844, "light", "chapters?chapter=3")]
ELEMENTS = (
    "header", "nav.top", ".call", ".transport", ".strip", ".panel", ".tabs", "svg", ".break-grid", ".verdict", ".chapter",
    ".chapter nav", ".chapter h2", ".chapter figure", ".knob", ".bars", ".chapter .say", "button.primary",
)  # fmt: skip
GRID = (32, 24)  # cells of the small picture
# What another font may change: pixels of x and width, and of y and height the greater of pixels and a part of the place.
SIDEWAYS, DOWN, DOWN_PART = 24, 24, 0.15
GREY = 10  # of 255, as the mean over the small picture's cells


def boxes(page: Any) -> dict[str, list[list[int]]]:
    """x, y, width and height of all visible elements, by selector."""
    return page.evaluate(
        """(selectors) => {
            const box = (e) => e.getBoundingClientRect();
            const of = (s) => [...document.querySelectorAll(s)].map(box).filter(({ width }) => width).map(
                ({ x, y, width, height }) => [x + scrollX, y + scrollY, width, height].map(Math.round));
            return Object.fromEntries(selectors.map((s) => [s, of(s)]).filter(([, found]) => found.length)); }""",
        list(ELEMENTS),
    )


def small_picture(page: Any) -> np.ndarray:
    """uint8 [24, 32]: the window in grey."""
    from PIL import Image

    shot = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("L")
    return np.asarray(shot.resize(GRID, Image.Resampling.BOX))


def differences(was: dict[str, list[list[int]]], now: dict[str, list[list[int]]]) -> list[str]:
    """What stands elsewhere, in words."""
    found = [f"{s}: {len(was.get(s, []))} were there, now {len(now.get(s, []))}" for s in {**was, **now}
             if len(was.get(s, [])) != len(now.get(s, []))]  # fmt: skip
    for selector in was:
        for number, (old, new) in enumerate(zip(was[selector], now.get(selector, []))):
            room = [SIDEWAYS, max(DOWN, DOWN_PART * old[1]), SIDEWAYS, max(DOWN, DOWN_PART * old[3])]
            if any(abs(a - b) > most for a, b, most in zip(old, new, room, strict=True)):
                found.append(f"{selector} {number}: {new}, was {old}")
    return found


def test_differences_are_seen():
    was = {"svg": [[0, 100, 400, 200]], "nav": [[0, 0, 10, 10]]}
    assert differences(was, was) == []
    assert differences(was, {"svg": [[0, 112, 410, 220]], "nav": [[0, 0, 10, 10]]}) == []
    assert len(differences(was, {"svg": [[0, 100, 300, 200]]})) == 2


@pytest.mark.parametrize("width, height, scheme, part", LOOKS, ids=[f"{w}-{s}-{p}" for w, _, s, p in LOOKS])
def test_layout(width: int, height: int, scheme: str, part: str, add_page, open_page):
    page = open_page(add_page, f"#{part}")
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function("wasm2xformer.ended && wasm2xformer.detail && !document.querySelector('[aria-busy=true]')")
    page.wait_for_timeout(300)
    name, seen, picture = f"{width} {scheme} {part}", boxes(page), small_picture(page)
    known = json.loads(LAYOUT.read_text()) if LAYOUT.exists() else {}
    if os.environ.get("LAYOUT") == "write":
        known[name] = {"boxes": seen, "picture": base64.b64encode(picture.tobytes()).decode()}
        lines = [f"{json.dumps(n)}: {json.dumps(known[n])}" for n in sorted(known)]
        LAYOUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return
    assert differences(known[name]["boxes"], seen) == []
    was = np.frombuffer(base64.b64decode(known[name]["picture"]), np.uint8).reshape(picture.shape)
    assert np.abs(was.astype(int) - picture.astype(int)).mean() < GREY


def test_a_long_trace_stays_usable(tmp_path, open_page):
    """100,000 tokens of Sudoku. Says how long views take; judges that they come."""
    page = open_page(written(tmp_path, PROGRAMS / "i32/sudoku.wasm", ["solve", "1"], "--recorded", "100000"))
    page.evaluate("wasm2xformer.more(100000 - (wasm2xformer.limit - wasm2xformer.prefix.length))")
    page.wait_for_function("wasm2xformer.ended", timeout=580_000)
    assert state(page, "app.ended.agreed.first") == -1 and state(page, "app.trace.tokens.length") > 99_000
    longest = {name: time_of(page, act) for name, act in VIEWS.items()}
    for name, (thread, clock) in longest.items():
        print(f"{name:28} {thread:5.0f} ms of the thread {clock:6.0f} ms by the clock")
    print(f"the longest: {max(thread for thread, _ in longest.values()):.0f} ms of the thread")
    assert page.locator("article.chapter").count() == 0 and state(page, "app.detail.position === app.cursor - 1")


def click(selector: str) -> str:
    return f"document.querySelector({selector!r}).click()"


def search(text: str) -> str:
    return (
        f"const box = document.getElementById('search'); box.value = {text};"
        " box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))"
    )


# What a visitor does in a long trace.
VIEWS = {
    "last step": "app.selectStep(app.trace.count - 1)",
    "a step in the middle": "app.selectStep(Math.floor(app.trace.count / 2))",
    "one step on": "app.selectStep(app.stepNumber + 1)",
    **{f"tab {tab}": click(f".tabs button:nth-child({n})") for n, tab in
       ((2, "Neurons"), (3, "Residual stream"), (4, "Logits"), (1, "Attention"))},
    "search that finds nothing": search("'zzzz'"),
    "search for a value": search("'123456789'"),
    "search for a token": search("'D3.77'"),
    "search for an address": search("'mem ' + app.trace.lowestByte"),
    "breakpoint on a write": "app.toggleBreakpoint({kind: 'write', address: app.trace.lowestByte})",
    "on to it": click("[aria-label^='On to the next']"),
    "back to it": click("[aria-label^='Back to the']"),
    "far away": "app.selectStep(Math.floor(app.trace.count / 3))",
    **{f"chapter {n}": f"app.view.tab = 'chapters'; app.view.chapter = {n}; app.changed('tab')" for n in range(1, 6)},
    "Explore": click("nav.top button:first-child"),
}  # fmt: skip


def time_of(page: Any, act: str) -> tuple[float, float]:
    """Milliseconds from the click until everything is drawn, what happened inside the token too: time in which the page's thread
    ran, and by the clock."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def ran() -> float:
        return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    before = ran()
    clock = page.evaluate(f"""(async () => {{
        const app = wasm2xformer, began = performance.now();
        {act};
        while (app.asking || app.detail.position !== app.cursor - 1) await new Promise((r) => setTimeout(r, 2));
        document.body.offsetHeight;
        return performance.now() - began; }})()""")
    page.evaluate("new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)))")
    return 1000 * (ran() - before), clock
