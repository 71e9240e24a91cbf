"""Bounds on what a chat template may spend, so that a hostile one neither runs for ever nor eats all memory.

Rule: work is counted where it happens. Every round of a loop, every call and every filter is a step; every character
that is joined, shown or passed to a filter is counted before it is copied; what could make a large value out of a
small one (repetition, padding, widths, powers) is refused. The template's syntax tree is rewritten so that loops,
`~`, output and literals report themselves.
"""

import functools
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jinja2
from jinja2 import nodes, sandbox
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

STEPS = 200_000
CHARACTERS = 64_000_000
WIDEST = 1_000
LARGEST = 10**30

_STRUCTURAL = re.compile(
    "abs|attr|count|d|default|dictsort|first|float|groupby|int|items|last|length|list|map|max|min|reject|rejectattr"
    "|reverse|round|select|selectattr|sort|unique"
)
_LEFT_OUT = ("batch", "center", "filesizeformat", "pprint", "random", "slice", "sum", "urlize", "wordwrap", "xmlattr")
COUNTERS = ("step", "shown", "made", "sized", "joined")
_PADDING = frozenset(("center", "ljust", "rjust", "zfill", "expandtabs", "translate"))
_WIDE = re.compile(r"\d{4,}|\*|\{[^{}]*\{")


class Spent(jinja2.TemplateRuntimeError):
    """The template used up what it may spend."""


