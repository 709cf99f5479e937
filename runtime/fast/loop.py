"""The decoding loop around one position's code, and the choice of the next token."""

from __future__ import annotations

from dataclasses import dataclass

from .emit import Code, Emitter, Value, double
from .forms import Form, Graph
from .index import support
from .layout import Layout, Rows
from .lift import Lifted
from .unembed import Family, Unembedding, families

# Values of the state's `status` field.
OK, UNEXPECTED, EXHAUSTED = 0, 1, 2
# Bits of the token flags.
STOP, FORBIDDEN = 1, 2
# Above this many rows outside of families the argmax over them is a loop.
INLINE_ROWS = 16


@dataclass
class Generated:
    """A module's text and the tables it needs: state field "rows" + i points to the data of rows[i]."""

    text: str
    rows: list[Rows]
    matrices: list  # float64 arrays, state field "matrix" + i


def choose(emitter: Emitter, unembedding: Unembedding, matrices: list) -> str:
    """The argmax token, an i32; ties go to the lowest id."""
    code = emitter.code
    if len(unembedding.families) == 1 and not len(unembedding.ids):
        family = unembedding.families[0]
        return code.op(f"trunc i64 {code.op(f'add i64 {_best(emitter, family)}, {family.first}')} to i32")
    best: tuple[str, str] | None = None  # (logit, id)
    for family in unembedding.families:
        v = _best(emitter, family)
        a, b, c = (emitter.as_double(emitter.form(f)) for f in (family.a, family.b, family.c))
        f = code.op(f"sitofp i64 {v} to double")
        # c + v * (b - a * v)
        logit = code.op(f"fmul double {a}, {f}")
        logit = code.op(f"fsub double {b}, {logit}")
        logit = code.op(f"fmul double {logit}, {f}")
        logit = code.op(f"fadd double {c}, {logit}")
        best = _better(code, best, (logit, code.op(f"add i64 {v}, {family.first}")))
    if len(unembedding.ids):
        best = _rows(emitter, unembedding, best, matrices)
    assert best is not None
    return code.op(f"trunc i64 {best[1]} to i32")


def _better(code: Code, best: tuple[str, str] | None, other: tuple[str, str]) -> tuple[str, str]:
    if best is None:
        return other
    larger = code.op(f"fcmp ogt double {other[0]}, {best[0]}")
    equal = code.op(f"fcmp oeq double {other[0]}, {best[0]}")
    lower = code.op(f"icmp slt i64 {other[1]}, {best[1]}")
    wins = code.op(f"or i1 {larger}, {code.op(f'and i1 {equal}, {lower}')}")
    return (
        code.op(f"select i1 {wins}, double {other[0]}, double {best[0]}"),
        code.op(f"select i1 {wins}, i64 {other[1]}, i64 {best[1]}"),
    )


def _best(emitter: Emitter, family: Family) -> str:
    """i64: the lowest v in 0 .. count-1 with the largest b v - a v^2."""
    code, top = emitter.code, family.count - 1
    if family.a.is_zero() and family.b.is_zero():
        return "0"
    if family.a.is_constant() and family.a.constant > 0:
        quotient = family.b.scaled(0.5 / family.a.constant)
        if quotient.scaled(2 * family.a.constant) == family.b:
            return _nearest(emitter, emitter.form(quotient), top)
    a, b = (emitter.as_double(emitter.form(f)) for f in (family.a, family.b))
    convex = code.op(f"fcmp ogt double {a}, {double(0.0)}")
    divisor = code.op(f"fmul double {a}, {double(2.0)}")
    divisor = code.op(f"select i1 {convex}, double {divisor}, double {double(1.0)}")
    inner = _nearest(emitter, Value("f", code.op(f"fdiv double {b}, {divisor}")), top)
    # a <= 0: one of the ends; the last one wins if b top - a top^2 > 0
    end = code.op(f"fmul double {a}, {double(float(top))}")
    end = code.op(f"fcmp ogt double {b}, {end}")
    end = code.op(f"select i1 {end}, i64 {top}, i64 0")
    return code.op(f"select i1 {convex}, i64 {inner}, i64 {end}")


