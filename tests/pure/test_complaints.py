"""What is wrong with a value is said in our words, whatever pydantic calls it."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nunatak.core.complaints import complaint


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    priority: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    jobs: Annotated[int, Field(ge=1)] = 1
    name: Annotated[str, Field(max_length=1)] = ""
    verb: Literal["hold", "release"] = "hold"
    of: Annotated[list[int], Field(min_length=2)] = [1, 2]
    code: Annotated[str, Field(pattern="^a")] = "a"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"priority": 0.0}, "must be more than 0"),
        ({"priority": 2e6}, "must be at most 1000000"),
        ({"priority": float("inf")}, "must be a finite number"),
        ({"priority": "high"}, "must be a number"),
        ({"jobs": 0}, "must be at least 1"),
        ({"jobs": 1.5}, "must be a whole number"),
        ({"name": "ab"}, "must have at most 1 character"),
        ({"name": 1}, "must be text"),
        ({"verb": "burn"}, "must be one of 'hold' or 'release'"),
        ({"of": [1]}, "must have at least 2 items"),
        ({"of": 1}, "must be a list"),
        ({"code": "b"}, "is not written as it has to be: it has to match ^a"),
        ({"jbos": 1}, "is not known here"),
    ],
)
def test_each_is_said_in_our_words(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(given)
    assert [complaint(item) for item in caught.value.errors()] == [said]


def test_what_is_not_known_is_said_as_it_is() -> None:
    assert complaint({"type": "value_error", "msg": "Value error, no such port"}) == "no such port"
    assert complaint({"type": "enum", "msg": "Input is odd", "ctx": {}}) == "Input is odd"
