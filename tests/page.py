"""The page in headless Chromium: `make page`. Needs playwright (the extra `page`) and a chromium (CHROMIUM=path)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
Page = sync_api.Page
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# program, what to call, tokens that are recorded (None: all)
TEN = [
    ("i32/gcd.wat", ["gcd", "3528", "3780"], None), ("i32/fibonacci_recursive.wat", ["fib", "7"], None),
    ("i32/crc32.wat", ["crc32", "65536", "1"], None), ("i32/factorial.wat", ["factorial_recursive", "9"], None),
    ("i32/hanoi.wat", None, 1500), ("i32/sieve.wat", None, 1500), ("i32/quicksort.wasm", None, 1500),
    ("integer/sha256.wasm", None, 1000), ("float/newton.wat", None, 1500), ("i32/sudoku.wasm", ["solve", "1"], 2000),
]  # fmt: skip


def written(folder: Path, program: Path, call: list[str], *more: str) -> Path:
    """The page for a call."""
    page = folder / "page.html"
    command = [sys.executable, "-m", "wasm2xformer", "explain", program, "-o", page, *more, "--invoke", *call]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return page


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def add_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("add")
    (folder / "add.wat").write_text(ADD)
    return written(folder, folder / "add.wat", ["add", "3", "5"])


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """open_page(path, hash): the page, offline; whatever it complains about fails the test."""
    complaints: list[str] = []
    context = browser.new_context(offline=True, bypass_csp=True, viewport={"width": 1280, "height": 900})

    def opened(path: Path, part: str = "") -> Any:
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on(
            "request", lambda r: None if r.url.startswith(("file:", "blob:", "data:")) else complaints.append(r.url)
        )
        page.goto(path.as_uri() + part)
        page.wait_for_function("wasm2xformer.ended && wasm2xformer.detail", timeout=300_000)
        return page

    yield opened
    context.close()
    assert not complaints


def state(page: Any, expression: str) -> Any:
    return page.evaluate(f"(() => {{ const app = wasm2xformer; return {expression}; }})()")


def first_call(program: str) -> list[str]:
    """The program's first run in programs.toml."""
    import tomllib

    listed = tomllib.loads((PROGRAMS / "programs.toml").read_text())["program"]
    run = next(p for p in listed if program in (p["source"], p.get("wasm")))["run"][0]
    return [run["export"], *map(str, run.get("args", []))]


@pytest.mark.parametrize("program, call, recorded", TEN, ids=[p for p, _, _ in TEN])
def test_the_page_decodes_what_was_recorded(program, call, recorded, tmp_path, open_page):
    more = [] if recorded is None else ["--recorded", str(recorded)]
    page = open_page(written(tmp_path, PROGRAMS / program, call or first_call(program), *more))
    agreed = state(page, "app.ended.agreed")
    assert agreed["first"] == -1 and agreed["same"] == agreed["of"] > 3
    assert recorded is None or state(page, "app.recorded[0].whole") or agreed["same"] > recorded - 20


def test_the_page_is_small_and_alone(add_page: Path):
    text = add_page.read_text()
    assert len(text) < 1.5 * 2**20
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)


def test_it_runs_under_its_own_content_security_policy(add_page, browser):
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text))
    page.goto(add_page.as_uri())
    page.get_by_text("All 5 are the recorded ones.").wait_for()
    assert page.evaluate("wasm2xformer.client.inWorker") and not complaints
    page.close()


def test_steps_go_both_ways(add_page, open_page):
    page = open_page(add_page)
    page.keyboard.press("End")
    assert state(page, "app.stepNumber") == 6 and "result" in page.inner_text("[aria-label=Output]")
    for number in range(5, -1, -1):
        page.keyboard.press("ArrowUp")
        assert state(page, "app.stepNumber") == number
    page.get_by_role("button", name="One step on (↓)").click()
    assert state(page, "app.stepNumber") == 1
    page.keyboard.press("ArrowRight")
    assert state(page, "app.cursor") == state(page, "app.trace.step(2).first")
    page.get_by_label("Step", exact=True).fill("3")
    assert "i32.add" in page.inner_text("[aria-label=Source]") and "8" in page.inner_text(".source .now")
    reads = page.locator("[aria-label='Locals and stack'] tr.reads").all_inner_texts()
    assert any("3" in r for r in reads) and any("5" in r for r in reads)