def _nearest(emitter: Emitter, x: Value, top: int) -> str:
    """i64: the integer in 0 .. top nearest to x, the lower one of two."""
    code = emitter.code
    if x.kind == "f":
        for name in ("maxnum", "minnum"):
            code.intrinsic(f"double @llvm.{name}.f64(double, double)")
        code.intrinsic("double @llvm.ceil.f64(double)")
        f = code.op(f"call double @llvm.maxnum.f64(double {x.ref}, double {double(0.0)})")
        f = code.op(f"call double @llvm.minnum.f64(double {f}, double {double(float(top))})")
        f = code.op(f"fsub double {f}, {double(0.5)}")
        f = code.op(f"call double @llvm.ceil.f64(double {f})")
        return code.op(f"fptosi double {f} to i64")
    code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
    code.intrinsic("i64 @llvm.smin.i64(i64, i64)")
    whole = emitter.as_int(x, min(x.exponent, 0))
    if x.exponent < 0:
        whole = code.op(f"add i64 {whole}, {(1 << -x.exponent - 1) - 1}")
        whole = code.op(f"ashr i64 {whole}, {-x.exponent}")
    whole = code.op(f"call i64 @llvm.smax.i64(i64 {whole}, i64 0)")
    return code.op(f"call i64 @llvm.smin.i64(i64 {whole}, i64 {top})")


def _rows(emitter: Emitter, unembedding: Unembedding, best: tuple[str, str] | None, matrices: list) -> tuple[str, str]:
    """The best of the dense rows and of what was best before, in a loop over [R, 1 + C]: id, weights."""
    import numpy as np

    code = emitter.code
    columns = [emitter.as_double(emitter.form(f)) for f in unembedding.columns]
    matrix = np.concatenate([unembedding.ids[:, None].astype(np.float64), unembedding.weights], axis=1)
    index = len(matrices)
    matrices.append(np.ascontiguousarray(matrix))
    width = matrix.shape[1]
    before, head, done = code.block, code.label("row"), code.label("rows")
    initial = best or (double(float("-inf")), str(2**40))
    code.do(f"br label %{head}")
    code.start(head)
    i = f"%{head}.i"
    code.do(f"{i} = phi i64 [ 0, %{before} ], [ {i}.next, %{head} ]")
    code.do(f"%{head}.logit = phi double [ {initial[0]}, %{before} ], [ %{head}.logit.next, %{head} ]")
    code.do(f"%{head}.id = phi i64 [ {initial[1]}, %{before} ], [ %{head}.id.next, %{head} ]")
    row = code.op(f"getelementptr double, ptr %matrix{index}, i64 {code.op(f'mul i64 {i}, {width}')}")
    id = code.op(f"fptosi double {code.op(f'load double, ptr {row}')} to i64")
    total = double(0.0)
    for j, column in enumerate(columns):
        weight = code.op(f"load double, ptr {code.op(f'getelementptr double, ptr {row}, i64 {j + 1}')}")
        total = code.op(f"fadd double {total}, {code.op(f'fmul double {weight}, {column}')}")
    logit, winner = _better(code, (f"%{head}.logit", f"%{head}.id"), (total, id))
    code.do(f"%{head}.logit.next = select i1 true, double {logit}, double {logit}")
    code.do(f"%{head}.id.next = select i1 true, i64 {winner}, i64 {winner}")
    code.do(f"{i}.next = add i64 {i}, 1")
    test = code.op(f"icmp slt i64 {i}.next, {len(matrix)}")
    code.do(f"br i1 {test}, label %{head}, label %{done}")
    code.start(done)
    return f"%{head}.logit.next", f"%{head}.id.next"


