"""yacs' ``CfgNode`` with lenient merging: numbers are converted, typos get a suggestion."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from yacs.config import CfgNode as YacsNode

from maskrcnn_benchmark.config.yaml_files import BASE_KEY, parse_yaml, read_with_bases

_SET_NAMES = "__set_names__"
_WIDER_TYPES = "__wider_types__"


class CfgNode(YacsNode):
    """A section of the configuration tree, with attribute access as in yacs.

    It differs from yacs in merging (from a YAML file, a list or another tree):

    * an int is accepted for a float key, and a float without fraction for an int key; a key may
      accept several types (``widen``);
    * all problems of a file are reported in one ``ValueError``, unknown keys with the nearest known
      one; nothing is merged if there is a problem;
    * a key registered with ``register_renamed_key`` is accepted under its old name;
    * a frozen tree also rejects merges;
    * the tree records which keys were set by the user (``is_set``).

    Args:
        init_dict: nested dictionary to start from.
        key_list: names from the root to this node, for messages of yacs.
        new_allowed: whether to accept keys that do not exist yet.
    """

    def __init__(
        self,
        init_dict: dict[str, Any] | None = None,
        key_list: list[str] | None = None,
        new_allowed: bool = False,
    ) -> None:
        super().__init__(init_dict, key_list, new_allowed)
        self.__dict__[_SET_NAMES] = set()
        self.__dict__[_WIDER_TYPES] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__[_SET_NAMES].add(name)

    def as_defaults(self) -> CfgNode:
        """Make the current values the defaults: mark all keys of this subtree as not set."""
        self.__dict__[_SET_NAMES].clear()
        for child in self.values():
            if isinstance(child, CfgNode):
                child.as_defaults()
        return self

    def set_default(self, key: str, value: Any) -> None:
        """Set ``key``, a full name relative to this node, without marking it as set."""
        *path, name = key.split(".")
        node = self
        for section in path:
            node = node[section]
        was_set = name in node.__dict__[_SET_NAMES]
        setattr(node, name, value)
        if not was_set:
            node.__dict__[_SET_NAMES].discard(name)

    def widen(self, name: str, *types: type) -> None:
        """Make key ``name`` of this node accept ``types`` in addition to its default's type."""
        self.__dict__[_WIDER_TYPES][name] = (type(self[name]), *types)

    def is_set(self, key: str) -> bool:
        """Return whether the user set ``key`` (for a section: anything in it).

        Args:
            key: full name relative to this node, such as ``"MODEL.DEVICE"``.

        Raises:
            ValueError: there is no such key.
        """
        node, name = self, key
        while "." in name:
            head, name = name.split(".", 1)
            node = node.get(head)
            if not isinstance(node, CfgNode):
                raise ValueError(self._unknown(key))
        if name not in node:
            raise ValueError(self._unknown(key))
        child = node[name]
        if isinstance(child, CfgNode):
            return any(child.is_set(below) for below in child)
        return name in node.__dict__[_SET_NAMES]

    def merge_from_file(self, cfg_filename: str | Path) -> None:
        """Merge a YAML file, after its base if it names one as ``_BASE_`` (relative to the file).

        Keys of the base count as set too. The name of a shipped config may be given as well.

        Raises:
            FileNotFoundError: there is no such file or shipped config, or no such base.
            ValueError: a file is not YAML, or has unknown keys or values of the wrong type, or
                the bases form a cycle.
        """
        layers = read_with_bases(cfg_filename)
        self._merge([(source, list(leaves(tree))) for source, tree in layers])

    def merge_from_text(self, text: str, *, source: str = "configuration text") -> None:
        """Merge YAML text, such as the output of ``dump()``; ``source`` names it in errors.

        ``_BASE_`` is not allowed, because text has no folder that a path could be relative to.
        """
        self._merge([(source, list(leaves(parse_yaml(text, source))))])

    def merge_from_other_cfg(self, cfg_other: Mapping[str, Any]) -> None:
        """Merge another tree; all its keys count as set."""
        self._merge([("the given configuration", list(leaves(cfg_other)))])

    def merge_from_list(self, cfg_list: Sequence[Any]) -> None:
        """Merge ``[key, value, key, value, ...]``, such as the trailing arguments of a command.

        Raises:
            ValueError: the list has an odd length, an unknown key or a value of the wrong type.
        """
        if len(cfg_list) % 2:
            raise ValueError(
                "options must be KEY VALUE pairs separated by spaces, such as "
                f"SOLVER.BASE_LR 0.01; got {' '.join(map(str, cfg_list))!r}"
            )
        flat: list[tuple[str, Any]] = []
        for key, raw in zip(cfg_list[0::2], cfg_list[1::2], strict=True):
            # a text that looks like a dictionary, such as JSON, stays a text where one is expected
            value = raw if isinstance(self._leaf(key), str) else _decoded_section(raw)
            flat += leaves({key: value})
        self._merge([("the options", flat)])

    def _leaf(self, key: str) -> Any:
        """Return the value of a key; None if there is no such key."""
        value: Any = self
        for name in key.split("."):
            value = value.get(name) if isinstance(value, CfgNode) else None
        return value

    def _merge(self, layers: list[tuple[str, list[tuple[str, Any]]]]) -> None:
        """Check all ``(full key, raw value)`` of all sources, then assign all in that order."""
        if self.is_frozen():
            source = layers[-1][0]
            raise AttributeError(f"{source} cannot be merged: the configuration is frozen")
        renamed = self.__dict__[YacsNode.RENAMED_KEYS]
        changes, messages = [], []
        for source, leaves in layers:
            problems = []
            for key, raw in leaves:
                try:
                    changes += self._change(renamed.get(key, key), raw)
                except ValueError as error:  # noqa: PERF203 - all problems at once
                    problems.append(str(error))
            if problems:
                messages.append(f"{source}: " + "\n  ".join(["", *problems]).strip())
        if messages:
            raise ValueError("\n".join(messages))
        for node, path, value in changes:
            node._assign(path, value)

    def _change(self, key: str, raw: Any) -> list[tuple[CfgNode, list[str], Any]]:
        """Resolve one leaf to a list of assignments: none (an empty section) or one."""
        node, path = self, key.split(".")
        if BASE_KEY in path:
            raise ValueError(
                f"{key} cannot be merged: {BASE_KEY} is a top-level key of a YAML file"
            )
        while len(path) > 1:
            child = node.get(path[0])
            if not isinstance(child, CfgNode):
                break
            node, path = child, path[1:]
        name = path[0]
        if node.is_new_allowed() and not (len(path) == 1 and isinstance(node.get(name), CfgNode)):
            return [(node, path, raw)]
        if len(path) > 1 or name not in node:
            raise ValueError(self._unknown(key))
        if not isinstance(node[name], CfgNode):
            types = node.__dict__[_WIDER_TYPES].get(name, (type(node[name]),))
            return [(node, path, _coerced(key, raw, types))]
        if raw is not None:
            raise ValueError(f"{key} is a section; it cannot be set to {raw!r}")
        return []

    def _assign(self, path: list[str], value: Any) -> None:
        """Set the value at ``path`` below this node and mark it as set; create missing sections."""
        node = self
        for name in path[:-1]:
            if name not in node:
                setattr(node, name, CfgNode(new_allowed=True))
            node = node[name]
        setattr(node, path[-1], value)

    def _unknown(self, key: str) -> str:
        """Return the error message for an unknown key, with the nearest known one."""
        known = [name for name, _ in leaves(self)]
        if not known:
            return f"unknown key {key}"
        leaf = key.rsplit(".", 1)[-1].upper()
        same_leaf = [name for name in known if name.rsplit(".", 1)[-1] == leaf]

        def likeness(name: str) -> float:
            return SequenceMatcher(None, name, key.upper()).ratio()

        return f"unknown key {key}; did you mean {max(same_leaf or known, key=likeness)}?"


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(full key, value)`` of every leaf of ``tree``."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _literal(text: str) -> Any:
    """Parse ``text`` as a Python literal; return it unchanged if it is not one."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _decoded_section(raw: Any) -> Any:
    """Parse a string that holds a dictionary; return everything else unchanged."""
    value = _literal(raw) if isinstance(raw, str) else raw
    return value if isinstance(value, Mapping) else raw


def _coerced(key: str, raw: Any, types: tuple[type, ...]) -> Any:
    """Convert a raw value (from YAML or the command line) to one of ``types``, or raise."""
    value = _literal(raw) if isinstance(raw, str) else raw
    if str in types and isinstance(raw, str):
        return value if isinstance(value, str) else raw
    if type(value) in types and not isinstance(value, tuple):
        return value
    if isinstance(value, list | tuple):
        for kind in (tuple, list):
            if kind in types:
                return _sequence(value, kind)
    if type(value) is int and float in types:
        return float(value)
    if isinstance(value, float) and value.is_integer() and int in types:
        return int(value)
    wanted = " or ".join(kind.__name__ for kind in types)
    hint = f"; write ({value!r},) for a tuple of one element" if tuple in types else ""
    hint = "; write it in quotes" if str in types else hint
    raise ValueError(f"{key} must be of type {wanted}, got {value!r}{hint}")


def _sequence(value: list[Any] | tuple[Any, ...], kind: type) -> Any:
    """Convert a list or tuple, including nested ones, to ``kind``."""
    return kind(_sequence(item, kind) if isinstance(item, list | tuple) else item for item in value)
