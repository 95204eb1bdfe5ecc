"""What a member has to pass on: each update goes along with a bounded number of messages."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.gossip.membership.swim.messages import Update


@dataclass
class _Item:
    update: Update
    sent: int = 0


class News:
    """Updates that still spread; the newest of each member alone."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}

    def __len__(self) -> int:
        """How many members there is news of."""
        return len(self._items)

    def add(self, update: Update) -> None:
        """Takes news of a member; what was told of it before is forgotten."""
        self._items.pop(update.member, None)
        self._items[update.member] = _Item(update)

    def take(
        self, most: int, transmissions: int, first: Update | None = None
    ) -> tuple[Update, ...]:
        """Chooses what goes along with a message: what was sent least, then what came last.

        Args:
          most: how many.
          transmissions: how often each is sent.
          first: goes along in any case, whether it still spreads or not.
        """
        if not self._items:
            return () if first is None else (first,)
        items = [*reversed(self._items.values())]
        items.sort(key=lambda item: item.sent)
        chosen = [] if first is None else [first]
        for item in items:
            if len(chosen) >= most:
                break
            if first is not None and item.update.member == first.member:
                continue
            chosen.append(item.update)
            item.sent += 1
            if item.sent >= transmissions:
                del self._items[item.update.member]
        return tuple(chosen)
