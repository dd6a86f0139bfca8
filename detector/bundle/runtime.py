"""onnxruntime with its telemetry off; nothing else imports it. Sets an environment variable.

From version 1.31 on it reports to its maker and keeps a database in the home of whoever runs it. That begins
when it is imported: `disable_telemetry_events` comes too late.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # noqa: TID251  (here alone)

__all__ = ["onnxruntime"]
