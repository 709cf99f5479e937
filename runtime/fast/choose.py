"""The next token: the argmax over the families of the unembedding and the rows outside of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .atoms import Relu
from .bounds import exponent_of_all, total
from .code import IrText, double
from .emit import Emitter
from .interface import EXACT
from .linear import Form
from .symbols import Symbols
from .unembed import Family, Unembedding, without_beaten


def choose(emitter: Emitter, unembedding: Unembedding, array: Callable[[np.ndarray], str]) -> str:
    """The argmax token, an i32; ties go to the lowest id."""
    code = emitter.code
    unembedding = without_beaten(emitter.graph, unembedding)
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
        best = _rows(emitter, unembedding, best, array)
    assert best is not None
    return code.op(f"trunc i64 {best[1]} to i32")


def _better(code: IrText, best: tuple[str, str] | None, other: tuple[str, str]) -> tuple[str, str]:
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
    if family.a.is_constant() and family.a.constant > 0 and math.frexp(family.a.constant)[0] == 0.5:  # a power of two
        quotient = family.b.scaled(0.5 / family.a.constant)
        if quotient.scaled(2 * family.a.constant) == family.b:
            return _nearest(emitter, quotient, top)
    divided = _quotient(emitter.graph, family)
    if divided is not None:
        whole = _divided(emitter, *divided, top)
        if whole is not None:
            return whole
    a, b = (emitter.as_double(emitter.form(f)) for f in (family.a, family.b))
    convex = code.op(f"fcmp ogt double {a}, {double(0.0)}")
    divisor = code.op(f"fmul double {a}, {double(2.0)}")
    divisor = code.op(f"select i1 {convex}, double {divisor}, double {double(1.0)}")
    inner = _nearest_to(emitter, code.op(f"fdiv double {b}, {divisor}"), top)
    # a <= 0: one of the ends; the last one wins if b top - a top^2 > 0
    end = code.op(f"fmul double {a}, {double(float(top))}")
    end = code.op(f"fcmp ogt double {b}, {end}")
    end = code.op(f"select i1 {end}, i64 {top}, i64 0")
    return code.op(f"select i1 {convex}, i64 {inner}, i64 {end}")


def _quotient(graph: Symbols, family: Family) -> tuple[Form, Form] | None:
    """Forms N and D of integers, such that the best v is floor(N / D), cut off at both ends, where D > 0, and 0 where not.

    With a = relu(g) p and b = relu(g) u, where p = k g and k > 0, that is the integer nearest to u / 2 k g, the lower one of
    two: floor((u + k g - 1) / 2 k g), if u and k g are integers. With a digit of a quotient, u + k g - 1 is twice what is
    divided, and so is 2 k g the divisor. Where that is known, a is a constant, and b and a have a common factor.
    """
    if family.a.is_constant():
        return _by_constant(graph, family) if family.a.constant > 0 else None
    if family.a.constant or family.b.constant or len(family.a.terms) != 1 or len(family.b.terms) != 1:
        return None
    ((one, of_a),), ((other, of_b),) = family.a.terms.items(), family.b.terms.items()
    a, b = graph.atoms[one], graph.atoms[other]
    if not (isinstance(a, Relu) and isinstance(b, Relu) and a.gate == b.gate and a.gate.terms):
        return None
    atom, unit = next(iter(a.gate.terms.items()))
    k = of_a * a.up.terms.get(atom, 0.0) / unit
    divisor = a.gate.scaled(k)
    if k <= 0 or divisor != a.up.scaled(of_a):
        return None
    return _halved(graph, b.up.scaled(of_b).plus(divisor).shifted(-1.0), divisor)


def _by_constant(graph: Symbols, family: Family) -> tuple[Form, Form] | None:
    a, b, bounds = family.a.constant, family.b, graph.bounds(family.b)
    unit = exponent_of_all(np.array([a]))
    if bounds.exponent is None or unit is None:
        return None
    scale = 2.0 ** -min(bounds.exponent, unit)
    a, b, common = a * scale, b.scaled(scale), 1
    numbers = [a, b.constant, *b.terms.values()]
    if max(map(abs, numbers)) < EXACT and all(c.is_integer() for c in numbers):
        common = math.gcd(*map(int, numbers))
    a, b = a / common, Form({atom: c / common for atom, c in b.terms.items()}, b.constant / common)
    return _halved(graph, b.shifted(a - 1.0), Form({}, a))


def _halved(graph: Symbols, twice: Form, divisor: Form) -> tuple[Form, Form] | None:
    """twice / 2 and the divisor, or both twice, if they are integers of 64 bits."""
    for forms in ((twice.scaled(0.5), divisor), (twice, divisor.scaled(2.0))):
        if all(graph.bounds(form).below(0) for form in forms):
            return forms
    return None


def _divided(emitter: Emitter, dividend: Form, divisor: Form, top: int) -> str | None:
    """i64: floor(dividend / divisor), within 0 .. top; 0 where the divisor is not positive. None where one of them is no integer
    in code."""
    code, over, under = emitter.code, emitter.form(dividend), emitter.form(divisor)
    if over.kind not in "bi" or under.kind not in "bi":
        return None
    bounds = [emitter.graph.bounds(form) for form in (dividend, divisor)]
    code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
    code.intrinsic("i64 @llvm.umin.i64(i64, i64)")
    n, d = emitter.as_int(over, 0), emitter.as_int(under, 0)
    if bounds[0].low < 0:
        n = code.op(f"call i64 @llvm.smax.i64(i64 {n}, i64 0)")
    positive = "true"
    if bounds[1].low < 1:
        positive = code.op(f"icmp sgt i64 {d}, 0")
        d = code.op(f"call i64 @llvm.smax.i64(i64 {d}, i64 1)")
    if max(each.high for each in bounds) < 2**32:  # takes less time
        n, d = (code.op(f"trunc i64 {each} to i32") for each in (n, d))
        whole = code.op(f"zext i32 {code.op(f'udiv i32 {n}, {d}')} to i64")
    else:
        whole = code.op(f"udiv i64 {n}, {d}")
    whole = code.op(f"call i64 @llvm.umin.i64(i64 {whole}, i64 {top})")
    return whole if positive == "true" else code.op(f"select i1 {positive}, i64 {whole}, i64 0")


def _nearest(emitter: Emitter, form: Form, top: int) -> str:
    """i64: the integer in 0 .. top nearest to a form's value, the lower one of two."""
    code, x, bounds = emitter.code, emitter.form(form), emitter.graph.bounds(form)
    e = min(x.exponent, 0)
    # Half of a unit is added: a unit must have a half, and the sum 64 bits.
    if x.kind == "f" or e < -60 or not bounds.below(e):
        return _nearest_to(emitter, emitter.as_double(x), top)
    code.intrinsic("i64 @llvm.smax.i64(i64, i64)")
    code.intrinsic("i64 @llvm.smin.i64(i64, i64)")
    whole = emitter.as_int(x, e)
    if e < 0:
        whole = code.op(f"add i64 {whole}, {(1 << -e - 1) - 1}")
        whole = code.op(f"ashr i64 {whole}, {-e}")
    whole = code.op(f"call i64 @llvm.smax.i64(i64 {whole}, i64 0)")
    return code.op(f"call i64 @llvm.smin.i64(i64 {whole}, i64 {top})")


