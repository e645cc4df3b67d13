"""The text form of calls such as `adam(beta2=0.95)` and of expressions such as `warmup(500) >> cosine(final=0.1)`.

The text is read with Python's own grammar, through `ast`, and never evaluated: only a name, its arguments and the
operators that the caller allows are understood. Values are numbers, `True`/`False`, `None`, words and lists of those.
What is called are dataclasses, so their fields say which arguments exist, in which order and of which type. (A field
whose argument has another name says so in its metadata, as `{"argument": name}`.)
"""

import ast
import keyword
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Generic, Literal, TypeVar

from pacesetter.errors import InputError, ParseError, UnknownName

__all__ = ["format_arguments", "format_call", "parse_call", "parse_expression", "parse_size", "read_arguments"]

T = TypeVar("T")

_WORDS: dict[str, Any] = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}
_OPERATORS: dict[type[ast.operator], str] = {ast.RShift: ">>", ast.Mult: "*"}
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_SIZE = re.compile(r"(\d+\.?\d*(?:e\+?\d+)?) *(?:([kmgt])(i?)b?|b)?", re.IGNORECASE)


def parse_size(argument: str, text: Any) -> int:
    """The bytes that `text` says, at least 1: "4GB" and "4G" are 4e9, "4GiB" is 4 * 2**30, "4e9" has no unit.

    Raises InputError, naming `argument`, for anything else.

    >>> parse_size("memory", "1.5 kB"), parse_size("memory", "512MiB")
    (1500, 536870912)
    """
    found = _SIZE.fullmatch(str(text).strip())
    if found is not None:
        number, unit, binary = found.groups()
        size = float(number) * (1024 if binary else 1000) ** (" kmgt".index(unit.lower()) if unit else 0)
        if 1 <= size < math.inf:
            return int(size)
    raise InputError(f"`{argument}` must be a size in bytes above 0, got {argument}={text!r}: try 4GB or 512MiB")


def parse_call(text: str, kind: str, registry: Mapping[str, type[T]]) -> T:
    """The object that `text` describes: `name`, `name()`, `name(0.5, a=1)`.

    `kind` is what the registry holds, in one word, for messages ("optimizer"). Positional arguments fill the
    dataclass fields in order. Raises UnknownName for a name that is not in `registry`, ParseError for anything else
    that does not parse, and whatever InputError the class itself raises for a value out of range.

    >>> from dataclasses import make_dataclass
    >>> point = make_dataclass("point", [("x", float), ("y", float, 2.0)])
    >>> parse_call("point(1, y=0.5)", "shape", {"point": point})
    point(x=1.0, y=0.5)
    """
    return _Reader(text, kind, registry, {}).read()


def parse_expression(
    text: str, kind: str, registry: Mapping[str, type[T]], operators: Mapping[str, Callable[[T, T], T]]
) -> T:
    """The object that an expression describes: calls joined by `operators` and grouped by parentheses.

    `operators` maps ">>" and "*" to the function of both sides; `*` binds tighter, and equals group from the left.
    Errors are those of `parse_call`.
    """
    return _Reader(text, kind, registry, operators).read()


def format_call(value: Any, name: str | None = None) -> str:
    """The text that `parse_call` reads back as an equal object: `name(arg=value)`, only what is not default.

    `name` is the lower-case name of the class unless given. Required fields and a first field called `span` are
    written without their name; empty parentheses are left out.
    """
    arguments: list[str] = []
    in_order = True
    for position, entry in enumerate(_arguments(type(value))):
        current = getattr(value, entry.name)
        required = _required(entry)
        bare = in_order and (required or (position == 0 and entry.name == "span"))
        if not required and _same(current, _default(entry)):
            in_order = False
            continue
        arguments.append(_format_value(current) if bare else f"{_argument(entry)}={_format_value(current)}")
        in_order = bare
    return (name or type(value).__name__.lower()) + (f"({', '.join(arguments)})" if arguments else "")


def read_arguments(text: str, kind: str) -> tuple[str, dict[str, Any]]:
    """The path and the arguments of "module:Name(argument=value, ...)", whatever they are; lists come as tuples.

    `kind` is what it is, in one word, for messages. Raises ParseError for anything else.

    >>> read_arguments("torch:Adafactor(beta2_decay=-0.9, foreach=true)", "optimizer")
    ('torch:Adafactor', {'beta2_decay': -0.9, 'foreach': True})
    """
    line = "".join(" " if c.isspace() else c for c in text.strip())
    found = _PATH.match(line)
    if found is None:
        raise ParseError(f"`{kind}` must be written as module:Name(argument=value, ...), got {text!r}")
    path = found[0]
    # A name as long as the path stands for it, so that a caret stands under its place.
    return path, _Reader("f" * len(path) + line[len(path) :], kind, {}, {}).arguments(line)


