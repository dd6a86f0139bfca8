"""What scoring holds beyond the pipeline's tests: bounds on what one call of the model takes."""

from pathlib import Path

import numpy as np
import pytest

from detector.bundle import Floats, Ints, StepModel
from detector.stages.score import score as scoring
from detector.stages.score.score import LONGEST_RUN, expected, score_rows
from detector.stages.surprise import Row
from tests.small_bundle import TEMPLATES, small_bundle


class Measured(StepModel):
    """A model that notes how many steps it was given at once."""

    longest = 0

    def run(
        self, tokens: Ints, lengths: np.ndarray[tuple[int], np.dtype[np.int32]], hidden: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Run it."""
        self.longest = max(self.longest, len(tokens))
        return super().run(tokens, lengths, hidden)

    def expected(self, tokens: Ints, hidden: Floats) -> tuple[list[int], list[float]]:
        """Run it."""
        self.longest = max(self.longest, len(tokens))
        return super().expected(tokens, hidden)


@pytest.mark.parametrize("index", [0, LONGEST_RUN - 1, LONGEST_RUN, 4 * LONGEST_RUN + 7])
def test_what_was_expected_late_in_a_long_row_is_found_in_bounded_runs(
    tmp_path: Path, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as in one run, however long the row is."""
    small_bundle(tmp_path, session=False)
    step = Measured((tmp_path / "model.onnx").read_bytes())
    tokens = (np.arange(5 * LONGEST_RUN) ** 2 % TEMPLATES + 2).tolist()
    row = Row(tokens, np.zeros(step.hidden_size, np.float32), 0)
    [score] = score_rows(step, [row], hold_bits=4.1)
    assert score.held
    found = expected(step, row, score, index)
    assert step.longest <= LONGEST_RUN
    monkeypatch.setattr(scoring, "LONGEST_RUN", 10 * LONGEST_RUN)
    assert expected(step, row, score, index) == found
