"""One JSON line a figure, beside the limit measured in the same run and the budget it is held against."""

import json
import sys


def say(name: str, value: float, unit: str, must: str, limit: float | None = None, **more: object) -> None:
    """Print one figure."""
    line: dict[str, object] = {"name": name, "value": _short(value), "unit": unit, "must": must}
    if limit is not None:
        line["limit"] = _short(limit)
    line.update({key: _short(item) if isinstance(item, float) else item for key, item in more.items()})
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _short(value: float) -> float:
    return float(f"{value:.4g}")