def _nearest_to(emitter: Emitter, x: str, top: int) -> str:
    """The same for a double; NaN counts as 0."""
    code = emitter.code
    for name in ("maxnum", "minnum"):
        code.intrinsic(f"double @llvm.{name}.f64(double, double)")
    code.intrinsic("double @llvm.ceil.f64(double)")
    f = code.op(f"call double @llvm.maxnum.f64(double {x}, double {double(0.0)})")
    f = code.op(f"call double @llvm.minnum.f64(double {f}, double {double(float(top))})")
    f = code.op(f"fsub double {f}, {double(0.5)}")
    f = code.op(f"call double @llvm.ceil.f64(double {f})")
    return code.op(f"fptosi double {f} to i64")


def _rows(
    emitter: Emitter, unembedding: Unembedding, best: tuple[str, str] | None, array: Callable[[np.ndarray], str]
) -> tuple[str, str]:
    """The best of the dense rows and of what was best before, in a loop over [R, 1 + C]: id, weights."""
    code = emitter.code
    columns = [emitter.as_double(emitter.form(f)) for f in unembedding.columns]
    ranges = [emitter.graph.bounds(f) for f in unembedding.columns]
    total(0.0, list(zip(np.abs(unembedding.weights).max(axis=0).tolist(), ranges)))  # refuses logits beyond all doubles
    matrix = np.concatenate([unembedding.ids[:, None].astype(np.float64), unembedding.weights], axis=1)
    rows = array(np.ascontiguousarray(matrix))
    width = matrix.shape[1]
    before, head, done = code.block, code.label("row"), code.label("rows")
    initial = best or (double(float("-inf")), str(2**40))
    code.do(f"br label %{head}")
    code.start(head)
    i, loop = code.open_phi("i64", "0", before)
    old, old_handle = code.open_phi("double", initial[0], before)
    id, id_handle = code.open_phi("i64", initial[1], before)
    row = code.op(f"getelementptr double, ptr {rows}, i64 {code.op(f'mul i64 {i}, {width}')}")
    own = code.op(f"fptosi double {code.op(f'load double, ptr {row}')} to i64")
    sum_ = double(0.0)
    for j, column in enumerate(columns):
        weight = code.op(f"load double, ptr {code.op(f'getelementptr double, ptr {row}, i64 {j + 1}')}")
        sum_ = code.op(f"fadd double {sum_}, {code.op(f'fmul double {weight}, {column}')}")
    logit, winner = _better(code, (old, id), (sum_, own))
    following = code.op(f"add i64 {i}, 1")
    for handle, value in ((loop, following), (old_handle, logit), (id_handle, winner)):
        code.close_phi(handle, value, head)
    code.do(f"br i1 {code.op(f'icmp slt i64 {following}, {len(matrix)}')}, label %{head}, label %{done}")
    code.start(done)
    return logit, winner
