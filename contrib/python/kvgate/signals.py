"""What a server says of a namespace in the handshake: its promises, its limits and what it understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

__all__ = ["Signals"]


@dataclass(frozen=True, slots=True)
class Signals:
    """
    The answer to `kh`. Times are in microseconds and sizes in bytes, as the server gives them; 0 is no promise.

    The defaults stand for what a server does not tell. What it tells beyond these fields is in `others`.
    """

    namespace: str = ""
    prefix: str = ""
    item_separator: str = ""
    slo_read_target_us: int = 0
    slo_read_max_us: int = 0
    slo_write_target_us: int = 0
    slo_write_max_us: int = 0
    page_bytes: int = 2 << 20
    page_bytes_max: int = 16 << 20
    chunk_size: int = 1 << 20
    item_size_max: int = 64 << 20
    item_key_max: int = 1024
    id_max: int = 250
    keys_max: int = 1000
    put_items_max: int = 10_000
    mutate_max: int = 1000
    codecs: tuple[str, ...] = ()
    token_drift_ahead_us: int = 10_000_000
    token_drift_behind_us: int = 3600_000_000
    hedge: str = "off"
    hedge_budget_percent: float = 5.0
    atomic_across_records: bool = False
    others: Mapping[str, str] | None = None

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, str]) -> Signals:
        """From names and values as they were received. ValueError: a value is not of its kind."""
        known: dict[str, object] = {}
        others = {}
        for name, value in pairs.items():
            default = _DEFAULTS.get(name)
            if default is None:
                others[name] = value
            elif isinstance(default, bool):     # before int, of which bool is a kind
                known[name] = int(value) != 0
            elif isinstance(default, (int, float)):
                number = type(default)(value)
                if not 0 <= number < 1 << 63:       # nor is it nan
                    raise ValueError(f"{name} is {value[:40]}")
                known[name] = number
            elif isinstance(default, tuple):
                known[name] = tuple(word for word in value.split(",") if word not in ("", "none"))
            else:
                known[name] = value
        return cls(**known, others=others)      # type: ignore[arg-type]


_DEFAULTS = {field.name: field.default for field in fields(Signals) if field.name != "others"}
