"""The decoding loops around one position's code: `general` for any position, `special` for those behind the prefix, and `read`,
for tokens that are given."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import llvmlite.binding as llvm
import numpy as np

from .again import MOST_KEPT, Again, AgainSettled, Aside, KeptNumber, Settled
from .arithmetic import Known
from .choose import choose
from .code import IrText
from .context import Rewriter, Static
from .dependence import Dependence
from .emit import Emitter
from .index import support
from .interface import FOREIGN, STOP, UNEXPECTED, Room
from .layout import RowTables, StateLayout
from .lift import Lifted
from .live import Live
from .pack import Packs
from .repeats import TokenRepeats
from .specialise import token_classes
from .unembed import Unembeddings
from .whole_call import respond

# Bits of a dispatch word that hold the byte offset of a row's record; the group's number is above them.
OFFSET_BITS = 40
# A calling convention without callee-saved registers, for functions that only the loop calls.
_CONVENTION_KNOWN = llvm.llvm_version_info >= (19,) and platform.machine().lower() in (
    "x86_64",
    "amd64",
    "aarch64",
    "arm64",
)
CONVENTION = "preserve_nonecc " if _CONVENTION_KNOWN else ""


# Groups whose code has so many lines get shorter code for positions that repeat much of the one before, if it has at most that
# part of the lines.
LONG, SHORT = 300, 0.6


@dataclass
class GroupCode:
    """Code of a function: `entry`, then `lines`, which end in block `block` with the next token `following`, and `again`.

    emitter: what has emitted the lines; before that, `known` was known and `before` names were given. numbers: that the lines
    keep for the position behind them. settled: more of them."""

    emitter: Emitter
    known: Known
    before: int
    entry: list[str]
    lines: list[str]
    block: str
    following: str
    again: list[str]
    numbers: dict[tuple, KeptNumber] = field(default_factory=dict)
    settled: Settled | None = None


@dataclass
class Split:
    """The static lookup by whose row the code is split: row numbers per group, and the context of each group.

    lengths: by group, of how many lines its code is, once it has been made. kept, settled: by group, the numbers that a position
    leaves for the next one (see again.py)."""

    lookup: int
    static: Static
    groups: Sequence[np.ndarray]
    contexts: Sequence[Rewriter]
    lengths: list[int] = field(default_factory=list)
    kept: list[dict[tuple, KeptNumber]] = field(default_factory=list)
    settled: list[Settled | None] = field(default_factory=list)


class _Module:
    def __init__(self, lifted: Lifted, layout: StateLayout, packs: Packs, room: Room):
        self.lifted, self.layout, self.packs = lifted, layout, packs
        self.code, self.tables = IrText(room), RowTables()
        self.unembeddings = Unembeddings(lifted.weights)
        self.functions: list[str] = []

    def emitter(self, context: Rewriter, reached: Live, first: bool) -> Emitter:
        return Emitter(self.lifted.graph, self.layout, self.code, self.tables, context, self.packs, reached, first)

    def start(self) -> None:
        """A new function."""
        self.code.lines = []
        self.code.block = "step"

    def end(self, emitter: Emitter) -> str:
        """The rest of a position: next token, probe, state. Returns the next token."""
        emitter.check_assumptions(None)
        unembedding = self.unembeddings.families([emitter.column(f) for f in self.lifted.columns])
        following = choose(emitter, unembedding, self._matrix)
        if self.lifted.probe is not None:
            value = emitter.as_double(emitter.form(emitter.context(self.lifted.probe)))
            self.code.do(f"store double {value}, ptr {emitter.address(self.layout.fields['probe',])}")
        emitter.finish()
        return following

    def _matrix(self, values: np.ndarray) -> str:
        offset = self.layout.array(("matrix", len(self.layout.arrays)), values)
        return self.code.op(f"getelementptr i8, ptr %state, i64 {offset}")

    def reading(self, emitter: Emitter, attributes: str) -> None:
        """A loop that only keeps what later positions may ask for."""
        emitter.check_assumptions(None)
        emitter.finish()
        self.code.do("br label %latch")
        self.loop("keep", f"0, %{self.code.block}", attributes=attributes)
        self.functions.append(_READ)

    def straight(self, name: str, emitter: Emitter, attributes: str) -> None:
        """A loop with all code in it."""
        following = self.end(emitter)
        self.code.do("br label %latch")
        self.loop(name, f"{following}, %{self.code.block}", attributes=attributes)

    def split(self, name: str, common: Emitter, split: Split) -> None:
        """A loop that finds the row, does what does not depend on it, and calls the function of the row's group."""
        code, graph = self.code, self.lifted.graph
        query = common.context(graph.lookups[split.lookup].query)
        sums = [common.context(graph.sums[k]) for k in common.live.sums]
        classes = token_classes(graph, [query, *sums])
        if classes is not None:
            common.predict(classes)
        # First of all: the row that is found may rest on what is assumed.
        common.check_assumptions(Dependence(common.graph, common.context, split.lookup))
        at = common.key_index(split.lookup, split.static)
        code.do(f"store i64 {at}, ptr {common.address(self.layout.fields['row',])}")
        dispatch = code.op(f"getelementptr i8, ptr %state, i64 DISPATCH{name}.")
        word = code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {dispatch}, i64 {at}')}")
        group = code.op(f"lshr i64 {word}, {OFFSET_BITS}")
        record = code.op(f"and i64 {word}, {2**OFFSET_BITS - 1}")
        record = code.op(f"getelementptr i8, ptr %state, i64 {record}")
        common.finish(Dependence(common.graph, common.context, split.lookup))
        body, block = code.lines, code.block
        bodies, imported = [], {"%n": "i64", "%token": "i64"}
        groups = [self._group(common.inside(context, record)) for context in split.contexts]
        split.lengths = [len(group.lines) for group in groups]
        self._repeat(common, split, groups)
        split.kept, split.settled = [group.numbers for group in groups], [group.settled for group in groups]
        for each in groups:
            text = "\n".join([*each.entry, *each.lines, f"  ret i32 {each.following}", *each.again])
            bodies.append(text)
            own = set(re.findall(r"^  (%v\d+) =", text, re.MULTILINE))
            imported |= {v: code.types[v] for v in re.findall(r"%v\d+", text) if v not in own}
        arguments = ", ".join(f"{type} {v}" for v, type in imported.items())
        for g, text in enumerate(bodies):
            exits = f"\nbail:\n  ret i32 {-UNEXPECTED}" if "label %bail" in text else ""
            head = f"define private {CONVENTION}i32 @{name}.group{g}(ptr %state, {arguments}) nounwind"
            self.functions.append(f"{head} {{\nstep:\n{text}{exits}\n}}")
        targets = ", ".join(f"ptr @{name}.group{g}" for g in range(len(bodies)))
        self.functions.append(f"@{name}.groups = private constant [{len(bodies)} x ptr] [{targets}]")
        code.lines, code.block = body, block
        target = code.op(f"getelementptr ptr, ptr @{name}.groups, i64 {group}")
        target = code.op(f"load ptr, ptr {target}")
        following = code.op(f"call {CONVENTION}i32 {target}(ptr %state, {arguments})")
        failed, called = code.op(f"icmp slt i32 {following}, 0"), code.block
        code.do(f"br i1 {failed}, label %failed, label %latch")
        code.start("failed")
        reason = code.op(f"sub i32 0, {following}")
        code.do("br label %fail")
        self.loop(name, f"{following}, %{called}", [(reason, "failed")])
        self._records(name, split)

    def _group(self, emitter: Emitter) -> GroupCode:
        """One position's code for the rows of a group."""
        self.start()
        self.code.start("whole")
        known = emitter.known.copy()
        before = self.code.count
        following = self.end(emitter)
        return GroupCode(emitter, known, before, ["  br label %whole"], self.code.lines, self.code.block, following, [])

    def _repeat(self, common: Emitter, split: Split, groups: Sequence[GroupCode]) -> None:
        """Gives groups that take long a way for positions at which most is as it was at the one before: same row, and a token
        that changes nothing."""
        graph, code = self.lifted.graph, self.code
        everywhere = TokenRepeats(graph, common.context, split.lookup, common.live)
        if everywhere.form(common.context(graph.lookups[split.lookup].query)) or not everywhere.quiet.any():
            return
        key, first = self.layout.add(("kept.key",)), self.layout.add(("kept",), MOST_KEPT)
        for group in sorted(groups, key=lambda group: -len(group.lines)):
            size = len(group.lines)
            if size < LONG or code.room.taken + size > code.room.most:
                break
            repeats = TokenRepeats(graph, group.emitter.context, split.lookup, common.live, everywhere)
            if any(repeats.form(group.emitter.context(f)) for f in self.lifted.columns):
                self._repeat_group(group, repeats, key, first)
            # else the same token would come again and again

    def _repeat_group(self, group: GroupCode, repeats: TokenRepeats, key: int, first: int) -> None:
        """The same for one group. key, first: the state's fields for which position it is for, and for what is kept."""
        code = self.code
        taken = code.room.taken
        whole = Aside(list(group.lines), group.block)
        again = Again(group.emitter, whole, group.known.copy(), group.before, repeats, first)
        code.lines, code.block = [], ""
        code.start("again")
        following = self.end(again)
        if len(code.lines) > len(group.lines) * SHORT or again.fields > MOST_KEPT:
            code.room.taken = taken
            return
        self._remember(again, key, repeats, following)
        code.do(f"ret i32 {following}")
        group.again, group.numbers = code.lines, again.numbers
        flagged = self._settle(group, again, key, repeats)
        code.lines, code.block = whole.lines, whole.block
        again.keep_all(again.numbers.values())
        if group.settled is not None:
            code.do(f"br i1 {self._is_settled(again, group.settled)}, label %settle, label %unsettled")
            code.lines += flagged
            code.do("br label %unsettled")
            code.start("unsettled")
        self._remember(group.emitter, key, repeats, group.following)
        group.lines = code.lines
        code.lines = []
        expected = code.op(f"load i64, ptr {again.address(key)}")
        this = code.op(f"or i64 {code.op(f'shl i64 {again.n}, 32')}, {again.token}")
        test = code.op(f"icmp eq i64 {expected}, {this}")
        repeated = "again" if group.settled is None else "repeated"
        code.do(f"br i1 {test}, label %{repeated}, label %whole")
        if group.settled is not None:
            code.start("repeated")
            code.do(f"br i1 {self._is_settled(again, group.settled)}, label %settled, label %again")
        group.entry = code.lines

    def _settle(self, group: GroupCode, again: Again, key: int, repeats: TokenRepeats) -> list[str]:
        """If a number that is kept decides much: code for where it does, in `group.again`; and what is to be done for it in the
        whole position, there."""
        code = self.code
        if len(group.again) < LONG:
            return []
        decides = again.settles(again.column(f) for f in self.lifted.columns)
        if decides is None:
            return []
        taken = code.room.taken
        whole = group.emitter.inside(group.emitter.context, group.emitter.record)
        code.lines, code.block = [], ""
        code.start("settle")
        aside = Aside(code.lines, code.block)
        settled = AgainSettled(again, whole, aside, group.known, *decides)
        code.lines, code.block = [], ""
        code.start("settled")
        following = self.end(settled)
        if len(code.lines) > len(group.again) * SHORT or settled.fields > MOST_KEPT:
            code.room.taken = taken
            return []
        self._remember(settled, key, repeats, following)
        code.do(f"ret i32 {following}")
        group.again += code.lines
        group.settled = Settled(*decides, settled.numbers)
        code.lines, code.block = aside.lines, aside.block
        settled.keep_all(number for each, number in settled.numbers.items() if each not in again.numbers)
        return code.lines

    def _is_settled(self, again: Again, settled: Settled) -> str:
        """i1: whether the number is what it was made for."""
        value = settled.number.value
        kept = self.code.op(f"load i64, ptr {again.place(settled.number)}, align 8")
        return self.code.op(f"icmp eq i64 {kept}, {int(settled.value * 2.0**-value.exponent)}")

    def _remember(self, emitter: Emitter, key: int, repeats: TokenRepeats, following: str) -> None:
        """If the next token is quiet: the next position and that token, by which it will be known that this one was before it."""
        code = self.code
        quiet = np.zeros(len(self.lifted.weights), dtype=np.uint8)
        quiet[: len(repeats.quiet)] = repeats.quiet
        table = self.layout.array(("quiet", quiet.tobytes()), quiet)
        token = code.op(f"zext i32 {following} to i64")
        there = code.op(f"getelementptr i8, ptr %state, i64 {code.op(f'add i64 {token}, {table}')}")
        test = code.op(f"trunc i8 {code.op(f'load i8, ptr {there}')} to i1")
        kept, left = code.label("kept"), code.label("left")
        code.do(f"br i1 {test}, label %{kept}, label %{left}")
        code.start(kept)
        up = code.op(f"shl i64 {code.op(f'add i64 {emitter.n}, 1')}, 32")
        code.do(f"store i64 {code.op(f'or i64 {up}, {token}')}, ptr {emitter.address(key)}")
        code.do(f"br label %{left}")
        code.start(left)

    def _records(self, name: str, split: Split) -> None:
        """The rows' records, and for each key the group of its row and where its record is."""
        words = np.zeros(len(split.static.keys), dtype=np.int64)
        for g, rows in enumerate(split.groups):
            source = ("row", split.lookup, g)
            data = self.tables.rows(source, len(rows)).data()
            offset = self.layout.array((name, *source), data)
            words[rows] = (g << OFFSET_BITS) + offset + np.arange(len(rows)) * data.shape[1]
        offset = self.layout.array((name, "dispatch"), words[split.static.rows()])
        self.functions[-1] = self.functions[-1].replace(f"DISPATCH{name}.", str(offset))

    def loop(
        self, name: str, following: str, failures: Sequence[tuple[str, str]] = (), attributes: str = "nounwind"
    ) -> None:
        """The function at hand is one position's code, from label "step" to a jump to "latch"; makes it a loop.

        following: the next token and the block it comes from. failures: negative results and the blocks they come from.
        """
        body, failures = "\n".join(self.code.lines), list(failures)
        if "label %bail" in body:
            failures.append((str(UNEXPECTED), "bail"))
            body += "\nbail:\n  br label %fail"
        if failures:
            body += _FAIL.format(incoming=", ".join(f"[ {reason}, %{label} ]" for reason, label in failures))
        fields: dict = {key: self.layout.fields[key,] for key in ("status", "next", "n", "probe")}
        fields |= {"name": name, "body": body, "following": following, "attributes": attributes}
        self.functions.append(_LOOP.format(stop=STOP, foreign=FOREIGN, **fields))


