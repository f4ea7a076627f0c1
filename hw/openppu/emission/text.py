"""Expressions as Verilog, every width written out, so that no rule of implicit widths is needed to read them."""

from collections.abc import Mapping

from openppu.emission.expression import (
    CHOICE,
    COMPARISONS,
    INDEX,
    Expression,
    Operation,
    expression_width,
    sized_operands,
)
from openppu.emission.rtlil import Bits, Constant, Slice, joined, one_slice, part

ASSOCIATIVE = ("&", "|", "^")


class Text:
    """Writes the expressions of one module.

    Parameters
    ----------
    names : mapping
        Of wires and memories.
    widths : mapping
        Of wires.
    inlined : mapping
        Wires that have no name of their own: their expression stands where they are used.
    """

    def __init__(self, names: Mapping[str, str], widths: Mapping[str, int], inlined: Mapping[str, Expression]):
        self.names = names
        self.widths = widths
        self.inlined = inlined

    def expression(self, expression: Expression) -> str:
        """The text, without brackets around it."""
        if not isinstance(expression, Operation):
            inner = self._behind(expression)
            return self.bits(expression) if inner is expression else self.expression(inner)
        operator, operands = expression.operator, expression.operands
        if operator == CHOICE:
            test, yes, no = operands
            last = self._behind(no)
            chain = isinstance(last, Operation) and last.operator == CHOICE
            after = self.expression(last) if chain else self.operand(no)
            return f"{self.operand(test)} ? {self.operand(yes)} : {after}"
        if operator == INDEX:
            return self.row(operands[0][0].wire, operands[1])  # type: ignore[index,union-attr]
        if len(operands) == 1:
            sign = {"neg": "-"}.get(operator, operator[0])
            return f"{sign}{self._sized(expression, 0)}"
        left, right = self._sized(expression, 0), self._sized(expression, 1)
        if operator in ASSOCIATIVE:
            first = self._behind(operands[0])
            if isinstance(first, Operation) and first.operator == operator:
                left = self.expression(first)
        if operator == ">>>":
            return f"$unsigned($signed({left}) >>> {right})"
        if expression.signed and operator in ("*", "<", ">", "<=", ">="):
            return f"$signed({left}) {operator} $signed({right})"
        return f"{left} {operator} {right}"

    def row(self, memory: str, index: Expression) -> str:
        """A row of a memory; the address of one that has a single row has no bits."""
        return f"{self.names[memory]}[{self.expression(index) if index else 0}]"

    def operand(self, expression: Expression, in_sign: bool = False) -> str:
        """The text, in brackets if it is more than a name, a constant or (outside of another) a sign before one."""
        inner = self._behind(expression)
        if not isinstance(inner, Operation):
            return self.bits(inner)
        text = self.expression(inner)
        return text if inner.operator == INDEX or (len(inner.operands) == 1 and not in_sign) else f"({text})"

    def bits(self, bits: Bits) -> str:
        """A value put together from parts."""
        parts: list[tuple[int, str]] = []
        for chunk in reversed(bits):
            text = self._chunk(chunk)
            if parts and parts[-1][1] == text:
                parts[-1] = (parts[-1][0] + 1, text)
            else:
                parts.append((1, text))
        texts = [text if times == 1 else f"{{{times}{{{text}}}}}" for times, text in parts]
        return texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"

    def slice(self, chunk: Slice) -> str:
        """Bits of a named wire."""
        name, width = self.names[chunk.wire], self.widths.get(chunk.wire, 0)
        if chunk.width == width or not width:
            return name
        if chunk.width == 1:
            return f"{name}[{chunk.low}]"
        return f"{name}[{chunk.low + chunk.width - 1}:{chunk.low}]"

    def _behind(self, expression: Expression) -> Expression:
        """The expression behind a wire that has no name."""
        place = None if isinstance(expression, Operation) else one_slice(expression)
        return self._behind(self.inlined[place.wire]) if place and place.wire in self.inlined else expression

    def _chunk(self, chunk: Slice | Constant) -> str:
        if isinstance(chunk, Constant):
            return constant(chunk)
        if chunk.wire in self.inlined:
            return self.expression(self.inlined[chunk.wire])
        return self.slice(chunk)

    def _sized(self, operation: Operation, place: int) -> str:
        """An operand, as wide as its operation wants it."""
        operand = operation.operands[place]
        width = expression_width(operand)
        wanted = operation.width if place in sized_operands(operation) else width
        if operation.operator in COMPARISONS:
            wanted = max(expression_width(other) for other in operation.operands)
        missing = wanted - width
        if operation.operator == "*" or missing <= 0:
            return self.operand(operand, in_sign=len(operation.operands) == 1)
        if not isinstance(operand, Operation) and all(isinstance(chunk, Constant) for chunk in operand):
            top = part(operand, width - 1, 1) if operation.signed else (Constant("0"),)
            return self.bits(joined([*operand, *top * missing]))
        if operation.signed:
            assert not isinstance(operand, Operation)
            return self.bits(joined([*operand, *part(operand, width - 1, 1) * missing]))
        text = self.expression(operand)
        return f"{{{constant(Constant('0' * missing))}, {text[1:-1] if _is_concatenation(text) else text}}}"


def constant(constant: Constant) -> str:
    """A constant: single bits in binary, what is short in decimal, else hexadecimal."""
    width = constant.width
    if width == 1:
        return f"1'b{constant.digits}"
    value = int(constant.digits, 2)
    return f"{width}'d{value}" if width <= 16 else f"{width}'h{value:x}"


def _is_concatenation(text: str) -> bool:
    return text.startswith("{") and text.endswith("}") and "{" not in text[1:-1]
