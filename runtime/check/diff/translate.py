"""What `native` describes, as LLVM's intermediate language."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from llvmlite import ir

NOT_WHOLE = -(2**63)
_WORD, _BYTE, _SHORT, _FLOAT = ir.IntType(64), ir.IntType(8), ir.IntType(16), ir.DoubleType()
_ELEMENTS = {"U8": _BYTE, "U16": _SHORT, "I32": ir.IntType(32), "I64": _WORD, "F64": _FLOAT, "R64": _FLOAT}
_OPERATIONS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
_REAL_OPERATIONS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARISONS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def parsed(function: Callable[..., int]) -> ast.FunctionDef:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    return node


def elements(node: ast.FunctionDef) -> list[str]:
    """Of its parameters."""
    return [a.annotation.id for a in node.args.args if isinstance(a.annotation, ast.Name)]


def translated(function: Callable[..., int]) -> str:
    """LLVM IR of a module with this function. Raises NotImplementedError for what is not translated."""
    node = parsed(function)
    names = elements(node)
    module = ir.Module(function.__name__)
    pointers = [ir.PointerType(_ELEMENTS[name]) for name in names]
    made = ir.Function(module, ir.FunctionType(_WORD, pointers), function.__name__)
    for argument in made.args:
        argument.add_attribute("noalias")
    arrays = {a.arg: value for a, value in zip(node.args.args, made.args, strict=True)}
    body = _Body(ir.IRBuilder(made.append_basic_block("entry")), arrays, function.__globals__)
    body.real = {a.arg for a, name in zip(node.args.args, names, strict=True) if name == "R64"}
    body.block(node.body)
    if not body.builder.block.is_terminated:
        raise NotImplementedError("an end without `return`")
    return str(module)


class _Body:
    def __init__(self, builder: ir.IRBuilder, arrays: dict[str, ir.Value], constants: dict[str, Any]):
        self.builder, self.arrays, self.constants = builder, arrays, constants
        self.variables: dict[str, ir.Value] = {}
        self.real: set[str] = set()  # the arrays whose elements are real numbers
        self.loops: list[tuple[ir.Block, ir.Block]] = []  # where `continue` and `break` go

    @staticmethod
    def number(value: int) -> ir.Constant:
        return ir.Constant(_WORD, value)

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)
            if self.builder.block.is_terminated:
                break  # what stands behind is never reached

    def statement(self, node: ast.stmt) -> None:
        b = self.builder
        match node:
            case ast.Assign(targets=[target], value=value):
                self.store(target, self.value(value))
            case ast.AugAssign(target=target, op=op, value=value):
                self.store(target, self.operation(op, self.value(target), self.value(value)))
            case ast.If(test=test, body=body, orelse=orelse):
                then, other, after = (b.append_basic_block() for _ in range(3))
                b.cbranch(self.condition(test), then, other)
                open_ends = 0
                for block, statements in ((then, body), (other, orelse)):
                    b.position_at_end(block)
                    self.block(statements)
                    if not b.block.is_terminated:
                        b.branch(after)
                        open_ends += 1
                b.position_at_end(after)
                if not open_ends:
                    b.unreachable()
            case ast.While(test=test, body=body, orelse=[]):
                head, inside, after = (b.append_basic_block() for _ in range(3))
                b.branch(head)
                b.position_at_end(head)
                b.cbranch(self.condition(test), inside, after)
                b.position_at_end(inside)
                self.loops.append((head, after))
                self.block(body)
                self.loops.pop()
                if not b.block.is_terminated:
                    b.branch(head)
                b.position_at_end(after)
            case ast.Continue():
                b.branch(self.loops[-1][0])
            case ast.Break():
                b.branch(self.loops[-1][1])
            case ast.Return(value=value) if value is not None:
                b.ret(self.whole(value))
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case ast.Expr(value=ast.Call(func=ast.Name(id="poke"), args=[address, byte])):
                pointer = b.inttoptr(self.whole(address), ir.PointerType(_BYTE))
                b.store(b.trunc(self.whole(byte), _BYTE), pointer)
            case _:
                raise NotImplementedError(ast.unparse(node))

    def store(self, target: ast.expr, value: ir.Value) -> None:
        b = self.builder
        match target:
            case ast.Name(id=name):
                if name not in self.variables:
                    with b.goto_entry_block():
                        self.variables[name] = b.alloca(value.type, name=name)
                        b.store(ir.Constant(value.type, 0), self.variables[name])
                self.same(self.variables[name].type.pointee, value.type, target)
                b.store(value, self.variables[name])
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                pointer = b.gep(self.arrays[name], [self.whole(index)])
                element = pointer.type.pointee
                self.same(element == _FLOAT, value.type == _FLOAT, target)
                b.store(value if element in (_WORD, _FLOAT) else b.trunc(value, element), pointer)
            case _:
                raise NotImplementedError(ast.unparse(target))

    @staticmethod
    def same(one: Any, other: Any, node: ast.AST) -> None:
        if one != other:
            raise NotImplementedError(f"integers and real numbers together: {ast.unparse(node)}")

    def whole(self, node: ast.expr) -> ir.Value:
        """An i64."""
        found = self.value(node)
        self.same(found.type, _WORD, node)
        return found

    def value(self, node: ast.expr) -> ir.Value:
        """An i64, or a double."""
        b = self.builder
        match node:
            case ast.Constant(value=int(number)):
                return self.number(int(number))
            case ast.Constant(value=float(number)):
                return ir.Constant(_FLOAT, number)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = self.value(operand)
                return b.neg(found) if found.type == _WORD else b.fneg(found)
            case ast.Name(id=name) if name in self.variables:
                return b.load(self.variables[name])
            case ast.Name(id=name) if isinstance(self.constants.get(name), int):
                return self.number(int(self.constants[name]))
            case ast.Name(id=name) if isinstance(self.constants.get(name), float):
                return ir.Constant(_FLOAT, self.constants[name])
            case ast.BinOp(left=ast.Constant(value=int(base)), op=ast.Pow(), right=ast.Constant(value=int(exponent))):
                return self.number(base**exponent)
            case ast.BinOp(left=left, op=op, right=right):
                return self.operation(op, self.value(left), self.value(right))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return b.zext(self.condition(node), _WORD)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                found = b.load(b.gep(self.arrays[name], [self.whole(index)]))
                return found if name in self.real else self.element(found)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
                return self.converted(name, self.value(argument), node)
        raise NotImplementedError(ast.unparse(node))

    def converted(self, name: str, found: ir.Value, node: ast.expr) -> ir.Value:
        b = self.builder
        if name == "real" and found.type == _WORD:
            return b.sitofp(found, _FLOAT)
        if found.type == _FLOAT:
            if name == "whole":
                return self.cut(found)
            if name == "bits":
                return b.bitcast(found, _WORD)
            if name in ("rint", "fabs"):
                return b.call(b.module.declare_intrinsic(f"llvm.{name}", [_FLOAT]), [found])
        raise NotImplementedError(ast.unparse(node))

    def cut(self, found: ir.Value) -> ir.Value:
        """A real number without what is behind the point, or the end that it is beyond; 0 for what is no number. Comparisons and
        selections, which are made many at once, where llvm.fptosi.sat is not."""
        b, end = self.builder, 2.0**63
        number = b.select(b.fcmp_ordered("ord", found, found), found, ir.Constant(_FLOAT, 0.0))
        number = b.select(b.fcmp_ordered("<", number, ir.Constant(_FLOAT, -end)), ir.Constant(_FLOAT, -end), number)
        beyond = b.fcmp_ordered(">=", number, ir.Constant(_FLOAT, end))
        inside = b.fptosi(b.select(beyond, ir.Constant(_FLOAT, 0.0), number), _WORD)
        return b.select(beyond, self.number(2**63 - 1), inside)

    def element(self, found: ir.Value) -> ir.Value:
        b = self.builder
        if found.type == _FLOAT:
            whole = self.cut(found)
            return b.select(b.fcmp_ordered("==", b.sitofp(whole, _FLOAT), found), whole, self.number(NOT_WHOLE))
        if found.type == _WORD:
            return found
        return b.zext(found, _WORD) if found.type in (_BYTE, _SHORT) else b.sext(found, _WORD)

    def operation(self, op: ast.operator, left: ir.Value, right: ir.Value) -> ir.Value:
        self.same(left.type, right.type, op)
        known = _OPERATIONS if left.type == _WORD else _REAL_OPERATIONS
        if type(op) not in known:
            raise NotImplementedError(type(op).__name__)
        return getattr(self.builder, known[type(op)])(left, right)

    def condition(self, node: ast.expr) -> ir.Value:
        """An i1."""
        b = self.builder
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                one, other, sign = self.value(left), self.value(right), _COMPARISONS[type(op)]
                self.same(one.type, other.type, node)
                if one.type == _WORD:
                    return b.icmp_signed(sign, one, other)
                return (b.fcmp_unordered if sign == "!=" else b.fcmp_ordered)(sign, one, other)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return b.not_(self.condition(operand))
            case ast.BoolOp(op=op, values=values):
                return self.all_or_any(isinstance(op, ast.And), values)
        return b.icmp_signed("!=", self.whole(node), self.number(0))

    def all_or_any(self, every: bool, values: list[ast.expr]) -> ir.Value:
        """What comes later is not evaluated when an earlier one decides."""
        b, after = self.builder, self.builder.append_basic_block()
        incoming = []
        for value in values[:-1]:
            found, further = self.condition(value), b.append_basic_block()
            incoming.append((ir.Constant(ir.IntType(1), not every), b.block))
            b.cbranch(found, *((further, after) if every else (after, further)))
            b.position_at_end(further)
        incoming.append((self.condition(values[-1]), b.block))
        b.branch(after)
        b.position_at_end(after)
        phi = b.phi(ir.IntType(1))
        for found, block in incoming:
            phi.add_incoming(found, block)
        return phi