_FAIL = """
fail:
  %reason = phi i32 {incoming}
  %reason64 = zext i32 %reason to i64
  store i64 %reason64, ptr %status.p
  ret i64 %i"""

# Of tokens that are given, only the next token behind the last one matters.
_READ = """
define i64 @read(ptr %state, ptr %input, i64 %count, ptr %out, ptr %flags, ptr %probe) nounwind {
  %before = sub i64 %count, 1
  %kept = call i64 @keep(ptr %state, ptr %input, i64 %before, ptr %out, ptr %flags, ptr %probe)
  %whole = icmp eq i64 %kept, %before
  br i1 %whole, label %last, label %ended
last:
  %input.last = getelementptr i32, ptr %input, i64 %before
  %done = call i64 @general(ptr %state, ptr %input.last, i64 1, ptr %out, ptr %flags, ptr %probe)
  %all = add i64 %kept, %done
  ret i64 %all
ended:
  ret i64 %kept
}
"""

# Of a table by token, over tokens; the least number where one of them is no id below `size`.
_TOTAL = """
define i64 @total(ptr %tokens, i64 %count, ptr %table, i64 %size) nounwind {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %add ]
  %sum = phi i64 [ 0, %entry ], [ %sum.next, %add ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %look, label %done
look:
  %token.p = getelementptr i32, ptr %tokens, i64 %i
  %token32 = load i32, ptr %token.p
  %token = zext i32 %token32 to i64
  %known = icmp ult i64 %token, %size
  br i1 %known, label %add, label %unknown
add:
  %value.p = getelementptr i64, ptr %table, i64 %token
  %value = load i64, ptr %value.p
  %sum.next = add i64 %sum, %value
  %i.next = add i64 %i, 1
  br label %loop
unknown:
  ret i64 -9223372036854775808
done:
  ret i64 %sum
}
"""