class BoundedEnvironment(sandbox.ImmutableSandboxedEnvironment):
    """A sandbox that counts. `grant` gives the thread that is about to render its budget."""

    intercepted_binops = frozenset("+*%") | {"**"}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._left = threading.local()
        for name in ("lipsum", "cycler", "joiner"):
            del self.globals[name]
        for name in _LEFT_OUT:
            del self.filters[name]
        self.globals["dict"] = lambda *args, **kwargs: self.made(dict(*args, **kwargs))
        for name, function in self.filters.items():
            self.filters[name] = self.counted(name, function)
        for name, function in self.tests.items():
            self.tests[name] = self._sized_test(function)
        self.filters["join"] = self._join
        for name in COUNTERS:
            self.filters[name] = self._counter(getattr(self, name))

    def bounded(self, source: str) -> jinja2.Template:
        """Compile `source` with its counters. Raises jinja2.TemplateSyntaxError."""
        return self.from_string(_Counters().visit(self.parse(source)))

    def grant(self, given: int) -> None:
        """A fresh budget for one rendering of `given` characters."""
        self._left.steps, self._left.characters = STEPS + 4 * given, CHARACTERS + 100 * given

    def step(self, count: int = 1) -> bool:
        """One round or call. Raises Spent at the end of the budget."""
        self._left.steps = left = getattr(self._left, "steps", STEPS) - count
        if left < 0:
            raise Spent("it does not come to an end")
        return True

    def characters(self, count: int) -> None:
        """`count` characters are about to be copied. Raises Spent at the end of the budget."""
        self._left.characters = left = getattr(self._left, "characters", CHARACTERS) - count
        if left < 0:
            raise Spent("it makes too much text")

    def weigh(self, value: Any) -> None:
        """Count what `value` has as text, all the way down. Raises Spent for values that have none."""
        for leaf in (value,) if isinstance(value, str) else _leaves(value):
            self.step()
            if isinstance(leaf, str):
                self.characters(len(leaf))
            elif not (leaf is None or isinstance(leaf, int | float | jinja2.Undefined)):
                raise Spent(f"it shows a {type(leaf).__name__}")

    def shown(self, value: Any) -> Any:
        """An expression of the output."""
        self.weigh(value)
        return value

    def made(self, value: Any) -> Any:
        """A list, tuple or mapping that the template made."""
        for _ in _leaves(value):
            self.step()
        return value

    def sized(self, value: Any) -> Any:
        """A value that is compared or cut."""
        self.characters(_length(value))
        return value

    def joined(self, values: list[Any]) -> str:
        """`a ~ b ~ …`."""
        for value in values:
            self.weigh(value)
        return "".join(map(str, values))

    def _counter(self, function: Callable[[Any], Any]) -> Callable[..., Any]:
        """A counter as a filter, the cheapest call there is; one that takes a context is never run beforehand."""

        @jinja2.pass_context
        def counter(context: Context, value: Any) -> Any:
            return function(value)

        return counter

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that counts what it is given and what it gives."""

        @functools.wraps(function)
        def filtered(*args: Any, **kwargs: Any) -> Any:
            self._count_filter(name, args, kwargs)
            return function(*args, **kwargs)

        return filtered

    def _count_filter(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        own = [arg for arg in args if not isinstance(arg, jinja2.Environment | Context | nodes.EvalContext)]
        value, *others = own or [None]
        if _STRUCTURAL.fullmatch(name):
            self.step(1 + (len(value) if hasattr(value, "__len__") else 0))
            return
        self._refuse_wide([*others, *kwargs.values()])
        if name == "format":
            self._count_pattern(value, [others, kwargs])
        self.step()
        self.weigh([leaf for leaf in _leaves([own, kwargs]) if isinstance(leaf, str)])
        if name == "replace" and len(others) >= 2:
            self.characters(str(value).count(str(others[0])) * len(str(others[1])))
        if name == "indent":
            self.characters(str(value).count("\n") * WIDEST)

    def _join(self, value: Any, d: str = "", attribute: str | None = None) -> str:
        """The `join` filter."""
        items = [self.getattr(item, attribute) if attribute else item for item in value]
        self.weigh(items)
        self.characters(len(items) * len(d))
        return d.join(map(str, items))

    def _sized_test(self, function: Any) -> Callable[..., Any]:
        @functools.wraps(function)
        def tested(*args: Any, **kwargs: Any) -> Any:
            for each in args:
                self.sized(each)
            return function(*args, **kwargs)

        return tested

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        __self._count_call(__obj, getattr(__obj, "__self__", None), args)
        return super().call(__context, __obj, *args, **kwargs)

    def _count_call(self, function: Any, owner: Any, args: tuple[Any, ...]) -> None:
        self.step()
        if not isinstance(owner, str):
            return
        name = function.__name__
        if name in _PADDING:
            raise Spent(f"it pads text with {name}")
        self.characters(len(owner))
        if name == "replace" and len(args) >= 2:
            self.characters(owner.count(str(args[0])) * len(str(args[1])))
        if name == "join" and args:
            pieces = list(args[0])
            self.weigh(pieces)
            self.characters(len(pieces) * len(owner))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        inner = super().wrap_str_format(value)
        if inner is None:
            return None

        def formatted(*args: Any, **kwargs: Any) -> str:
            self._count_pattern(value.__self__, [args, kwargs])
            return inner(*args, **kwargs)

        return formatted

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str):
            self._count_pattern(left, right)
        elif operator == "+":
            self.characters(_length(left) + _length(right))
        elif operator in ("*", "**"):
            self._count_product(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def _count_product(self, operator: str, left: Any, right: Any) -> None:
        if operator == "**" and isinstance(right, int | float) and abs(right) > 64:
            raise Spent("it raises to a high power")
        if any(isinstance(side, int) and abs(side) > LARGEST for side in (left, right)):
            raise Spent("it makes too large a number")
        for value, times in ((left, right), (right, left)):
            if isinstance(times, int):
                self.characters(_length(value) * max(0, times))

    def _refuse_wide(self, arguments: list[Any]) -> None:
        if any(isinstance(each, int) and abs(each) > WIDEST for each in arguments):
            raise Spent("it asks for too wide a text")

    def _count_pattern(self, pattern: Any, arguments: Any) -> None:
        """Text put into the places of a pattern, each of which might show the longest of the arguments."""
        if _WIDE.search(str(pattern)):
            raise Spent("it asks for too wide a text")
        self.weigh(arguments)
        longest = max((len(leaf) for leaf in _leaves(arguments) if isinstance(leaf, str)), default=0)
        self.characters(len(re.findall(r"[%{]", str(pattern))) * longest)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | range | dict) else 0


def _leaves(value: Any) -> Iterator[Any]:
    """Everything inside lists and mappings, keys too."""
    if isinstance(value, dict):
        yield from _leaves([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


class _Counters(NodeTransformer):
    """Puts the counters into a syntax tree."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_counted("step", nodes.Const(_weight(node.body))), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(_counted("step", nodes.Const(1)), node.test)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_counted("step", nodes.Const(_weight(node.body))), lineno=node.lineno))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [each if isinstance(each, nodes.TemplateData) else _counted("shown", each) for each in node.nodes]
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _counted("joined", nodes.List(node.nodes))

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _counted("made", node) if node.items else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _counted("made", node) if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _counted("made", node) if node.ctx == "load" and node.items else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _counted("sized", node.node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _sized(node.expr)
        for operand in node.ops:
            operand.expr = _sized(operand.expr)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.name in ("varargs", "kwargs"):
            raise jinja2.TemplateSyntaxError(f"{node.name} is not offered to chat templates", node.lineno)
        return node


def _counted(name: str, value: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None)


def _sized(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _counted("sized", node)


def _weight(body: list[nodes.Node]) -> int:
    """Steps of one round: one, and one more for every thousand characters that it writes anyway."""
    literal = sum(len(data.data) for node in body for data in node.find_all(nodes.TemplateData))
    return 1 + literal // 1000