def format_arguments(arguments: Mapping[str, Any]) -> str:
    """The text that `read_arguments` reads back: "(argument=value, ...)", nothing without any."""
    told = ", ".join(f"{name}={_format_value(value)}" for name, value in arguments.items())
    return f"({told})" if told else ""


def _arguments(cls: type) -> list[Field[Any]]:
    return [entry for entry in fields(cls) if entry.init]


def _argument(entry: Field[Any]) -> str:
    """The argument that fills a field: of the same name, or of the one that the field's metadata gives."""
    return str(entry.metadata.get("argument", entry.name))


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _required(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _same(value: Any, default: Any) -> bool:
    # 1 and 1.0 are equal in Python and different to us (a step, the whole run); False equals 0 as well.
    exact = type(value) is type(default) or (isinstance(value, float) and isinstance(default, float))
    return exact and bool(value == default)


def _format_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_format_value, value))}]"
    if is_dataclass(value):
        return str(value)
    text = str(value)
    # A word that would be read as something else, or as nothing at all, is quoted.
    return text if text.isidentifier() and text.lower() not in _WORDS and not keyword.iskeyword(text) else repr(text)


class _Reader(Generic[T]):
    """Reads one text. It keeps the text so that each error can point at its place."""

    def __init__(
        self,
        text: str,
        kind: str,
        registry: Mapping[str, type[T]],
        operators: Mapping[str, Callable[[T, T], T]],
    ) -> None:
        if not isinstance(text, str):
            raise InputError(f"`{kind}` must be text or a {kind}, got {kind}={text!r}")
        # One line, so that the caret stands under its place.
        self.text = "".join(" " if c.isspace() else c for c in text.strip())
        self.kind, self.registry, self.operators = kind, registry, operators

    def read(self) -> T:
        if not self.text:
            known = ", ".join(sorted(self.registry))
            raise ParseError(f"`{self.kind}` must name a known {self.kind}, got an empty text: known: {known}")
        try:
            return self.expression(ast.parse(self.text, mode="eval").body)
        except SyntaxError as error:
            column = max((error.offset or 1) - 1, 0)
            raise ParseError.at(self.text, column, f"`{self.kind}` must be {self._shape()}, got {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, InputError):
                raise
            raise ParseError(f"`{self.kind}` must be {self._shape()}, got a text that is too deep or broken") from None

    def arguments(self, line: str) -> dict[str, Any]:
        """The keyword arguments of one call, whose callee is not looked at; `line` is the text for messages."""
        source, self.text = self.text, line
        try:
            node = ast.parse(source, mode="eval").body
        except SyntaxError as error:
            column = max((error.offset or 1) - 1, 0)
            raise ParseError.at(line, column, f"`{self.kind}` must be {self._shape()}, got {error.msg}") from None
        given: dict[str, Any] = {}
        if isinstance(node, ast.Call):
            for item in node.keywords:
                if item.arg is None or item.arg in given:
                    raise self.error(item.value, f"an argument of `{self.kind}` must have a name and be given once")
                value = self.value(item.value)
                given[item.arg] = tuple(value) if isinstance(value, list) else value
            if node.args:
                raise self.error(node.args[0], f"an argument of `{self.kind}` must have a name, as in (beta=0.9)")
        elif not isinstance(node, ast.Name):
            raise self.error(node, f"`{self.kind}` must be {self._shape()}")
        return given

    def expression(self, node: ast.expr) -> T:
        if isinstance(node, ast.BinOp):
            symbol = _OPERATORS.get(type(node.op), "")
            if symbol not in self.operators:
                raise self.error(node, f"`{self.kind}` must be {self._shape()}, got another operator")
            return self.operators[symbol](self.expression(node.left), self.expression(node.right))
        return self.call(node)

    def call(self, node: ast.expr) -> T:
        positional: list[ast.expr] = []
        named: list[ast.keyword] = []
        head = node
        if isinstance(node, ast.Call):
            head, positional, named = node.func, node.args, node.keywords
        if not isinstance(head, ast.Name):
            raise self.error(node, f"`{self.kind}` must be {self._shape()}, got `{ast.unparse(node)}`")
        cls = self.registry.get(head.id)
        if cls is None:
            raise UnknownName.of(self.kind, head.id, self.registry)
        return cls(**self.bind(head.id, cls, node, positional, named))

    def bind(
        self, name: str, cls: type, node: ast.expr, positional: list[ast.expr], named: list[ast.keyword]
    ) -> dict[str, Any]:
        entries = _arguments(cls)
        known = [_argument(entry) for entry in entries]
        types_of_fields = typing.get_type_hints(cls)
        hints = {_argument(entry): types_of_fields[entry.name] for entry in entries}
        if len(positional) > len(known):
            rule = f"`{name}` takes at most {len(known)} arguments ({', '.join(known) or 'none'})"
            raise self.error(positional[len(known)], f"{rule}, got {len(positional)}")
        given = list(zip(known, positional, strict=False))
        for item in named:
            if item.arg is None:
                raise self.error(item.value, f"`{name}` takes plain arguments only, got `**`")
            if item.arg not in known:
                raise self.error(item, self._unknown(name, item.arg, known))
            given.append((item.arg, item.value))
        values: dict[str, Any] = {}
        for argument, value in given:
            if argument in values:
                raise self.error(value, f"`{argument}` must be given once to `{name}`, got it twice")
            values[argument] = self.fit(argument, value, hints[argument])
        required = [_argument(entry) for entry in entries if _required(entry)]
        for argument in required:
            if argument not in values:
                raise self.error(node, f"`{name}` needs `{argument}`, got none: write {name}({', '.join(required)})")
        return values

    def fit(self, argument: str, node: ast.expr, hint: Any) -> Any:
        if any(isinstance(option, type) and self.holds(option) for option in _options(hint)):
            return self.call(node)
        value = self.value(node)
        for option in _options(hint):
            fitted = _fit(value, option)
            if fitted is not MISSING:
                return fitted
        expected = " or ".join(dict.fromkeys(_describe(option) for option in _options(hint)))
        raise self.error(node, f"`{argument}` must be {expected}, got {argument}={_format_value(value)}")

    def holds(self, option: type) -> bool:
        """Whether what the registry makes is of this type, as where one rule wraps another."""
        return any(issubclass(cls, option) for cls in self.registry.values()) and option is not object

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
            return node.value
        if isinstance(node, ast.Name):
            return _WORDS.get(node.id.lower(), node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            number = self.value(node.operand)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(item) for item in node.elts]
        raise self.error(node, f"an argument must be a number, a word or a list, got `{ast.unparse(node)}`")

    def error(self, node: ast.AST, problem: str) -> ParseError:
        # `ast` counts bytes, people count characters.
        start = getattr(node, "col_offset", 0)
        column = len(self.text.encode()[:start].decode(errors="ignore"))
        return ParseError.at(self.text, column, problem)

    def _shape(self) -> str:
        joined = f" joined by {' or '.join(self.operators)}" if self.operators else ""
        return f"written as name(argument=value, ...){joined}"

    @staticmethod
    def _unknown(name: str, argument: str, known: list[str]) -> str:
        near = get_close_matches(argument, known, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return f"`{argument}` is no argument of `{name}`: {hint}known: {', '.join(known) or 'none'}"


def _options(hint: Any) -> list[Any]:
    """The alternatives of a type: `int | float | None` has three."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        options = [option for part in typing.get_args(hint) for option in _options(part)]
        # Whole numbers first: 5 is an int wherever an int is allowed.
        return sorted(options, key=lambda option: option is float)
    return [hint]


def _fit(value: Any, option: Any) -> Any:
    """`value` as one of `option`, or MISSING when it is not. A whole number is a fine float; a float is no int."""
    origin = typing.get_origin(option)
    if origin is Literal:
        return next((word for word in typing.get_args(option) if word == value and type(word) is type(value)), MISSING)
    if origin in (tuple, list) and isinstance(value, list):
        inner = [part for part in typing.get_args(option) if part is not ...]
        items = [next((f for o in _options(inner[0]) if (f := _fit(v, o)) is not MISSING), MISSING) for v in value]
        return MISSING if any(item is MISSING for item in items) else origin(items)
    if option in (None, type(None)):
        return None if value is None else MISSING
    if option is float and type(value) in (int, float):
        return float(value)
    if option in (int, bool, str):
        return value if type(value) is option else MISSING
    return value if option is Any else MISSING


def _describe(option: Any) -> str:
    if typing.get_origin(option) is Literal:
        return " or ".join(map(str, typing.get_args(option)))
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", type(None): "None"}
    return names.get(option, "a list")