_LOOP = """
define i64 @{name}(ptr %state, ptr %input, i64 %count, ptr %out, ptr %flags, ptr %probe) {attributes} {{
entry:
  %status.p = getelementptr i64, ptr %state, i64 {status}
  %next.p = getelementptr i64, ptr %state, i64 {next}
  %n.p = getelementptr i64, ptr %state, i64 {n}
  %probe.p = getelementptr i64, ptr %state, i64 {probe}
  %next.first = load i32, ptr %next.p
  %decoding = icmp eq ptr %input, null
  %probing = icmp ne ptr %probe, null
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i.next, %probed ]
  %chosen = phi i32 [ %next.first, %entry ], [ %following, %probed ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %pick, label %done
pick:
  br i1 %decoding, label %decode, label %feed
feed:
  %input.i = getelementptr i32, ptr %input, i64 %i
  %fed = load i32, ptr %input.i
  br label %step
decode:
  %chosen64 = zext i32 %chosen to i64
  %flag.p = getelementptr i8, ptr %flags, i64 %chosen64
  %flag = load i8, ptr %flag.p
  %foreign.b = and i8 %flag, {foreign}
  %foreign = icmp ne i8 %foreign.b, 0
  br i1 %foreign, label %done, label %write
write:
  %out.i = getelementptr i32, ptr %out, i64 %i
  store i32 %chosen, ptr %out.i
  br label %step
step:
  %token32 = phi i32 [ %fed, %feed ], [ %chosen, %write ]
  %flag.here = phi i8 [ 0, %feed ], [ %flag, %write ]
  %token = zext i32 %token32 to i64
  %n.old = load i64, ptr %n.p
  %n = add i64 %n.old, 1
  store i64 %n, ptr %n.p
{body}
latch:
  %following = phi i32 [ {following} ]
  store i32 %following, ptr %next.p
  br i1 %probing, label %copy, label %probed
copy:
  %probe.value = load double, ptr %probe.p
  %probe.i = getelementptr double, ptr %probe, i64 %i
  store double %probe.value, ptr %probe.i
  br label %probed
probed:
  %i.next = add i64 %i, 1
  %stop.b = and i8 %flag.here, {stop}
  %stop = icmp ne i8 %stop.b, 0
  br i1 %stop, label %stopped, label %loop
stopped:
  ret i64 %i.next
done:
  ret i64 %i
}}
"""


