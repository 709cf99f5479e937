"""The checks of a GPU (tests/gpu), in small and on the CPU: that they run, and that they see a difference."""

from __future__ import annotations

import pytest

from tests.gpu import replays
from tests.gpu.__main__ import main


def test_in_small(capsys: pytest.CaptureFixture[str]):
    assert main(["--device", "cpu", "--quick", "replay", "generate"]) == 0
    assert "9 results, 0 different" in capsys.readouterr().out


def test_no_part_of_that_name(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--device", "cpu", "nothing"])
    assert "no part 'nothing'" in capsys.readouterr().err


def test_a_difference_is_an_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(replays.torch, "equal", lambda a, b: False)
    assert main(["--device", "cpu", "--quick", "replay"]) == 1
    assert "gcd: final residual of 394 tokens, bit for bit  DIFFERENT" in capsys.readouterr().out
