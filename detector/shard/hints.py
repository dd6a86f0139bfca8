"""Tell people, once each, what lines that do not fit the bundle or the options most likely mean. Logs."""

from typing import Final

import structlog

from detector.shard.intake import Intake

_log: Final = structlog.get_logger()


class Hints:
    """What has been said of one input so far."""

    def __init__(self) -> None:
        """Nothing has been said."""
        self._named = self._strange = self._traced = False

    def tell(self, intake: Intake, *, whole: bool) -> None:
        """Look at what was taken in; `whole` where nothing follows."""
        if not self._named and (unnamed := intake.unnamed(whole=whole)):
            self._named = True
            _log.warning("no line names its source", hint=unnamed)
        if not self._strange and (strange := intake.strange(whole=whole)):
            self._strange = True
            _log.warning("not the log that was learnt", hint=strange)
        if not self._traced and (untraced := intake.untraced(whole=whole)):
            self._traced = True
            _log.warning("no line names a trace", hint=untraced)
