"""What `native` describes, as LLVM's intermediate language."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from llvmlite import ir

NOT_WHOLE = -(2**63)
_WORD, _BYTE, _FLOAT = ir.IntType(64), ir.IntType(8), ir.DoubleType()
_ELEMENTS = {"U8": _BYTE, "I32": ir.IntType(32), "I64": _WORD, "F64": _FLOAT}
_OPERATIONS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "ashr",
}  # fmt: skip
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
    body.block(node.body)
    if not body.builder.block.is_terminated:
        raise NotImplementedError("an end without `return`")
    return str(module)


class _Body:
    def __init__(self, builder: ir.IRBuilder, arrays: dict[str, ir.Value], constants: dict[str, Any]):
        self.builder, self.arrays, self.constants = builder, arrays, constants
        self.variables: dict[str, ir.Value] = {}
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
                b.ret(self.value(value))
            case ast.Expr(value=ast.Constant(value=str())):
                pass  # a docstring
            case ast.Expr(value=ast.Call(func=ast.Name(id="poke"), args=[address, byte])):
                pointer = b.inttoptr(self.value(address), ir.PointerType(_BYTE))
                b.store(b.trunc(self.value(byte), _BYTE), pointer)
            case _:
                raise NotImplementedError(ast.unparse(node))

    def store(self, target: ast.expr, value: ir.Value) -> None:
        b = self.builder
        match target:
            case ast.Name(id=name):
                if name not in self.variables:
                    with b.goto_entry_block():
                        self.variables[name] = b.alloca(_WORD, name=name)
                        b.store(self.number(0), self.variables[name])
                b.store(value, self.variables[name])
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                pointer = b.gep(self.arrays[name], [self.value(index)])
                element = pointer.type.pointee
                b.store(value if element == _WORD else b.trunc(value, element), pointer)
            case _:
                raise NotImplementedError(ast.unparse(target))

    def value(self, node: ast.expr) -> ir.Value:
        """An i64."""
        b = self.builder
        match node:
            case ast.Constant(value=int(number)):
                return self.number(int(number))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return b.neg(self.value(operand))
            case ast.Name(id=name) if name in self.variables:
                return b.load(self.variables[name])
            case ast.Name(id=name) if isinstance(self.constants.get(name), int):
                return self.number(int(self.constants[name]))
            case ast.BinOp(left=ast.Constant(value=int(base)), op=ast.Pow(), right=ast.Constant(value=int(exponent))):
                return self.number(base**exponent)
            case ast.BinOp(left=left, op=op, right=right):
                return self.operation(op, self.value(left), self.value(right))
            case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                return b.zext(self.condition(node), _WORD)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return self.element(b.load(b.gep(self.arrays[name], [self.value(index)])))
        raise NotImplementedError(ast.unparse(node))

    def element(self, found: ir.Value) -> ir.Value:
        b = self.builder
        if found.type == _FLOAT:
            saturating = b.module.declare_intrinsic("llvm.fptosi.sat.i64.f64", (), ir.FunctionType(_WORD, [_FLOAT]))
            whole = b.call(saturating, [found])
            return b.select(b.fcmp_ordered("==", b.sitofp(whole, _FLOAT), found), whole, self.number(NOT_WHOLE))
        if found.type == _WORD:
            return found
        return b.zext(found, _WORD) if found.type == _BYTE else b.sext(found, _WORD)

    def operation(self, op: ast.operator, left: ir.Value, right: ir.Value) -> ir.Value:
        if type(op) not in _OPERATIONS:
            raise NotImplementedError(type(op).__name__)
        return getattr(self.builder, _OPERATIONS[type(op)])(left, right)

    def condition(self, node: ast.expr) -> ir.Value:
        """An i1."""
        b = self.builder
        match node:
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                return b.icmp_signed(_COMPARISONS[type(op)], self.value(left), self.value(right))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return b.not_(self.condition(operand))
            case ast.BoolOp(op=op, values=values):
                return self.all_or_any(isinstance(op, ast.And), values)
        return b.icmp_signed("!=", self.value(node), self.number(0))

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