def test_who_wrote_it_and_who_reads_it(add_page, open_page):
    page = open_page(add_page)
    page.evaluate("wasm2xformer.selectStep(3)")
    row = page.locator("[aria-label='Locals and stack'] tbody tr", has_text="param 1")
    row.get_by_text("step 1").click()
    assert state(page, "app.stepNumber") == 1
    page.evaluate("wasm2xformer.selectStep(2)")
    row = page.locator("[aria-label='Locals and stack'] tbody tr", has_text="frame[2]")
    row.get_by_text("who?").click()
    page.wait_for_function("wasm2xformer.stepNumber === 3")


def test_other_arguments(add_page, open_page):
    page = open_page(add_page)
    page.get_by_label("argument 1, i32").fill("-7")
    page.get_by_label("argument 2, i32").fill("0x10000")
    page.get_by_role("button", name="Decode", exact=True).click()
    page.wait_for_function("wasm2xformer.ended")
    assert state(page, "Number(app.trace.results[0].value)") == 65529
    page.get_by_label("argument 1, i32").fill("4294967296")
    page.get_by_role("button", name="Decode", exact=True).click()
    assert "does not fit into i32" in page.inner_text(".call .error")


def test_a_permalink_leads_back(add_page, open_page):
    page = open_page(add_page)
    page.evaluate("wasm2xformer.runCalls([{name: 'add', texts: ['20', '22']}])")
    page.wait_for_function("wasm2xformer.ended && wasm2xformer.detail")
    page.evaluate("wasm2xformer.selectStep(3)")
    page.get_by_role("tab", name="Logits").click()
    page.evaluate("wasm2xformer.toggleBreakpoint({kind: 'write', address: 16})")
    page.wait_for_function("location.hash.includes('break=write')")
    again = open_page(add_page, page.evaluate("location.hash"))
    again.wait_for_function("wasm2xformer.stepNumber === 3")
    assert "D0.42" in again.inner_text(".inside") and "largest logit" in again.inner_text(".inside")
    assert state(again, "app.calls[0].texts") == ["20", "22"] and state(again, "app.breakpoints.length") == 1


@pytest.mark.parametrize("tab, words", [
    ("Attention", "operand a"), ("Neurons", "relu("), ("Residual stream", "ip.sum"), ("Logits", "largest logit"),
])  # fmt: skip
def test_inside_a_token(tab, words, add_page, open_page):
    page = open_page(add_page)
    page.evaluate("wasm2xformer.selectStep(3)")
    page.get_by_role("tab", name=tab).click()
    page.wait_for_function("wasm2xformer.detail.position === wasm2xformer.cursor - 1")
    assert words in page.inner_text(".inside")


def test_heads_say_what_they_found(add_page, open_page):
    page = open_page(add_page)
    page.evaluate("wasm2xformer.selectStep(3)")
    page.wait_for_function("wasm2xformer.detail.position === wasm2xformer.cursor - 1")
    page.get_by_role("option", name="operand b").click()
    assert "frame[2] = 5, written by step 1" in page.inner_text(".one .found")
    page.wait_for_selector(".landscape circle.won", state="attached")


def test_search_and_breakpoints(tmp_path, open_page):
    page = open_page(written(tmp_path, PROGRAMS / "i32/sieve.wat", first_call("i32/sieve.wat"), "--recorded", "2000"))
    assert state(page, "app.trace.lowestByte") < 2**32
    address = state(page, "app.trace.lowestByte")
    page.get_by_label("Search the trace").fill(f"mem {address}")
    page.keyboard.press("Enter")
    page.locator(".results .link").first.click()
    assert "store" in page.inner_text(".source .now")
    page.evaluate(f"wasm2xformer.selectStep(0); wasm2xformer.toggleBreakpoint({{kind: 'write', address: {address}}})")
    page.get_by_role("button", name="On to the next breakpoint, or the end").click()
    assert "store" in page.inner_text(".source .now") and state(page, "app.stepNumber") > 0


