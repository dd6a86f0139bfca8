"""Say in plain words what the curves of a training run warn of. Pure."""

from collections.abc import Iterator

from detector.words import rate
from training.report.data import BudgetPoint, Epoch, ReportData

EARLY_EPOCHS = 3  # with fewer, the lowest loss in the last one says nothing
WORTHWHILE = 0.995  # of the lowest loss before; less of a fall is no reason to go on
OFF_BY = 2.0  # factor between what is asked for and what is expected


def cautions(data: ReportData) -> list[str]:
    """One sentence for each thing that a reader should doubt."""
    return [
        *_of_curves(data),
        *(_of_budget(point, data.per) for point in data.budgets if _is_off(point, data)),
    ]


def _of_curves(data: ReportData) -> Iterator[str]:
    losses = [epoch.validation_loss_bits for epoch in data.epochs]
    if len(losses) >= EARLY_EPOCHS and losses[-1] < WORTHWHILE * min(losses[:-1]):
        yield "The held-out loss was still falling in the last epoch: more epochs may help (--epochs)."
    clipped = sum(_is_clipped(epoch, data.gradient_clip) for epoch in data.epochs)
    if 2 * clipped > len(data.epochs):
        yield (
            f"The mean gradient norm was above the clip of {data.gradient_clip:g} in {clipped} of"
            f" {len(data.epochs)} epochs: most steps were shortened, a smaller learning rate may help."
        )


def _is_clipped(epoch: Epoch, clip: float) -> bool:
    return epoch.gradient_norm_mean > clip


def is_missed(point: BudgetPoint) -> bool:
    """Whether all that is to be expected lies far above what is asked for."""
    return point.low > OFF_BY * point.budget


def _is_off(point: BudgetPoint, data: ReportData) -> bool:
    is_said = point.budget == data.budget and is_missed(point)  # among the warnings of the fit
    return point.expected > OFF_BY * point.budget and not is_said


def _of_budget(point: BudgetPoint, per: str) -> str:
    return (
        f"A budget of {point.budget:g} {per} cannot be kept: held-out normal data gave"
        f" {rate(point.expected)}. More normal data would set the threshold better."
    )
