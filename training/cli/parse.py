"""`tailrace-train parse`: learn templates from files and print what every line is. Reads files."""

from detector.cli.options import ConfigFile, InputOptions, Inputs
from training.cli.extra import need_training_extra


def parse(
    files: Inputs,
    /,
    *,
    options: InputOptions = InputOptions(),  # noqa: B008  (frozen)
    config: ConfigFile = None,
) -> None:
    """Learn templates and print what every line is, as JSON; needs no bundle.

    Example: tailrace-train parse app.log
    """
    need_training_extra()
    from detector.bundle import InputSettings  # noqa: PLC0415  # heavy, and --help need not wait
    from detector.cli.parse import write_parsed  # noqa: PLC0415
    from detector.cli.start import input_overrides, read_settings, warn  # noqa: PLC0415
    from detector.inputs.paths import find  # noqa: PLC0415
    from detector.inputs.read import read_feed  # noqa: PLC0415
    from detector.shard.core import explain_by  # noqa: PLC0415
    from detector.shard.dating import Dating  # noqa: PLC0415
    from detector.shard.intake import Intake  # noqa: PLC0415
    from detector.shard.reader import Bounds, Reader  # noqa: PLC0415
    from detector.stages.parse.parse import Parser  # noqa: PLC0415
    from training.cli.progress import Shown  # noqa: PLC0415
    from training.cli.readable_twice import readable_twice  # noqa: PLC0415
    from training.corpus import learn  # noqa: PLC0415

    settings, paths = read_settings(config), find(files, warn)
    bounds = Bounds(settings.input.max_line_bytes, settings.input.max_future_s)
    wanted = InputSettings(**input_overrides(settings, options))  # type: ignore[arg-type]
    with readable_twice(paths):
        with Shown(paths, 1) as shown:
            learnt = learn(paths, wanted, bounds, shown.told)
        parser = Parser(learnt.vocabulary.without_codes())
        dating = Dating(learnt.input, learnt.headers, bounds)
        intake = Intake(Reader(learnt.input, learnt.headers, bounds, dating.latest_us), parser)
        feeds = {
            feed.origin: read_feed(feed, max_line_bytes=bounds.max_line_bytes) for feed in dating.feeds(paths)
        }
        write_parsed(intake, feeds, explain_by(parser))