def test_a_byte_says_who_wrote_it_and_who_reads_it(tmp_path, open_page):
    program = tmp_path / "bytes.wat"
    program.write_text(
        """(module (memory 1) (func (export "f") (param i32) (result i32)
        (i32.store (i32.const 32) (local.get 0)) (i32.load (i32.const 32))))"""
    )
    page = open_page(written(tmp_path, program, ["f", "258"]))
    ops = state(page, "Array.from({length: app.trace.count}, (_, n) => app.data.program.steps[app.trace.step(n).index].op)")
    store, load = ops.index("i32.store"), ops.index("i32.load")
    page.evaluate(f"wasm2xformer.selectStep({load})")
    assert page.locator(".memory td.reads").count() == 4
    page.locator(".memory button.byte", has_text="02").first.click()
    page.get_by_role("menu").get_by_text("who reads it next?").click()
    page.wait_for_function(f"wasm2xformer.stepNumber === {load}")
    page.locator(".memory button.byte", has_text="02").first.click()
    page.get_by_role("menu").get_by_text(f"written by step {store}").click()
    page.wait_for_function(f"wasm2xformer.stepNumber === {store}")
    assert page.locator(".menu").count() == 0


def verdict(page: Any) -> str:
    page.wait_for_function("!/decoding|Nothing/.test(document.querySelector('.verdict').textContent)")
    return page.inner_text(".verdict")


def test_break_it(add_page, open_page):
    page = open_page(add_page, "#break")
    page.get_by_label("Temperature of softmax, as a power of two").fill("50")
    assert "first wrong in step" in verdict(page)
    page.get_by_label("Temperature of softmax, as a power of two").fill("0")
    page.wait_for_function("/Nothing is changed/.test(document.querySelector('.verdict').textContent)")
    page.get_by_label("Precision").fill("2")
    assert "bfloat16: first wrong" in verdict(page)
    page.get_by_label("Precision").fill("0")
    page.wait_for_function("/Nothing is changed/.test(document.querySelector('.verdict').textContent)")
    page.get_by_label("Head to switch off").select_option(index=1)
    assert "off" in verdict(page)
    page.get_by_label("Head to switch off").select_option(index=0)
    page.wait_for_function("/Nothing is changed/.test(document.querySelector('.verdict').textContent)")
    page.get_by_label("Matrix").select_option("v")
    page.get_by_label("New value").fill("3")
    page.get_by_role("button", name="Set", exact=True).first.click()
    assert "layer 0, v[" in verdict(page) and "wrong" in verdict(page)
    page.get_by_role("button", name="As compiled").click()
    page.wait_for_function("/Nothing is changed/.test(document.querySelector('.verdict').textContent)")
    page.get_by_label("Position").fill(str(state(page, "app.trace.step(3).last")))
    page.get_by_label("Token", exact=True).fill("D0.9")
    page.get_by_role("button", name="Set", exact=True).last.click()
    assert "D0.9 instead of D0.8" in verdict(page)


@pytest.mark.parametrize("chapter", range(1, 6))
def test_chapters_answer_their_controls(chapter, add_page, open_page):
    page = open_page(add_page, f"#chapters?chapter={chapter}")
    page.wait_for_selector("[aria-busy=true]", state="detached")
    article = page.locator("article.chapter")
    for knob in article.locator("input[type=range]").all():
        before = article.inner_text()
        knob.focus()
        for _ in range(6):
            knob.press("ArrowRight")
        assert article.inner_text() != before
    for button in article.locator("figure button:visible").all():
        if button.inner_text() not in ("SVG", "JSON"):
            button.click()
    assert not re.search("undefined|NaN|null|\\[object", article.inner_text())


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (1280, "dark"), (390, "light")])
def test_nothing_is_cut_off(width, scheme, add_page, open_page, tmp_path):
    """No view is wider than the window. The pictures lie in $PICTURES, if that is set."""
    page = open_page(add_page)
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    for part in ("explore", "break", *(f"chapters?chapter={i}" for i in range(1, 6))):
        page.evaluate(f"location.hash = '#{part}'")
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), part
        if folder := os.environ.get("PICTURES"):
            page.screenshot(path=f"{folder}/{width}-{scheme}-{part.replace('?', '-')}.png", full_page=True)


def test_controls_have_names(add_page, open_page):
    page = open_page(add_page)
    for part in ("explore", "break", "chapters"):
        page.evaluate(f"location.hash = '#{part}'")
        page.wait_for_timeout(200)
        nameless = page.evaluate(
            "[...document.querySelectorAll('button, input, select, textarea')].filter((e) => !(e.ariaLabel || e.title ||"
            " e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"
        )
        assert nameless == []
