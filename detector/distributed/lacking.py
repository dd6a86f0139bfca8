"""What a worker cannot do without, of which nobody has said anything. Pure."""

from detector.config import Settings


def lacking(settings: Settings) -> list[str]:
    """One line for everything that is missing."""
    return [
        f"{key} is not set: {what}"
        for key, is_set, what in (
            ("kafka.brokers", settings.kafka.brokers, 'name the brokers, such as ["kafka:9092"]'),
            ("kafka.topics", settings.kafka.topics, "name the topics that hold the lines"),
            (
                "redis.url",
                settings.redis.url,
                "name the Redis that keeps the states, such as redis://redis:6379",
            ),
        )
        if not is_set
    ]
