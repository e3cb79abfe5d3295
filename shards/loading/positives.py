"""Choose the image of a key view by metadata: another image of the query's study or patient (MedAug).

Vu et al. 2021, arXiv 2102.10663. Which image it is, is a pure function of (seed, epoch, sample_id): neither batch size
nor the number of ranks changes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from shards.loading.hashes import hash64
from shards.random_streams import RandomStream

Group = Literal["image", "study", "patient"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""Images that belong together, from the narrowest to the widest."""

_COLUMNS = {"study": ["patient_id", "study_id"], "patient": ["patient_id"]}


@dataclass(frozen=True)
class Positives:
    """Image of the key view, and images that batches tell apart.

    of: image: the query's own. study, patient: another image of the query's study or patient, where there is one.
    same_projection: of these, only images of the same projection, frontal or lateral. mask: images whose keys are no
    negatives of each other, by whose ids `TwoViewBatch.group_id` goes; None: those of `of`. It changes no view.
    """

    of: Group = "image"
    same_projection: bool = False
    mask: Group | None = None


OWN_IMAGE = Positives()
"""Both views are of one image, as in MoCo."""


def is_narrower(group: Group, other: Group) -> bool:
    """Tell whether a group of the first kind may leave out images that one of the other holds."""
    return GROUPS.index(group) < GROUPS.index(other)


def group_ids(rows: Sequence[pd.DataFrame], group: Group, *, same_projection: bool = False) -> npt.NDArray[np.int64]:
    """Compute the id of each image's group, int64 [N]: the smallest sample_id in it, in the rows' order.

    rows: of each dataset, as `dataset.samples` has them; patients of two datasets are two, whatever their names. So ids
    of groups are as distinct as those of samples. An image whose study, patient or projection is not known is a group
    of its own.
    """
    return np.concatenate([_ids_of_rows(part, group, same_projection=same_projection) for part in rows])


class GroupIds:
    """Ids of the groups of samples, by sample_id."""

    def __init__(self, rows: Sequence[pd.DataFrame], group: Group) -> None:
        ids = np.concatenate([part["sample_id"].to_numpy(np.int64) for part in rows])
        order = np.argsort(ids)
        self._samples, self._groups = ids[order], group_ids(rows, group)[order]

    def of(self, sample_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Look up the groups of samples, int64 [N] both."""
        return self._groups[np.searchsorted(self._samples, sample_ids)]


class Partners:
    """Other images of the same group, for the key views.

    found: number of usable images that have a usable partner. Quarantined images (not `usable`) are chosen by none.
    """

    def __init__(
        self, rows: Sequence[pd.DataFrame], positives: Positives, usable: npt.NDArray[np.bool_], seed: int
    ) -> None:
        """rows: of each dataset. usable: of each image, bool [N]."""
        groups = group_ids(rows, positives.of, same_projection=positives.same_projection)
        _, self._group, self._sizes = np.unique(groups, return_inverse=True, return_counts=True)
        self._members = np.argsort(self._group, kind="stable")  # places, group after group
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._ids = np.concatenate([part["sample_id"].to_numpy(np.int64) for part in rows]).astype(np.uint64)
        self._usable, self._seed = usable, seed
        together = np.bincount(self._group[usable], minlength=len(self._sizes))
        self.found = int((usable & (together[self._group] > 1)).sum())

    def of(self, epoch: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Choose the partner of each image in an epoch: places, int64 [N] both; the image itself where it has none.

        The first of its group in the order of a hash of (seed, epoch, its sample_id, the other's). One that is
        quarantined is passed over, so that the others' partners stay.
        """
        sizes = self._sizes[self._group[places]]
        row = np.repeat(np.arange(len(places)), sizes)
        begins = np.cumsum(sizes) - sizes
        candidates = self._members[self._starts[self._group[places]][row] + np.arange(len(row)) - begins[row]]
        anchors = places[row]
        rank = hash64(RandomStream.PARTNERS.number, self._seed, epoch, self._ids[anchors], self._ids[candidates])
        last = np.where(candidates == anchors, 1, np.where(self._usable[candidates], 0, 2))
        chosen: npt.NDArray[np.int64] = candidates[np.lexsort((rank, last, row))[begins]]
        return chosen


def _ids_of_rows(rows: pd.DataFrame, group: Group, *, same_projection: bool) -> npt.NDArray[np.int64]:
    ids = rows["sample_id"].to_numpy(np.int64)
    if group == "image" or not len(rows):
        return ids
    columns = [*_COLUMNS[group], *(["projection"] if same_projection else [])]
    number = rows.groupby(columns, sort=False, dropna=True).ngroup().fillna(-1).to_numpy(np.int64)
    # -1: one of them is not known
    known = number >= 0
    smallest = np.full(number.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(smallest, number[known], ids[known])
    return np.where(known, smallest[number] if len(smallest) else ids, ids)