def generate(lifted: Lifted, layout: Layout) -> Generated:
    """The module with the function

    i64 run(state, input, count, out, flags, probe): reads `count` tokens from `input`, or, where that is null, decodes up
    to `count` tokens into `out` (until one with the STOP flag, or before one that is FORBIDDEN). Returns how many
    positions were completed; `status` says whether something unexpected ended it. Arrays: i32 tokens, u8 flags by token id,
    a double per position for the probe (may be null).
    """
    graph: Graph = lifted.graph
    code, rows, matrices = Code(), {}, []
    field = layout.fields
    code.start("step")
    emitter = Emitter(graph, layout, code, rows)
    emitter.token, emitter.n = "%token", "%n"
    following = choose(emitter, families(lifted.weights, lifted.columns), matrices)
    if lifted.probe is not None:
        _write_probe(emitter, lifted.probe)
    emitter.finish()
    code.do("br label %latch")
    last = code.block
    body = code.lines[1:]

    setup = []
    for i in range(len(rows)):
        setup.append(f"  %rows{i}.p = getelementptr i64, ptr %state, i64 {layout.add(('rows', i))}")
        setup.append(f"  %rows{i} = load ptr, ptr %rows{i}.p")
    for i in range(len(matrices)):
        setup.append(f"  %matrix{i}.p = getelementptr i64, ptr %state, i64 {layout.add(('matrix', i))}")
        setup.append(f"  %matrix{i} = load ptr, ptr %matrix{i}.p")
    for store in layout.entries:
        if graph.stores[store].kind == "keyed":
            setup.append(f"  %directory{store}.p = getelementptr i64, ptr %state, i64 {field['keyed', store]}")
            setup.append(f"  %directory{store} = load ptr, ptr %directory{store}.p")
    text = "\n".join(
        [
            *(f"{name} = private constant {value}" for value, name in code.globals.items()),
            "define i64 @run(ptr noalias %state, ptr %input, i64 %count, ptr %out, ptr %flags, ptr %probe) {",
            "entry:",
            f"  %status.p = getelementptr i64, ptr %state, i64 {field['status',]}",
            f"  %next.p = getelementptr i64, ptr %state, i64 {field['next',]}",
            f"  %n.p = getelementptr i64, ptr %state, i64 {field['n',]}",
            "  %decoding = icmp eq ptr %input, null",
            *setup,
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %i.next, %latch ]",
            "  %more = icmp slt i64 %i, %count",
            "  br i1 %more, label %pick, label %done",
            "pick:",
            "  br i1 %decoding, label %decode, label %feed",
            "feed:",
            "  %input.i = getelementptr i32, ptr %input, i64 %i",
            "  %fed = load i32, ptr %input.i",
            "  br label %step",
            "decode:",
            "  %chosen = load i32, ptr %next.p",
            "  %chosen64 = zext i32 %chosen to i64",
            "  %flag.p = getelementptr i8, ptr %flags, i64 %chosen64",
            "  %flag = load i8, ptr %flag.p",
            f"  %forbidden.b = and i8 %flag, {FORBIDDEN}",
            "  %forbidden = icmp ne i8 %forbidden.b, 0",
            "  br i1 %forbidden, label %bail, label %write",
            "write:",
            "  %out.i = getelementptr i32, ptr %out, i64 %i",
            "  store i32 %chosen, ptr %out.i",
            "  br label %step",
            "step:",
            "  %token32 = phi i32 [ %fed, %feed ], [ %chosen, %write ]",
            f"  %flag.here = phi i8 [ 0, %feed ], [ %flag, %write ]",
            "  %token = zext i32 %token32 to i64",
            "  %n.old = load i64, ptr %n.p",
            "  %n = add i64 %n.old, 1",
            "  store i64 %n, ptr %n.p",
            *body,
            "latch:",
            f"  %following = phi i32 [ {following}, %{last} ]",
            "  store i32 %following, ptr %next.p",
            "  %i.next = add i64 %i, 1",
            f"  %stop.b = and i8 %flag.here, {STOP}",
            "  %stop = icmp ne i8 %stop.b, 0",
            "  br i1 %stop, label %stopped, label %loop",
            "stopped:",
            "  ret i64 %i.next",
            "bail:",
            f"  store i64 {UNEXPECTED}, ptr %status.p",
            "  ret i64 %i",
            "exhausted:",
            f"  store i64 {EXHAUSTED}, ptr %status.p",
            "  ret i64 %i",
            "done:",
            "  ret i64 %i",
            "}",
            support(),
            *code.declarations,
        ]
    ).replace("[ %i.next, %latch ]", "[ %i.next, %latch ]")
    for i, table in enumerate(rows.values()):
        text = text.replace(f"STRIDE{i}.", str(table.padded()))
    return Generated(text, list(rows.values()), matrices)


def _write_probe(emitter: Emitter, probe: Form) -> None:
    code = emitter.code
    value = emitter.as_double(emitter.form(probe))
    pointer = code.op("getelementptr double, ptr %probe, i64 %i")
    code.do(f"store double {value}, ptr {pointer}")
