"""`tailrace worker`: read Kafka and alert. The work is in `working`, which --help need not wait for."""

from detector.cli.options import ConfigFile


def worker(*, config: ConfigFile = None) -> int:
    """Read logs from Kafka, keep states in Redis, and alert on what is not as it was in training.

    Everything comes from the configuration: [kafka], [redis], bundle.path. Start more of them with the same
    kafka.group to share the work.

    Example: tailrace worker --config tailrace.toml

    Raises:
        BadSetup: with everything that the configuration lacks.
    """
    from detector.cli.options import InputOptions  # noqa: PLC0415
    from detector.cli.receivers import receivers_of  # noqa: PLC0415  # heavy: --help need not wait
    from detector.cli.refusals import of_receivers, of_servers, refuse  # noqa: PLC0415
    from detector.cli.start import core_of, read_settings  # noqa: PLC0415
    from detector.cli.working import run  # noqa: PLC0415

    settings = read_settings(config)
    refuse(dict.fromkeys([*of_receivers(settings), *of_servers(settings)]))
    topics = [f"kafka://{topic}" for topic in settings.kafka.topics]
    want_scores = settings.kafka.scores_topic is not None
    core = core_of(settings, None, InputOptions(), topics, want_scores=want_scores, config=config)
    return run(settings, core, receivers_of(settings, None))
