"""Each archive as its reader expects it, a few rows of each kind: what tests that run over all readers start from."""

from collections.abc import Callable
from pathlib import Path

from ingest.archives.chexpert_labels import LABELS
from tests.ingest.archives import archives_made as archives
from tests.ingest.archives.layouts import jpeg, write_chexpert, write_csv, write_shenzhen

_DICOM_ID = "{:08x}-00000000-00000000-00000000-00000001"


def _nih(root: Path) -> None:
    labels = ("Cardiomegaly|Effusion", "No Finding", "Hernia", "Mass|Nodule")
    rows = [
        archives.nih_row(f"{n // 2 + 20017:08d}_{n % 2:03d}.png", labels[n % 4], f"{n + 30:03d}Y") for n in range(8)
    ]
    archives.write_nih(root, rows, test=[line[0] for line in rows[6:]])


def _mimic(root: Path) -> None:
    views, splits = ("PA", "LATERAL", "AP", ""), ("train", "train", "validate", "test")
    images = [
        (_DICOM_ID.format(n), str(10000001 + n // 2), str(50000001 + n // 2), views[n % 4], splits[n // 2])
        for n in range(8)
    ]
    labels = [[str(10000001 + n), str(50000001 + n), "1.0", "", "-1.0", "0.0"] for n in range(3)]
    archives.write_mimic(root, images, labels)


def _padchest(root: Path) -> None:
    labels = ("['pneumonia', 'unchanged']", "['normal']", "['pleural effusion', 'goiter']", "[]")
    rows = [archives.padchest_row(f"{n}_00-{n}.png", labels[n % 4], f"p{n // 2}", str(n % 3)) for n in range(8)]
    archives.write_padchest(root, rows)


def _vindr(root: Path) -> None:
    train = [(f"{n:032x}", f"R{r}", {"Edema": str(int(n + r > 3))}) for n in range(6) for r in range(3)]
    archives.write_vindr(root, train, [(f"{n:032x}", {"COPD": "1"}) for n in range(6, 8)])


def _rsna(root: Path) -> None:
    names = [f"{n:08x}-14fd-4e49-80ba-63a80b6bddd6" for n in range(8)]
    boxes = [(name, str(n % 2)) for n, name in enumerate(names) for _ in range(1 + n % 2)]
    archives.write_rsna(root, boxes, [(name, "Lung Opacity" if target == "1" else "Normal") for name, target in boxes])


def _vinbigdata(root: Path) -> None:
    boxes = [(f"{n:032x}", "ILD" if n + r > 5 else "No finding", f"R{r}") for n in range(8) for r in range(3)]
    archives.write_vinbigdata(root, boxes)


def _plus(root: Path) -> None:
    paths = [f"train/patient{n // 2:05d}/study1/view{n % 2 + 1}_frontal.jpg" for n in range(8)]
    labels: dict[str, dict[str, float | None]] = {path: {"Edema": n % 3 - 1.0} for n, path in enumerate(paths[:6])}
    archives.write_plus(root, [archives.plus_row(path) for path in paths], labels)


def _montgomery(root: Path) -> None:
    write_shenzhen(root, 6)
    folder = (root / "ChinaSet_AllFiles").rename(root / "MontgomerySet")
    for file in [*folder.glob("CXR_png/CHN*"), *folder.glob("ClinicalReadings/CHN*")]:
        file.rename(file.with_name(file.name.replace("CHNCXR", "MCUCXR")))
    for file in folder.glob("ClinicalReadings/*.txt"):
        file.write_text("Patient's Sex: F \nPatient's Age: 027Y\nnormal")


def write_test_release(root: Path) -> None:
    """CheXpert's released test set, with labels by study."""
    header = ("Study", *LABELS)
    write_csv(
        root / "groundtruth.csv", [[f"CheXpert-v1.0/test/patient9000{n}/study1", *["0"] * 14] for n in range(3)], header
    )
    for number in range(3):
        archives.put(root / f"test/patient9000{number}/study1/view1_frontal.jpg", jpeg(number, 30, 31))


MINIATURES: dict[str, Callable[[Path], object]] = {
    "chexpert": lambda root: write_chexpert(root, patients=8, valid=2),
    "chexpert-plus": _plus,
    "shenzhen": lambda root: write_shenzhen(root, 9),
    "montgomery": _montgomery,
    "nih": _nih,
    "mimic": _mimic,
    "padchest": _padchest,
    "vindr": _vindr,
    "rsna": _rsna,
    "vinbigdata": _vinbigdata,
}
"""For each `--dataset`, what writes it below a folder."""
