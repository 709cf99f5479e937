"""Where a chain begins and ends, as LLVM IR: which situation it begins in, what it puts back into the state, and the loop that
decodes by turns with `special` and with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .chain_emit import ChainEmitter
from .chain_plan import SLACK, STRIDE
from .chain_writer import ChainWriter
from .interface import BUDGET, NEXT, POSITIONS, ROW, STATUS, STOP, UNEXPECTED
from .layout import numpy_type
from .linear import Form
from .tokens_alike import Ids

# How often a chain is tried behind each token, and how many tokens there are between two tries at most.
PATIENCE, LONGEST = 2 * STRIDE, 16


def entry(writer: ChainWriter) -> None:
    """Where a chain begins: at situations in which the last tokens, and the row, are what they are."""
    code, fields = writer.code, writer.layout.fields
    code.start("entry")
    for name, type in (
        ("n.v", "i64"), ("next.v", "i32"), ("token.v", "i32"), ("row.v", "i64"), ("handed.v", "i32"),
    ):
        code.do(f"%{name} = alloca {type}")
    for number in writer.found.special.sums:
        code.do(f"%sum{number} = alloca i64")
    for number in range(len(writer.plan.windows.bases)):
        code.do(f"%window{number} = alloca ptr")
    n, row = (
        code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr %state, i64 {at}')}") for at in (POSITIONS, ROW)
    )
    following = code.op(f"load i32, ptr {code.op(f'getelementptr i64, ptr %state, i64 {NEXT}')}")
    # out[i - 1] is the token of position n.
    code.do("%begin = sub i64 %i, 1")
    code.do(f"%shift = sub i64 %begin, {n}")
    code.do("%base = getelementptr i32, ptr %out, i64 %shift")
    code.do("%probe.base = getelementptr double, ptr %probe, i64 %shift")
    code.do(f"%room = sub i64 %count, {SLACK + 1}")
    code.do("%last = sub i64 %room, %shift")
    code.do(f"store i64 {n}, ptr %n.v")
    code.do(f"store i32 {following}, ptr %next.v")
    code.do("%short = icmp sge i64 %i, %room")
    code.do("br i1 %short, label %nothing, label %enter")
    code.start("nothing")
    code.do("ret i64 %i")
    code.start("enter")
    emitter = writer.emitter(0, "nothing")
    emitter.n = n
    place = _place(writer, emitter, row)
    for number in writer.plan.sums:
        field = code.op(f"load i64, ptr {emitter.address(fields['sum', number])}")
        code.do(f"store i64 {field}, ptr %sum{number}")
    for (store, base), number in writer.plan.windows.bases.items():
        code.do(f"store ptr {writer.window(emitter, store, base, number)}, ptr %window{number}")
    code.do(f"store i32 {place}, ptr %handed.v")
    code.do("br label %constants")


def begin(writer: ChainWriter) -> None:
    """What follows, written when it is known which entries have been taken for granted: compares these, and goes to the situation
    whose number in `ChainPlan.entries` is in `%handed.v`."""
    code, plan = writer.code, writer.plan
    code.start("constants")
    emitter, other = writer.emitter(0, "nothing"), ""
    for store, key, column in sorted(plan.constants.used):
        at, type = writer.layout.entries[store].columns[column]
        expected = plan.constants.values[store, key][column]
        pointer = code.op(f"getelementptr i8, ptr {emitter.window(store, Form({}, float(key)))}, i64 {at}")
        bits = np.array([expected if type.floating else round(expected * 2.0**-type.exponent)]).astype(numpy_type(type))
        number = bits.view(f"i{type.size}").item()
        found = code.op(f"load i{8 * type.size}, ptr {pointer}, align 1{emitter.mark(f'store{store}')}")
        wrong = code.op(f"icmp ne i{8 * type.size} {found}, {number}")
        other = code.op(f"or i1 {other}, {wrong}") if other else wrong
    if other:
        emitter.leave_if(other)
    place = code.op("load i32, ptr %handed.v")
    cases = " ".join(f"i32 {i}, label %t{k}" for i, k in enumerate(plan.entries))
    code.do(f"switch i32 {place}, label %nothing [ {cases} ]")


def _place(writer: ChainWriter, emitter: ChainEmitter, row: str) -> str:
    """Which of the entries fits: `places` has, row by row, which there are and what to look for in the last tokens. Where none
    does, back to `special`."""
    code = writer.code
    rows, places, masks = _places(writer)
    inside = code.op(f"icmp ult i64 {row}, {len(writer.situations.static.keys)}")
    code.do(f"br i1 {inside}, label %known, label %nothing")
    code.start("known")
    found = []
    for distance, mask in enumerate(masks):
        at = code.op(f"getelementptr i32, ptr %base, i64 {code.op(f'sub i64 {emitter.n}, {distance}')}")
        token = code.op(f"zext i32 {code.op(f'load i32, ptr {at}')} to i64")
        found.append(code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {mask}, i64 {token}')}"))
    first = code.op(f"getelementptr i32, ptr {rows}, i64 {row}")
    begin = code.op(f"load i32, ptr {first}")
    end = code.op(f"load i32, ptr {code.op(f'getelementptr i32, ptr {first}, i64 1')}")
    code.do("br label %try")
    code.start("try")
    place, handle = code.open_phi("i32", begin, "known")
    code.do(f"br i1 {code.op(f'icmp ult i32 {place}, {end}')}, label %compare, label %nothing")
    code.start("compare")
    wide = code.op(f"zext i32 {place} to i64")
    record = code.op(f"getelementptr [{len(masks)} x i64], ptr {places}, i64 {wide}")
    missing = ""
    for distance, bits in enumerate(found):
        wanted = code.op(f"load i64, ptr {code.op(f'getelementptr i64, ptr {record}, i64 {distance}')}")
        none = code.op(f"icmp eq i64 {code.op(f'and i64 {bits}, {wanted}')}, 0")
        missing = code.op(f"or i1 {missing}, {none}") if missing else none
    code.do(f"br i1 {missing}, label %another, label %begin.at")
    code.start("another")
    code.close_phi(handle, code.op(f"add i32 {place}, 1"), "another")
    code.do("br label %try")
    code.start("begin.at")
    return place


def _places(writer: ChainWriter) -> tuple[str, str, list[str]]:
    """By row, where its entries begin; for each entry and distance, the bit that its tokens have; by distance, the bits of each
    token: names of arrays."""
    plan, tokens = writer.plan, writer.situations.tokens
    entries, depth = plan.entries, tokens.depth
    masks = np.zeros((depth + 1, tokens.count), dtype=np.uint64)
    records = np.zeros((len(entries), depth + 1), dtype=np.uint64)
    bits: list[dict[Ids, int]] = [{} for _ in range(depth + 1)]
    for i, k in enumerate(entries):
        for distance, ids in enumerate(plan.chosen[k].recent):
            bit = bits[distance].setdefault(ids, len(bits[distance]))
            if bit >= 64:
                continue  # is never found
            records[i, distance] = np.uint64(1 << bit)
            first, end = ids
            same = tokens.same[distance]
            members = same == same[first] if end - first == 1 else slice(first, end)
            masks[distance, members] |= np.uint64(1 << bit)
    rows = np.array([plan.chosen[k].row for k in entries])
    starts = np.searchsorted(rows, np.arange(len(writer.situations.static.keys) + 1))
    array = writer.constants.array
    return (
        array(starts.astype(np.int32), "i32"), array(records, "i64"), [array(mask, "i64") for mask in masks],
    )  # fmt: skip


def flush(writer: ChainWriter) -> None:
    """Leaves the chain: everything that was kept in registers goes to the state."""
    code = writer.code
    code.start("flush")
    n = _put_back(writer, writer.emitter(0, "bail"))
    code.do(f"%done = add i64 {n}, %shift")
    code.do("%done.next = add i64 %done, 1")
    code.do("ret i64 %done.next")
    code.start("bail")
    code.do(f"store i64 {UNEXPECTED}, ptr {writer.emitter(0, 'bail').address(STATUS)}")
    n = code.op("load i64, ptr %n.v")
    code.do(f"%bailed = add i64 {n}, %shift")
    code.do("%bailed.next = add i64 %bailed, 1")
    code.do("ret i64 %bailed.next")


def hand_over(writer: ChainWriter, handed: Sequence[int]) -> None:
    """One position by `special`, which leaves sums as they are, but for the one that decides the row; then on behind the
    situation, of those that are handed over, whose number in the list is in `%handed.v`."""
    code = writer.code
    code.start("hand")
    emitter = writer.emitter(0, "bail")
    n = _put_back(writer, emitter)
    budget = code.op(f"load i64, ptr {emitter.address(BUDGET)}")
    code.do(f"%hand.before = add i64 {n}, %shift")
    code.do("%hand.i = add i64 %hand.before, 1")
    code.do("%hand.out = getelementptr i32, ptr %out, i64 %hand.i")
    code.do("%hand.probing = icmp ne ptr %probe, null")
    code.do("%hand.probe.i = getelementptr double, ptr %probe, i64 %hand.i")
    code.do("%hand.probe = select i1 %hand.probing, ptr %hand.probe.i, ptr null")
    call = "call i64 %special(ptr %state, ptr null, i64 1, ptr %hand.out, ptr %flags, ptr %hand.probe)"
    code.do(f"%hand.done = {call}")
    code.do("%hand.next = add i64 %hand.i, %hand.done")
    code.do("%hand.ended = icmp ne i64 %hand.done, 1")
    # Pointers to entries are those of the pages that there were.
    code.do(f"%hand.new = icmp ne i64 {code.op(f'load i64, ptr {emitter.address(BUDGET)}')}, {budget}")
    code.do("%hand.leave = or i1 %hand.ended, %hand.new")
    code.do("br i1 %hand.leave, label %handed.last, label %handed")
    code.start("handed.last")
    code.do("ret i64 %hand.next")
    code.start("handed")
    code.do(f"store i64 {code.op(f'add i64 {n}, 1')}, ptr %n.v")
    code.do(f"store i32 {code.op(f'load i32, ptr {emitter.address(NEXT)}')}, ptr %next.v")
    which = code.op("load i32, ptr %handed.v")
    places = " ".join(f"i32 {i}, label %t{k}" for i, k in enumerate(handed))
    code.do(f"switch i32 {which}, label %handed.last [ {places} ]")


def _put_back(writer: ChainWriter, emitter: ChainEmitter) -> str:
    """Into the state, what was kept in registers; i64: the number of the position."""
    code, fields = writer.code, writer.layout.fields
    n = code.op("load i64, ptr %n.v")
    for value, type, field in (
        (n, "i64", POSITIONS),
        (code.op("load i32, ptr %next.v"), "i32", NEXT),
        (code.op("load i64, ptr %row.v"), "i64", ROW),
        *((code.op(f"load i64, ptr %sum{k}"), "i64", fields["sum", k]) for k in writer.found.special.sums),
    ):
        code.do(f"store {type} {value}, ptr {emitter.address(field)}")
    for column, depth in writer.found.special.delays.items():
        for distance in range(depth + 1):
            at = code.op(f"getelementptr i32, ptr %base, i64 {code.op(f'sub i64 {n}, {distance}')}")
            token = code.op(f"zext i32 {code.op(f'load i32, ptr {at}')} to i64")
            token = code.op(f"add i64 {token}, 1")
            code.do(f"store i64 {token}, ptr {emitter.address(fields['delay', *column] + distance)}")
    return n


def drive(first: int) -> str:
    """The function `drive`. first: tokens that `special` decodes before a chain can begin. Where one has ended, or could not
    begin, it is tried again behind each token, as one begins at every few positions of the code that it is made for; and when
    that has been in vain for a while, less and less often."""
    return _DRIVE.format(first=first, stop=STOP, status=STATUS, patience=PATIENCE, longest=LONGEST)


_DRIVE = """
define i64 @drive(ptr %state, ptr %out, i64 %count, ptr %flags, ptr %probe, ptr %special, ptr %decoded) nounwind {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %chained, %chain ], [ %next, %short ]
  %step = phi i64 [ {first}, %entry ], [ %step.next, %chain ], [ {first}, %short ]
  %tried = phi i64 [ 0, %entry ], [ %tried.next, %chain ], [ 0, %short ]
  %left = sub i64 %count, %i
  %few = icmp slt i64 %left, %step
  %k = select i1 %few, i64 %left, i64 %step
  %over = icmp sle i64 %left, 0
  br i1 %over, label %full, label %some
