"""Registries: names that a config may give, and what each of them builds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any, TypeVar

Check = Callable[[Any], Iterable[str]]
Builder = TypeVar("Builder", bound=Callable[..., Any])
_SHOWN = 4  # names that an error suggests


def check_nothing(cfg: Any) -> Iterable[str]:
    """Return no problem: the check of an entry that takes every config."""
    del cfg
    return ()


@dataclass(frozen=True)
class Entry:
    """What is registered under a name.

    Attributes:
        build: what makes it, a function or a class.
        check: takes the whole config and yields what is wrong for this entry, a line each, which
            says the key, its value and what to set.
        facts: further values, those that the registry asks for.
    """

    build: Callable[..., Any]
    check: Check
    facts: Mapping[str, Any]


class Registry:
    """Builders by the name that a key of the config gives.

    ``@BACKBONES.register("my_body", strides=(16,))`` above a function registers it. A name that
    ends in a colon stands for all names that begin so, such as ``timm:resnet50`` for ``timm:``.

    Args:
        key: full name of the config's key, for messages; ``check`` and ``build`` look it up.
        facts: names of the keyword arguments that ``register`` needs besides ``check``.
    """

    def __init__(self, key: str, *, facts: Sequence[str] = ()) -> None:
        self.key = key
        self._facts = set(facts)
        self._entries: dict[str, Entry] = {}

    def register(
        self, *names: str, check: Check = check_nothing, **facts: Any
    ) -> Callable[[Builder], Builder]:
        """Return a decorator that registers a function or class under ``names``.

        Args:
            names: values of the key.
            check: see ``Entry``.
            facts: those that the registry was made with.

        Raises:
            TypeError: a fact is missing or unknown.
            ValueError: a name is taken by something else (the same code may be run again).
        """
        if set(facts) != self._facts:
            raise TypeError(
                f"{self.key}: register({', '.join(map(repr, names))}) needs the keyword arguments "
                f"{sorted(self._facts)}, got {sorted(facts)}"
            )

        def add(build: Builder) -> Builder:
            for name in names:
                other = self._entries.get(name)
                if other is not None and _place(other.build) != _place(build):
                    raise ValueError(
                        f"{self.key} {name!r} is {_place(other.build)} already: choose another "
                        f"name for {_place(build)}"
                    )
                self._entries[name] = Entry(build, check, facts)
            return build

        return add

    def names(self) -> list[str]:
        """Return all names, in the order of their registration."""
        return list(self._entries)

    def has(self, name: str) -> bool:
        """Return whether the name is registered."""
        return self._find(name) is not None

    def entry(self, name: str) -> Entry:
        """Return what is registered under a name.

        Raises:
            ValueError: nothing is; the message has the key, the name and the nearest known ones.
        """
        found = self._find(name)
        if found is not None:
            return found
        near = get_close_matches(name, self._entries, n=_SHOWN, cutoff=0.6)
        rest = [known for known in self._entries if known not in near]
        shown = [*near, *rest[: _SHOWN - len(near)]]
        more = ", ..." if len(shown) < len(self._entries) else ""
        raise ValueError(
            f"{self.key} is {name!r}, which is not registered; known are {', '.join(shown)}{more}. "
            "One of your own is registered by --import FILE, in Python by importing it"
        )

    def _find(self, name: str) -> Entry | None:
        family, colon, _ = name.partition(":")
        return self._entries.get(name, self._entries.get(family + colon))

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.entry(name).build

    def check(self, cfg: Any) -> Iterable[str]:
        """Yield what is wrong with the config for what the key names, a line each."""
        try:
            entry = self.entry(self._make_name(cfg))
        except ValueError as error:
            yield str(error)
            return
        yield from entry.check(cfg)

    def build(self, cfg: Any, *args: Any) -> Any:
        """Build what the key names; ``args`` follow the config.

        Raises:
            ValueError: the name is unknown.
        """
        return self[self._make_name(cfg)](cfg, *args)

    def _make_name(self, cfg: Any) -> str:
        return reduce(getattr, self.key.split("."), cfg)


def _place(build: Callable[..., Any]) -> str:
    return f"{build.__module__}.{build.__qualname__}"
