"""Say the main result in one sentence: the gain at the lowest label fraction with its interval, or why it is none.

The result is chosen by a fixed rule, never by its size: a test split, the mean over labels (or the only label), probes
before fine-tuning, the lowest fraction, the first dataset that has it, MoCo less ImageNet before MoCo less the first
result's reference before MoCo less any other.
"""

from collections.abc import Sequence

from evaluation.report.gains import MEAN, MOCO, GainRow, GainTable, is_imagenet
from evaluation.report.study import Result
from evaluation.report.text import estimate_text, excludes_zero, listed, p_value_text, percent, signed_text, split_name
from evaluation.report.weakness import weakness
from evaluation.statistics.remarks import unit_words
from evaluation.statistics.result import BootstrapResult, Difference

_METHODS = {"probe": "linear probes", "finetune": "fine-tuned networks"}

Pair = tuple[str, str]


def headline(tables: Sequence[GainTable], others: Sequence[Result], results: Sequence[Result]) -> str:
    """The sentence. others: results that are in no table of gains. results: all of them."""
    found = _main(tables)
    if found is not None:
        table, row, pair = found
        contents = {result.name: result.content for result in results}
        content = next(contents[name] for name in row.sources if name in contents)
        return _sentence(table, row, pair, content)
    if tables:
        return "No two arms are compared here yet, so there is no gain to report."
    compared = next((one for one in others if _compares(one.content)), None)
    if compared is not None:
        return _plain_sentence(compared)
    if results:
        return "The results here judge arms on their own: nothing is compared, so there is no gain to report."
    return "There is no result of a comparison in this folder yet, so there is no gain to report."


def _main(tables: Sequence[GainTable]) -> tuple[GainTable, GainRow, Pair] | None:
    """The row and the difference of the rule above; None where no row has a difference with a value."""
    found: list[tuple[GainTable, GainRow, Pair]] = []
    for table in sorted(tables, key=_rank):
        pairs = [(row, pair) for row in table.rows if (pair := _pair(row)) is not None]
        alike = [one for one in pairs if (one[0].label, one[0].method) == (pairs[0][0].label, pairs[0][0].method)]
        if alike:
            found.append((table, *min(alike, key=lambda one: one[0].fraction)))
    first = [one for one in found if _rank(one[0]) == _rank(found[0][0]) and one[1].method == found[0][1].method]
    return min(first, key=lambda one: one[1].fraction, default=None)


def _rank(table: GainTable) -> tuple[bool, bool]:
    """Test splits first, and datasets that were trained on their own labels."""
    return table.setting.split != "test", bool(table.setting.trained_on)


def _pair(row: GainRow) -> Pair | None:
    """The difference of MoCo from ImageNet, else from the reference, else from another, else any; only with a value."""
    pairs = [pair for pair, difference in row.differences.items() if difference.value is not None]
    pairs.sort(
        key=lambda pair: (not pair[0].startswith(MOCO), not is_imagenet(pair[1]), pair[1] != row.reference, pair)
    )
    return pairs[0] if pairs else None


def _sentence(table: GainTable, row: GainRow, pair: Pair, content: BootstrapResult) -> str:
    difference = row.differences[pair]
    measured = f"a mean AUROC over {len(row.classes)} labels" if row.label == MEAN else f"an AUROC for {row.label}"
    value, other = (estimate_text(row.arms[arm])[0] if arm in row.arms else "undefined" for arm in pair)
    facts = [_interval(difference, content), *_p_values(difference), f"{content.units:,} {unit_words(content.unit)}"]
    if row.trained:
        facts.append(row.trained)
    return (
        f"With {percent(row.fraction)} of the training labels, {_METHODS.get(row.method, row.method)} on {pair[0]} "
        f"weights reach {measured} of {value} on {_data(table)}, against {other} on {pair[1]} weights: "
        f"{_verdict(difference, row.weak, content.level, directed=True)} ({'; '.join(facts)})."
    )


def _data(table: GainTable) -> str:
    setting = table.setting
    where = f"the {split_name(setting.split)} split of {setting.dataset}"
    return where + (f" (trained on labels of {setting.trained_on})" if setting.trained_on else "")


def _verdict(difference: Difference, weak: str, level: float, *, directed: bool = False) -> str:
    """`a gain of +0.021`, or why it is none. directed: whether more is known to be better."""
    assert difference.value is not None
    shown = signed_text(difference.value)
    if weak:
        return f"a difference of {shown} that is too weakly supported to be judged, with {weak}"
    if difference.ci is None:
        return f"a difference of {shown} without an interval"
    if not excludes_zero(difference):
        return f"a difference of {shown} that is not clear of 0"
    kind = ("gain" if difference.value > 0 else "loss") if directed else "difference"
    if difference.holm_p_value is not None and difference.holm_p_value >= 1 - level:
        return f"a {kind} of {shown} by its own interval, which is not clear after Holm's correction"
    return f"a {kind} of {shown}"


def _interval(difference: Difference, content: BootstrapResult) -> str:
    if difference.ci is None:
        return "no interval"
    low, high = (signed_text(bound) for bound in difference.ci)
    return f"{100 * content.level:g} % interval {low} to {high}"


def _p_values(difference: Difference) -> list[str]:
    found = {"p": difference.p_value, "Holm's p": difference.holm_p_value}
    spelled = {name: p_value_text(value) for name, value in found.items() if value is not None}
    return [f"{name} {text}" if text.startswith("<") else f"{name} = {text}" for name, text in spelled.items()]


def _compares(content: BootstrapResult) -> bool:
    return any(one.value is not None for one in content.mean.differences.values())


def _plain_sentence(result: Result) -> str:
    """Of a result whose sidecars do not say what its arms are."""
    content = result.content
    arm, difference = next((arm, one) for arm, one in content.mean.differences.items() if one.value is not None)
    weak = weakness(content, content.mean)
    labels = listed(content.mean.labels)
    measured = f"on the mean of {labels}" if len(content.mean.labels) > 1 else f"for {labels}"
    facts = [_interval(difference, content), *_p_values(difference), f"{content.units:,} {unit_words(content.unit)}"]
    value, other = (estimate_text(content.mean.arms[name])[0] for name in (arm, str(content.reference)))
    return (
        f"In {result.name}, {arm} has {content.metric.upper()} {measured} of {value}, against {other} of "
        f"{content.reference}: {_verdict(difference, weak, content.level)} ({'; '.join(facts)}); no sidecar says what "
        "these arms are."
    )