full:
  ret i64 %i
some:
  %out.i = getelementptr i32, ptr %out, i64 %i
  %probe.i = getelementptr double, ptr %probe, i64 %i
  %probing = icmp ne ptr %probe, null
  %probe.p = select i1 %probing, ptr %probe.i, ptr null
  %done = call i64 %special(ptr %state, ptr null, i64 %k, ptr %out.i, ptr %flags, ptr %probe.p)
  %next = add i64 %i, %done
  %ended = icmp ne i64 %done, %k
  br i1 %ended, label %return, label %look
look:
  %before = sub i64 %next, 1
  %last.p = getelementptr i32, ptr %out, i64 %before
  %last = load i32, ptr %last.p
  %last64 = zext i32 %last to i64
  %flag.p = getelementptr i8, ptr %flags, i64 %last64
  %flag = load i8, ptr %flag.p
  %stop.b = and i8 %flag, {stop}
  %stop = icmp ne i8 %stop.b, 0
  br i1 %stop, label %return, label %ready
ready:
  %enough = icmp sge i64 %next, {first}
  br i1 %enough, label %chain, label %short
short:
  br label %loop
chain:
  %chained = call i64 @chain(ptr %state, ptr %out, i64 %next, i64 %count, ptr %flags, ptr %probe, ptr %special)
  %gone = sub i64 %chained, %next
  %before.all = load i64, ptr %decoded
  %all = add i64 %before.all, %gone
  store i64 %all, ptr %decoded
  %same = icmp eq i64 %chained, %next
  %tried.more = add i64 %tried, 1
  %tried.next = select i1 %same, i64 %tried.more, i64 0
  %more = shl i64 %step, 1
  %much = icmp sgt i64 %more, {longest}
  %capped = select i1 %much, i64 {longest}, i64 %more
  %patient = icmp slt i64 %tried.next, {patience}
  %step.next = select i1 %patient, i64 1, i64 %capped
  %status.p = getelementptr i64, ptr %state, i64 {status}
  %status = load i64, ptr %status.p
  %bad = icmp ne i64 %status, 0
  br i1 %bad, label %chained.bad, label %loop
chained.bad:
  ret i64 %chained
return:
  ret i64 %next
}}
"""
