"""YAML as taskct reads it: numbers, texts, lists and mappings, and nothing that takes memory or time without end."""

import re
from typing import Any

import yaml

MAX_DEPTH = 32
"""Levels of lists and mappings within one another; settings have 4, and the arguments of a network a few more."""

MAX_VALUES = 100_000
"""Values of a file, with what its aliases stand for written out."""

MAX_DIGITS = 400
"""Of a number: the largest that computers hold as a fraction has 309."""

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}


class _Loader(yaml.SafeLoader):
    """PyYAML's YAML 1.1, except that 8e5 is a number as in YAML 1.2, and a date is text.

    What takes memory or time without end is refused before it is made: lists within lists, aliases of aliases.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """A node, no deeper than the limit."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            event = self.peek_event()  # type: ignore[no-untyped-call]  # as PyYAML has it
            raise _refused(f"lists and mappings stand more than {MAX_DEPTH} deep in one another", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The root of a document that is fit to be made."""
        node = super().get_single_node()
        if node is not None:
            _count(node, {})
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag in _TAGS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+|\d*\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _refused(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 - a node or an event
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _count(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Check a node and count its values, those of aliases again wherever they stand; 0 while it is counted."""
    if node in known:
        if not known[node]:
            raise _refused("an alias stands within what it names", node)
        return known[node]
    known[node] = 0
    if node.tag not in _TAGS:
        raise _refused(f"the tag {node.tag} is none of a setting; leave it out", node)
    inner: list[yaml.Node] = []
    match node:
        case yaml.MappingNode():
            _check_keys(node)
            inner = [one for pair in node.value for one in pair]
        case yaml.SequenceNode():
            inner = node.value
        case yaml.ScalarNode() if node.tag.endswith((":int", ":float")) and len(node.value) > MAX_DIGITS:
            raise _refused(f"a number of {len(node.value)} characters; give one of {MAX_DIGITS} at most", node)
    total = 1 + sum(_count(one, known) for one in inner)
    if total > MAX_VALUES:
        raise _refused(f"more than {MAX_VALUES} values, with what aliases stand for", node)
    known[node] = total
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    """Every name is text and stands once: YAML itself would take the last of two without a word."""
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise _refused("a list or a mapping stands where the name of a setting is due", key)
        if key.tag != "tag:yaml.org,2002:str":
            raise _refused(f"the name {key.value!r} is read as a number, a truth value or nothing; quote it", key)
        if key.value in seen:
            raise _refused(f"{key.value!r} stands on line {seen[key.value]} already; give it once", key)
        seen[key.value] = key.start_mark.line + 1


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - whatever the text holds
    """What a text holds; a yaml.YAMLError says that it is not YAML, or none that is fit for settings.

    >>> parse_yaml("[8e5, 0.25, hann]")
    [800000.0, 0.25, 'hann']
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # PyYAML raises what it likes where a tag does not fit: KeyError, ValueError, and more
        raise yaml.MarkedYAMLError(problem="a value does not fit its tag") from error


def what_is_wrong(error: yaml.YAMLError) -> str:
    r"""What is wrong with a text and on which line, as far as that is known.

    >>> try:
    ...     parse_yaml("a: 1\na: 2")
    ... except yaml.YAMLError as error:
    ...     what_is_wrong(error)
    " at line 2: 'a' stands on line 1 already; give it once"
    """
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" at line {mark.line + 1}" if mark is not None else ""
    return f"{where}: {problem[:200]}" if problem else where
