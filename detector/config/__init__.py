"""The configuration: one TOML file, overridden by the environment, checked as a whole.

`options` says what there is, `load` reads it, `reference` writes it down. Importing this package
costs a tenth of a second, so commands import it when they run, not when they are listed.
"""

from detector.config.load import DEFAULT_FILE, load, look
from detector.config.options import (
    Alerts,
    Batch,
    BundleAt,
    Input,
    Jsonl,
    KafkaAt,
    KafkaTopic,
    Log,
    Receivers,
    RedisAt,
    Settings,
    StateAt,
    Web,
    Webhook,
)

__all__ = [
    "DEFAULT_FILE",
    "Alerts",
    "Batch",
    "BundleAt",
    "Input",
    "Jsonl",
    "KafkaAt",
    "KafkaTopic",
    "Log",
    "Receivers",
    "RedisAt",
    "Settings",
    "StateAt",
    "Web",
    "Webhook",
    "load",
    "look",
]
