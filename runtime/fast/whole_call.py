"""LLVM IR of one function for a whole call: it reads a prompt, decodes until a token to stop at, and adds up what tokens count.

    i64 respond(call)

`call` is a `WholeCall`. Tokens of the prompt are looked at first, and running sums: where others must look at one of these (see
`WholeCall.marked`, `WholeCall.end`), nothing is done, and the result is LOOK. It is FAILED where the state's status says why
decoding ended; otherwise the number of tokens decoded. As in the engine's own turns, `general` reads the prompt's last token
and decodes what `special` cannot go on with; chains, where there are some, decode by turns with `special`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from .interface import FOREIGN, NEXT, ROW, STATUS, STOP

LOOK, FAILED = -1, -2  # results
# What uniform_tokens divides by the largest running sum.
_ROOM = 2.0**50


class WholeCall(ctypes.Structure):
    """What `respond` is given, and what it leaves, each of 8 bytes.

    state: its address. special, drive: functions; drive is 0 where there are no chains. decoded: of the number that `drive` adds
    to. stops, flags: u8 by token id, for `general` and for `special`. marked: u8 by token id, of those that may not be in
    a prompt without a closer look; size: how many ids there are. table: i64 by token id, which is added up; grown: the address
    of the running sum that adds it up for what `special` and chains decode, 0 where none does.
    prompt, count: i32 ids that are read, one at least. out, limit: where so many tokens may be written. probe: of doubles, one
    for each of these and of the prompt, or 0. end: the length of the sequence for which running sums have to be exact, -1 where
    they have not. before: tokens that `special` decodes at first, 0 for none.

    read, done: tokens of the prompt that have been read, and tokens decoded. ended: 1 where the last one is to stop at; then sum
    is that of table[token], over the prompt and what was decoded. row: the one at which the last of the `before` tokens was read.
    known: how many tokens come from behind these, up to one that `special` could not go on with.
    """

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "state", "special", "drive", "decoded", "stops", "flags", "marked", "size", "table", "grown", "prompt", "count",
            "out", "limit", "probe", "end", "before", "read", "done", "ended", "sum", "row", "known",
        )
    ]  # fmt: skip


_POINTERS = "state", "special", "drive", "decoded", "stops", "flags", "marked", "table", "grown", "prompt", "out", "probe"
_NUMBERS = "size", "count", "limit", "end", "before"
_RESULTS = "read", "done", "ended", "sum", "row", "known"


def respond(sums: Sequence[tuple[int, int | None]], reading: str) -> str:
    """sums: fields of running sums and their units, see `Image.sums`. reading: the function that reads a prompt."""
    from .code import double  # not needed, and not loaded, when the cache has the code

    lines = [f"%{name}.p = getelementptr i8, ptr %call, i64 {_offset(name)}" for name in (*_POINTERS, *_NUMBERS)]
    lines += [f"%{name} = load ptr, ptr %{name}.p" for name in _POINTERS]
    lines += [f"%{name} = load i64, ptr %{name}.p" for name in _NUMBERS]
    lines += [f"%to.{name} = getelementptr i8, ptr %call, i64 {_offset(name)}" for name in _RESULTS]
    lines += [
        f"%{name}.of = getelementptr i64, ptr %state, i64 {field}"
        for name, field in (("status", STATUS), ("next", NEXT), ("row", ROW))
    ]
    begin = "\n".join(f"  {line}" for line in [*lines, *_largest(sums)])
    return _RESPOND.format(begin=begin, reading=reading, room=double(_ROOM), look=LOOK, bad=FAILED, stop=STOP, foreign=FOREIGN)


def _offset(name: str) -> int:
    return getattr(WholeCall, name).offset


def _largest(sums: Sequence[tuple[int, int | None]]) -> list[str]:
    """Instructions for the largest absolute value of the running sums, 1 at least: %largest."""
    from .code import double

    lines, last = [], double(1.0)
    for k, (field, unit) in enumerate(sums):
        lines.append(f"%sum{k}.p = getelementptr i64, ptr %state, i64 {field}")
        if unit is None:
            lines.append(f"%sum{k} = load double, ptr %sum{k}.p")
        else:
            lines.append(f"%sum{k}.i = load i64, ptr %sum{k}.p")
            lines.append(f"%sum{k}.d = sitofp i64 %sum{k}.i to double")
            lines.append(f"%sum{k} = fmul double %sum{k}.d, {double(2.0**unit)}")
        lines.append(f"%less{k} = fneg double %sum{k}")
        lines.append(f"%below{k} = fcmp olt double %sum{k}, {double(0.0)}")
        lines.append(f"%size{k} = select i1 %below{k}, double %less{k}, double %sum{k}")
        lines.append(f"%larger{k} = fcmp ogt double %size{k}, {last}")
        lines.append(f"%largest{k} = select i1 %larger{k}, double %size{k}, double {last}")
        last = f"%largest{k}"
    return [*lines, f"%largest = fadd double {last}, {double(0.0)}"]


_RESPOND = """
define i64 @respond(ptr %call) nounwind {{
entry:
{begin}
  %most = fdiv double {room}, %largest
  %most.i = fptosi double %most to i64
  %allowed = sub i64 %most.i, 1
  %exact = icmp sle i64 %end, %allowed
  br i1 %exact, label %check, label %look
look:
  ret i64 {look}
check:
  %c = phi i64 [ 0, %entry ], [ %c.next, %given ]
  %sum.c = phi i64 [ 0, %entry ], [ %sum.given, %given ]
  %token.p = getelementptr i32, ptr %prompt, i64 %c
  %token32 = load i32, ptr %token.p
  %token = zext i32 %token32 to i64
  %inside = icmp ult i64 %token, %size
  br i1 %inside, label %marks, label %look
marks:
  %mark.p = getelementptr i8, ptr %marked, i64 %token
  %mark = load i8, ptr %mark.p
  %plain = icmp eq i8 %mark, 0
  br i1 %plain, label %given, label %look
given:
  %value.p = getelementptr i64, ptr %table, i64 %token
  %value = load i64, ptr %value.p
  %sum.given = add i64 %sum.c, %value
  %c.next = add i64 %c, 1
  %more = icmp slt i64 %c.next, %count
  br i1 %more, label %check, label %begin
begin:
  %read = call i64 @{reading}(ptr %state, ptr %prompt, i64 %count, ptr null, ptr null, ptr %probe)
  store i64 %read, ptr %to.read
  store i64 0, ptr %to.known
  %status.read = load i64, ptr %status.of
  %failed = icmp ne i64 %status.read, 0
  br i1 %failed, label %unread, label %ready
unread:
  store i64 0, ptr %to.done
  ret i64 {bad}
ready:
  %probing = icmp ne ptr %probe, null
  %chained = icmp ne ptr %drive, null
  %growing = icmp ne ptr %grown, null
  %grows = select i1 %growing, ptr %grown, ptr %to.known
  %grown.before = load i64, ptr %grows
  %probe.count = getelementptr double, ptr %probe, i64 %count
  %probe.out = select i1 %probing, ptr %probe.count, ptr null
  %sampling = icmp sgt i64 %before, 0
  br i1 %sampling, label %first, label %loop
first:
  %small = icmp slt i64 %limit, %before
  %few = select i1 %small, i64 %limit, i64 %before
  %first.done = call i64 %special(ptr %state, ptr null, i64 %few, ptr %out, ptr %flags, ptr %probe.out)
  %whole = icmp eq i64 %first.done, %before
  %row = load i64, ptr %row.of
  store i64 %row, ptr %to.row
  %none = icmp eq i64 %first.done, 0
  %status.first = load i64, ptr %status.of
  %fine = icmp eq i64 %status.first, 0
  %another = and i1 %none, %fine
  br i1 %another, label %loop, label %look.behind
loop:
  %i = phi i64 [ 0, %ready ], [ 0, %first ], [ %next, %on ]
  %active = phi i1 [ 0, %ready ], [ 0, %first ], [ %active.next, %on ]
  %alike = phi i1 [ %growing, %ready ], [ %growing, %first ], [ %alike.next, %on ]
  %left = sub i64 %limit, %i
  %full = icmp sle i64 %left, 0
  br i1 %full, label %over, label %pick
pick:
  %out.i = getelementptr i32, ptr %out, i64 %i
  %probe.at = getelementptr double, ptr %probe.out, i64 %i
  %probe.i = select i1 %probing, ptr %probe.at, ptr null
  %chosen32 = load i32, ptr %next.of
  %chosen = zext i32 %chosen32 to i64
  %flag.p = getelementptr i8, ptr %flags, i64 %chosen
  %flag = load i8, ptr %flag.p
  %foreign.b = and i8 %flag, {foreign}
  %foreign = icmp ne i8 %foreign.b, 0
  br i1 %foreign, label %other, label %own
other:
  br i1 %active, label %other.known, label %other.call
other.known:
  %known.i = sub i64 %i, %before
  store i64 %known.i, ptr %to.known
  br label %other.call
other.call:
  %other.done = call i64 @general(ptr %state, ptr null, i64 1, ptr %out.i, ptr %stops, ptr %probe.i)
  br label %look.behind
own:
  br i1 %chained, label %by.turns, label %alone
by.turns:
  %turns.done = call i64 %drive(ptr %state, ptr %out.i, i64 %left, ptr %flags, ptr %probe.i, ptr %special, ptr %decoded)
  br label %look.behind
alone:
  %alone.done = call i64 %special(ptr %state, ptr null, i64 %left, ptr %out.i, ptr %flags, ptr %probe.i)
  br label %look.behind
look.behind:
  %from = phi i64 [ 0, %first ], [ %i, %other.call ], [ %i, %by.turns ], [ %i, %alone ]
  %done = phi i64 [ %first.done, %first ], [ %other.done, %other.call ], [ %turns.done, %by.turns ], [ %alone.done, %alone ]
  %active.next = phi i1 [ %whole, %first ], [ 0, %other.call ], [ %active, %by.turns ], [ %active, %alone ]
  %alike.next = phi i1 [ %growing, %first ], [ 0, %other.call ], [ %alike, %by.turns ], [ %alike, %alone ]
  %next = add i64 %from, %done
  %status = load i64, ptr %status.of
  %bad = icmp ne i64 %status, 0
  %nothing = icmp eq i64 %done, 0
  %leave = or i1 %bad, %nothing
  br i1 %leave, label %over, label %last
last:
  %before.next = sub i64 %next, 1
  %last.p = getelementptr i32, ptr %out, i64 %before.next
  %last32 = load i32, ptr %last.p
  %last64 = zext i32 %last32 to i64
  %last.flag.p = getelementptr i8, ptr %flags, i64 %last64
  %last.flag = load i8, ptr %last.flag.p
  %stop.b = and i8 %last.flag, {stop}
  %stop = icmp ne i8 %stop.b, 0
  br i1 %stop, label %over, label %on
on:
  br label %loop
over:
  %total = phi i64 [ %i, %loop ], [ %next, %look.behind ], [ %next, %last ]
  %sampled = phi i1 [ %active, %loop ], [ %active.next, %look.behind ], [ %active.next, %last ]
  %same = phi i1 [ %alike, %loop ], [ %alike.next, %look.behind ], [ %alike.next, %last ]
  %stopped = phi i1 [ 0, %loop ], [ 0, %look.behind ], [ 1, %last ]
  %wrong = phi i1 [ 0, %loop ], [ %bad, %look.behind ], [ 0, %last ]
  store i64 %total, ptr %to.done
  %stopped64 = zext i1 %stopped to i64
  store i64 %stopped64, ptr %to.ended
  br i1 %sampled, label %over.known, label %ends
over.known:
  %known.end = sub i64 %total, %before
  store i64 %known.end, ptr %to.known
  br label %ends
ends:
  br i1 %wrong, label %failing, label %counts
failing:
  ret i64 {bad}
counts:
  br i1 %stopped, label %counted, label %added
counted:
  %grown.after = load i64, ptr %grows
  %more.grown = sub i64 %grown.after, %grown.before
  %sum.grown = add i64 %sum.given, %more.grown
  br i1 %same, label %added, label %add
add:
  %a = phi i64 [ 0, %counted ], [ %a.next, %adding ]
  %sum.a = phi i64 [ %sum.given, %counted ], [ %sum.next, %adding ]
  %adds = icmp slt i64 %a, %total
  br i1 %adds, label %adding, label %added
adding:
  %a.p = getelementptr i32, ptr %out, i64 %a
  %a32 = load i32, ptr %a.p
  %a64 = zext i32 %a32 to i64
  %a.value.p = getelementptr i64, ptr %table, i64 %a64
  %a.value = load i64, ptr %a.value.p
  %sum.next = add i64 %sum.a, %a.value
  %a.next = add i64 %a, 1
  br label %add
added:
  %sum.all = phi i64 [ 0, %counts ], [ %sum.grown, %counted ], [ %sum.a, %add ]
  store i64 %sum.all, ptr %to.sum
  ret i64 %total
}}
"""
