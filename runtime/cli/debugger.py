"""The debugger's text interface: steps of a call with the state before each."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from rich.markup import escape
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import DataTable, Footer, Header, Input, Static

from ...compiler.format.printable import printable
from ..explain.heads import Looks
from ..explain.moments import Moments
from ..trace import TraceStep, show_slot, show_value

ROWS = 400  # steps that the list holds at a time, around the current one
LONGEST = 6000  # tokens up to which heads are shown: reading them takes time in proportion to the square


class Debugger(App[None]):
    """Steps through a call. tokens: the whole sequence; first: the position at which the call begins."""

    CSS = """
    #steps { width: 3fr; } #side { width: 2fr; } .pane { border: round $panel; height: 1fr; overflow-y: auto; padding: 0 1; }
    #ask { display: none; } #ask.open { display: block; }
    """
    AUTO_FOCUS = None
    BINDINGS: ClassVar = [
        Binding("right,n", "go(1)", "step"),
        Binding("left,p", "go(-1)", "back"),
        Binding("down", "go(1)", show=False, priority=True),
        Binding("up", "go(-1)", show=False, priority=True),
        Binding("b", "breakpoint", "breakpoint"),
        Binding("c", "run(1)", "continue"),
        Binding("r", "run(-1)", "continue back"),
        Binding("w", "ask", "break on write"),
        Binding("g", "ask_step", "go to step"),
        Binding("home", "jump(0)", "first"),
        Binding("end", "jump(-1)", "last"),
        Binding("h", "heads", "heads"),
        Binding("q", "quit", "quit"),
        Binding("escape", "close", show=False),
    ]

    def __init__(self, moments: Moments, title: str, tokens: np.ndarray, first: int):
        super().__init__()
        self.title = printable(title)
        self.moments, self.tokens, self.first = moments, tokens, first
        self.number, self.token = 0, 0
        self.breakpoints: set[int] = set()
        self.writes: set[int] = set()
        self.show_heads = False
        self.question = ""
        self._looks: Looks | None = None
        self._window = range(0)

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal():
            yield DataTable(id="steps", cursor_type="row", zebra_stripes=True)
            with Vertical(id="side"):
                yield Static(id="now", classes="pane")
                yield Static(id="slots", classes="pane")
                yield Static(id="memory", classes="pane")
        yield Input(id="ask")
        yield Footer()

    def on_mount(self) -> None:
        self._list().add_columns("", "step", "where", "does", "result", "tokens")
        self._list().can_focus = False
        self._show()

    def _list(self) -> DataTable:
        return self.query_one("#steps", DataTable)

    def action_go(self, by: int) -> None:
        self.action_jump(max(0, min(self.number + by, len(self.moments) - 1)))

    def action_jump(self, number: int) -> None:
        self.number = number % len(self.moments)
        self._show()

    def action_run(self, direction: int) -> None:
        self.action_jump(self.moments.find(self.number, direction, self.breakpoints, self.writes))

    def action_breakpoint(self) -> None:
        self.breakpoints ^= {int(self.moments.trace.step[self.number])}
        self._window = range(0)
        self._show()

    def action_heads(self) -> None:
        self.show_heads = not self.show_heads
        self._show()

    def action_ask(self) -> None:
        self._ask("address of a byte: stop where it is written")

    def action_ask_step(self) -> None:
        self._ask("number of a step")

    def _ask(self, question: str) -> None:
        self.question = question
        box = self.query_one("#ask", Input)
        box.placeholder = question
        box.value = ""
        box.add_class("open")
        box.focus()

    def action_close(self) -> None:
        """Closes the question, without an answer."""
        self.query_one("#ask", Input).remove_class("open")
        self.set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.action_close()
        try:
            number = int(event.value, 0)
        except ValueError:
            if event.value.strip():
                self.notify("that is no number: type one like 20 or 0x14", severity="warning")
            return
        if self.question.startswith("address"):
            self.writes ^= {number}
            self._show()
        else:
            self.action_jump(max(0, min(number, len(self.moments) - 1)))

    def _show(self) -> None:
        if self.number not in self._window:
            self._fill()
        self._list().move_cursor(row=self.number - self._window.start)
        step = self.moments.view(self.number)
        self.query_one("#now", Static).update("\n".join(self._now(step)))
        self.query_one("#slots", Static).update("\n".join(self._slots(step)))
        text = self._heads() if self.show_heads else self._memory()
        self.query_one("#memory", Static).update("\n".join(text))

    def _fill(self) -> None:
        start = max(0, self.number - ROWS // 2)
        self._window = range(start, min(len(self.moments), start + ROWS))
        table = self._list()
        table.clear()
        for number in self._window:
            step = self.moments.view(number)
            mark = "●" if step.index in self.breakpoints else ""
            cells = (mark, str(number), str(step.where), _does(step), step.result, " ".join(step.tokens))
            table.add_row(*(escape(printable(cell)) for cell in cells))

    def _now(self, step: TraceStep) -> list[str]:
        calls = [
            f"  {escape(printable(str(self.moments.view(n).where)))} [dim]step {n}[/]"
            for n in self.moments.calls(step.number)
        ]
        where = escape(printable(f"{step.where}"))
        breaks = ", ".join(
            [f"step {b}" for b in sorted(self.breakpoints)] + [f"writes to {w:#x}" for w in sorted(self.writes)]
        )
        return [
            f"[b]{where}[/]",
            escape(printable(f"{_does(step)} → {step.result}")),
            f"[dim]tokens {escape(' '.join(step.tokens))}[/]",
            "[b]called from[/]" if calls else "",
            *reversed(calls),
            f"[dim]breakpoints: {breaks}[/]" if breaks else "",
        ]

    def _slots(self, step: TraceStep) -> list[str]:
        lines = ["[b]slots before this step[/]"]
        for name, held in self.moments.slots(step.number):
            by = f" [dim]by step {held.step}[/]" if held.step >= 0 else ""
            lines.append(f"{escape(printable(name))} = {show_value(held.value, held.value >= 2**32)}{by}")
        return lines

    def _memory(self) -> list[str]:
        """The rows that were written before this step, those of the newest writes first."""
        addresses = self.moments.written()
        held = [(a, byte) for a in addresses if (byte := self.moments.byte(a, self.number)) is not None]
        newest = sorted({a // 16: byte.step for a, byte in held}.items(), key=lambda row: -row[1])[:24]
        lines = ["[b]memory written so far[/] [dim](h: heads)[/]"]
        last = max((byte.step for _, byte in held), default=-1)
        for row, _ in sorted(newest):
            cells = []
            for address in range(16 * row, 16 * row + 16):
                byte = self.moments.byte(address, self.number)
                text = f"{byte.value:02x}" if byte else "··"
                cells.append(f"[reverse]{text}[/]" if byte and byte.step == last else text)
            lines.append(f"{16 * row:08x}  {' '.join(cells)}")
        return lines if held else [*lines, "nothing yet"]

    def _heads(self) -> list[str]:
        """Where the heads looked at the position that decides the first token of this step."""
        if len(self.tokens) > LONGEST:
            return [
                f"[b]heads[/]: not shown for {len(self.tokens):,} tokens, only up to {LONGEST:,}: the time it takes",
                "grows with the square. The page that `wasm2xformer explain` writes shows them at any length.",
            ]
        if self._looks is None:
            self._looks = Looks(self.moments.model.transformer, self.tokens)
        end, length = int(self.moments.trace.end[self.number]), int(self.moments.trace.length[self.number])
        position = self.first + end - length
        names = self.moments.trace.table.names
        lines = [f"[b]heads at position {position}[/], which reads {names[self.tokens[position]]} [dim](h: memory)[/]"]
        for look in self._looks.at(position):
            found = "mean of all" if look.winner < 0 else f"→ {look.winner} {names[self.tokens[look.winner]]}"
            handed = ", ".join(f"{n} {v:g}" for n, v in zip(look.values, look.handed, strict=True) if v)
            lines.append(escape(printable(f"{look.layer}.{look.head} {look.lookup} {found}: {handed or '0'}")))
        return lines


def _does(step: TraceStep) -> str:
    operands = ", ".join(show_slot(s) for s in (step.step.a, step.step.b, step.step.c, step.step.d) if s)
    action = f"{step.step.op} {operands}".strip()
    return f"{show_slot(step.step.dest)} = {action}" if step.step.dest else action


__all__ = ["Debugger"]
