"""What commands print of texts from elsewhere does nothing to a terminal."""

from __future__ import annotations

import pytest

from nunatak.cli.talk import plain, table


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    assert plain("node\x1b[2J\r1\x9b\x07 is drained\nµ 5 °C\u202e") == "node?[2J?1?? is drained\nµ 5 °C?"


def test_tables_stay_tables(capsys: pytest.CaptureFixture[str]) -> None:
    table(("node", "health"), [("here/\x1b]0;x\x07n1", "fine")])
    assert capsys.readouterr().out.splitlines() == ["node           health", "here/?]0;x?n1  fine"]
