"""Print what an image installs beside the project: its dependencies, with onnxruntime for the CPU alone.

`python deploy/requirements.py cpu|cuda`: onnxruntime-gpu brings 250 MB of kernels that need CUDA.
"""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU = "onnxruntime"


def requirements(target: str) -> list[str]:
    """Requirements in pip's form, without versions: constraints.txt pins them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [one for one in project["dependencies"] if not one.startswith(CPU)]
    if target == "cuda":
        return [*needed, *project["optional-dependencies"]["gpu"]]
    return [*needed, CPU]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1])))
