"""What of the configuration a program reads, and where it starts from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from probe.errors import UserError


@dataclass(frozen=True)
class Frame:
    """The part of the configuration that a program reads; a run reads all of it.

    Attributes
    ----------
    idle : mapping of str to str
        Groups and keys that it does not read, each with what to give instead, or ""; `init=` is
        the choice of that group's option, but not its other keys.
    defaults : sequence of str
        Words that stand before those of the command line, where it does not name the same key.
    """

    idle: Mapping[str, str] = field(default_factory=dict)
    defaults: Sequence[str] = ()

    def reads(self, name: str) -> bool:
        """Whether a key, or a group's every key, is read."""
        return not any(name == idle or name.startswith(f"{idle}.") for idle in self.idle)

    def refuse(self, names: Collection[str]) -> None:
        """Refuse typed keys, or options of groups, that change nothing.

        Raises
        ------
        UserError
            For the first of them.
        """
        for name in names:
            for idle, instead in self.idle.items():
                if idle in (name, f"{name}=") or name.startswith(f"{idle}."):
                    hint = f"; {instead}" if instead else ""
                    raise UserError(f"{name} has no effect here, leave it out{hint}")

    def words(self, typed: Sequence[str]) -> list[str]:
        """Return the words of a command line behind the defaults that it does not replace."""
        named = {_name(word) for word in typed}
        return [*(word for word in self.defaults if _name(word) not in named), *typed]


def _name(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
