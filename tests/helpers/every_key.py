"""Effects of config keys as a table: observe, change the key, observe again."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from yacs.config import CfgNode

from maskrcnn_benchmark.config import make_default_config


@dataclass(frozen=True)
class Case:
    """A key and its observable effect.

    Args:
        key: full name of the key.
        value: changed value.
        observe: builds something from a config and returns plain numbers and strings.
        before: observation without the change.
        after: observation with the change.
        given: other keys, set in both cases.
    """

    key: str
    value: Any
    observe: Callable[[CfgNode], Any]
    before: Any
    after: Any
    given: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.key}={self.value}-{self.observe.__name__}"

    def check(self, common: Mapping[str, Any] | None = None) -> None:
        """Observe without and with the change; ``common``: keys shared by all cases."""
        assert self.before != self.after, "this case cannot see whether the key is read"
        given = {**(common or {}), **self.given}
        before = self.observe(config_with(given))
        assert before == self.before, f"{self.key} as given: {before}"
        after = self.observe(config_with({**given, self.key: self.value}))
        assert after == self.after, f"{self.key} changed: {after}"


def config_with(options: Mapping[str, Any]) -> CfgNode:
    """Return the defaults with some keys set."""
    config = make_default_config()
    config.merge_from_list([part for pair in options.items() for part in pair])
    return config


def all_keys(node: CfgNode | None = None, prefix: str = "") -> Iterator[str]:
    """Yield the full name of every key; a user-defined section counts as one key."""
    for name, value in (make_default_config() if node is None else node).items():
        if isinstance(value, CfgNode) and len(value):
            yield from all_keys(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def assert_complete(
    keys: Iterable[str], cases: Iterable[Case], without_case: Mapping[str, str]
) -> None:
    """Require either a case or a reason for its absence for each key."""
    wanted, cased = set(keys), {case.key for case in cases}
    assert wanted - cased - set(without_case) == set(), "neither a case nor a reason"
    assert cased & set(without_case) == set(), "a case and a reason why there is none"
    assert (cased | set(without_case)) - wanted == set(), "no such key"
    assert all(without_case.values())