def generate(
    lifted: Lifted,
    layout: StateLayout,
    packs: Packs,
    general: Live,
    special: Live,
    context: Rewriter | None,
    split: Split | None,
    room: Room,
) -> str:
    """LLVM IR of a module with the function `general`, when there is a context for it, `special`, and without a probe `read`,
    which reads one token or more in a fraction of the time. Each is

    i64 f(state, input, count, out, flags, probe): reads `count` tokens from `input`, or, where that is null, decodes up
    to `count` tokens into `out`, until one with the STOP flag, or before a FOREIGN one. Returns how many positions were
    completed; `status` says whether something unexpected ended it. Arrays: i32 tokens, u8 flags by token id; `probe`: a
    double per position, or null. Besides them `respond` (see whole_call.py). room: for instructions. Constant arrays are added to
    the layout.
    """
    module = _Module(lifted, layout, packs, room)
    module.start()
    # Where there is `special`, `general` reads prompts only: compiled fast rather than to be fast.
    attributes = "nounwind" if context is None else "noinline optnone nounwind"
    module.straight("general", module.emitter(Rewriter(lifted.graph, {}), general, first=True), attributes)
    if lifted.probe is None:
        module.start()
        module.reading(module.emitter(Rewriter(lifted.graph, {}), general, first=True), attributes)
    if context is not None:
        module.start()
        emitter = module.emitter(context, special, first=False)
        if split is None:
            module.straight("special", emitter, "nounwind")
        else:
            module.split("special", emitter, split)
    code = module.code
    constants = [f"{name} = private constant {value}" for value, name in code.globals.items()]
    whole = respond(layout.running_sums(), "general" if lifted.probe is not None else "read")
    text = "\n".join([*constants, *module.functions, _TOTAL, whole, support(), *code.declarations])
    return layout.settle(module.tables.resolve(text, layout))
