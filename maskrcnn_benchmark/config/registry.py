"""Registries, which map names in a config to builders."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from typing import Any, TypeVar

Check = Callable[[Any], Iterable[str]]
Builder = TypeVar("Builder", bound=Callable[..., Any])
_SHOWN = 4  # number of names that an error message suggests


def check_nothing(cfg: Any) -> Iterable[str]:
    """Return no problems; the check of an entry that accepts every config."""
    del cfg
    return ()


@dataclass(frozen=True)
class Entry:
    """A registered builder.

    Attributes:
        build: function or class that builds the part.
        check: takes the whole config and yields the problems for this entry, one line each with
            the key, its value and the fix.
        facts: the additional values of the registry.
    """

    build: Callable[..., Any]
    check: Check
    facts: Mapping[str, Any]


class Registry:
    """Builders by the names that a config key may have as its value.

    ``@BACKBONES.register("my_body", strides=(16,))`` above a function registers it. A name that
    ends in a colon matches all names with that prefix, for example ``timm:`` for ``timm:resnet50``.

    Args:
        key: full name of the config key, read by ``check`` and ``build``.
        facts: names of the keyword arguments that ``register`` requires in addition to ``check``.
        optional: keyword arguments that it may have besides, with their defaults.
    """

    def __init__(
        self, key: str, *, facts: Sequence[str] = (), optional: Mapping[str, Any] | None = None
    ) -> None:
        self.key = key
        self._facts = set(facts)
        self._optional = dict(optional or {})
        self._entries: dict[str, Entry] = {}

    def register(
        self, *names: str, check: Check = check_nothing, **facts: Any
    ) -> Callable[[Builder], Builder]:
        """Return a decorator that registers a function or class under ``names``.

        Args:
            names: values of the key.
            check: see ``Entry``.
            facts: the additional values that the registry requires.

        Raises:
            TypeError: a fact is missing or unknown.
            ValueError: a name is already registered for a different builder.
        """
        if set(facts) - set(self._optional) != self._facts:
            raise TypeError(
                f"{self.key}: register({', '.join(map(repr, names))}) needs the keyword arguments "
                f"{sorted(self._facts)}, got {sorted(facts)}"
            )

        def add(build: Builder) -> Builder:
            for name in names:
                other = self._entries.get(name)
                if other is not None and _place(other.build) != _place(build):
                    raise ValueError(
                        f"{self.key} {name!r} is already registered for {_place(other.build)}: "
                        f"choose another name for {_place(build)}"
                    )
                self._entries[name] = Entry(build, check, self._optional | facts)
            return build

        return add

    def names(self) -> list[str]:
        """Return all names in order of registration."""
        return list(self._entries)

    def has(self, name: str) -> bool:
        """Return whether the name is registered."""
        return self._find(name) is not None

    def entry(self, name: str) -> Entry:
        """Return the entry registered under a name.

        Raises:
            ValueError: the name is unknown; the message has the key and the nearest known names.
        """
        found = self._find(name)
        if found is not None:
            return found
        near = get_close_matches(name, self._entries, n=_SHOWN, cutoff=0.6)
        rest = [known for known in self._entries if known not in near]
        shown = [*near, *rest[: _SHOWN - len(near)]]
        more = ", ..." if len(shown) < len(self._entries) else ""
        raise ValueError(
            f"{self.key} is {name!r}, which is not registered; known: {', '.join(shown)}{more}. "
            "To register your own, use --import FILE, or in Python import its module"
        )

    def optional_fact(self, name: str, fact: str) -> Any:
        """Return an optional value of an entry; its default for a name that is not registered."""
        found = self._find(name)
        return self._optional[fact] if found is None else found.facts[fact]

    def _find(self, name: str) -> Entry | None:
        family, colon, _ = name.partition(":")
        return self._entries.get(name, self._entries.get(family + colon))

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.entry(name).build

    def check(self, cfg: Any) -> Iterable[str]:
        """Yield the problems of the config for the entry that the key names, one line each."""
        try:
            entry = self.entry(self._make_name(cfg))
        except ValueError as error:
            yield str(error)
            return
        yield from entry.check(cfg)

    def build(self, cfg: Any, *args: Any) -> Any:
        """Call the builder that the key names with the config and ``args``.

        Raises:
            ValueError: the name is unknown.
        """
        return self[self._make_name(cfg)](cfg, *args)

    def _make_name(self, cfg: Any) -> str:
        return reduce(getattr, self.key.split("."), cfg)


def _place(build: Callable[..., Any]) -> str:
    return f"{build.__module__}.{build.__qualname__}"
