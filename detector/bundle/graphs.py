"""The ONNX graphs of a bundle, bound to the runtime. No I/O."""

from typing import Any

import numpy as np
import numpy.typing as npt

EXPECTED = 5  # alternatives that the step graph names for an event

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_STEP_OUTPUTS = ["surprise", "entropy", "hidden_out"]
_EXPECTED_OUTPUTS = ["expected_tokens", "expected_probability"]
_OTHER_FILE = b"location"  # of TensorProto.external_data


class StepModel:
    """The recurrent step graph. Scores events against the state before them and advances that state."""

    def __init__(self, graph: bytes) -> None:
        """Open the graph on one CPU thread, where any cut into batches gives the same bits."""
        self._session, self._light, self._full = _open(graph)
        self.hidden_size = int(self._session.get_inputs()[2].shape[1])

    def run(
        self, tokens: Ints, lengths: npt.NDArray[np.int32], hidden: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Surprise and entropy in bits [T,B] and the new hidden state [B,S], from tokens [T,B]."""
        feed = {"tokens": tokens, "lengths": lengths, "hidden": hidden}
        surprise, entropy, hidden_out = self._session.run(_STEP_OUTPUTS, feed, self._light)
        return surprise, entropy, hidden_out

    def expected(self, tokens: Ints, hidden: Floats) -> tuple[list[int], list[float]]:
        """The likeliest tokens in place of the last of `tokens` [T], with probabilities."""
        feed = {
            "tokens": tokens[:, None],
            "lengths": np.array([len(tokens)], np.int32),
            "hidden": hidden[None, :],
        }
        likely, probability = self._session.run(_EXPECTED_OUTPUTS, feed, self._full)
        return likely[-1, 0].tolist(), probability[-1, 0].tolist()


class EndingModel:
    """The count density of closed sessions."""

    def __init__(self, graph: bytes) -> None:
        """Open the graph on one CPU thread."""
        self._session, self._light, _ = _open(graph)

    def run(self, counts: Floats) -> tuple[Floats, Floats]:
        """Sum and maximum over the slots of -ln P(count), each [B], from counts [B,64]."""
        total, largest = self._session.run(["c", "c_max"], {"counts": counts}, self._light)
        return total, largest


class ReaderModel:
    """The second reader of closed sessions."""

    def __init__(self, graph: bytes) -> None:
        """Open the graph on one CPU thread."""
        self._session, self._light, _ = _open(graph)

    def run(self, tokens: Ints) -> tuple[float, Floats]:
        """How strange one session is, and where attention went [T], from its tokens [T] with the end.

        One at a time: so a session's verdict keeps its bits whatever is closed beside it.
        """
        verdict, attention = self._session.run(["verdict", "attention"], {"tokens": tokens}, self._light)
        return float(verdict[0]), attention


def _open(graph: bytes) -> tuple[Any, Any, Any]:
    from detector.bundle.runtime import onnxruntime as ort  # noqa: PLC0415  (0.1 s that --help must not pay)

    # The runtime would read any file, also by way of `..`. A tensor names its file under this key, and bytes
    # of a string lie together in a graph; nothing that training writes holds the word.
    if _OTHER_FILE in graph:
        raise ValueError("its data lie in other files")
    options = ort.SessionOptions()
    options.add_session_config_entry(
        "session.load_model_format", "ONNX"
    )  # its other format is not looked into
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    light, full = ort.RunOptions(), ort.RunOptions()
    light.only_execute_path_to_fetches = True
    full.only_execute_path_to_fetches = True
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), light, full
