"""The works that a report cites, and their numbers in the order of the text."""

WORKS = {
    "moco": (
        "He K, Fan H, Wu Y, Xie S, Girshick R. Momentum contrast for unsupervised visual representation learning. "
        "CVPR 2020."
    ),
    "moco-v2": (
        "Chen X, Fan H, Girshick R, He K. Improved baselines with momentum contrastive learning. "
        "arXiv:2003.04297, 2020."
    ),
    "moco-cxr": (
        "Sowrirajan H, Yang J, Ng AY, Rajpurkar P. MoCo pretraining improves representation and transferability "
        "of chest X-ray models. MIDL 2021."
    ),
    "resnet": "He K, Zhang X, Ren S, Sun J. Deep residual learning for image recognition. CVPR 2016.",
    "densenet": "Huang G, Liu Z, van der Maaten L, Weinberger KQ. Densely connected convolutional networks. CVPR 2017.",
    "chexpert": (
        "Irvin J, Rajpurkar P, Ko M, et al. CheXpert: a large chest radiograph dataset with uncertainty labels "
        "and expert comparison. AAAI 2019."
    ),
    "shenzhen": (
        "Jaeger S, Candemir S, Antani S, et al. Two public chest X-ray datasets for computer-aided screening of "
        "pulmonary diseases. Quantitative Imaging in Medicine and Surgery 4(6), 2014, 475-477."
    ),
    "mimic": (
        "Johnson AEW, Pollard TJ, Berkowitz SJ, et al. MIMIC-CXR, a de-identified publicly available database of "
        "chest radiographs with free-text reports. Scientific Data 6, 2019, 317."
    ),
    "nih": "Wang X, Peng Y, Lu L, et al. ChestX-ray8: hospital-scale chest X-ray database and benchmarks. CVPR 2017.",
    "padchest": (
        "Bustos A, Pertusa A, Salinas JM, de la Iglesia-Vaya M. PadChest: a large chest x-ray image dataset with "
        "multi-label annotated reports. Medical Image Analysis 66, 2020, 101797."
    ),
    "vindr": (
        "Nguyen HQ, Lam K, Le LT, et al. VinDr-CXR: an open dataset of chest X-rays with radiologist's "
        "annotations. Scientific Data 9, 2022, 429."
    ),
    "delong": (
        "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver "
        "operating characteristic curves: a nonparametric approach. Biometrics 44, 1988, 837-845."
    ),
    "obuchowski": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 53, 1997, 567-578.",
    "newcombe": (
        "Newcombe RG. Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part "
        "2. Statistics in Medicine 25, 2006, 559-573."
    ),
    "satterthwaite": (
        "Satterthwaite FE. An approximate distribution of estimates of variance components. Biometrics Bulletin "
        "2, 1946, 110-114."
    ),
    "efron": (
        "Efron B. Better bootstrap confidence intervals. Journal of the American Statistical Association 82, "
        "1987, 171-185."
    ),
    "wilson": (
        "Wilson EB. Probable inference, the law of succession, and statistical inference. Journal of the American "
        "Statistical Association 22, 1927, 209-212."
    ),
    "holm": (
        "Holm S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, "
        "1979, 65-70."
    ),
    "youden": "Youden WJ. Index for rating diagnostic tests. Cancer 3, 1950, 32-35.",
    "guo": "Guo C, Pleiss G, Sun Y, Weinberger KQ. On calibration of modern neural networks. ICML 2017.",
    "tripod": "Collins GS, Moons KGM, Dhiman P, et al. TRIPOD+AI statement. BMJ 385, 2024, e078378.",
    "claim": (
        "Tejani AS, Klontzas ME, Gatti AA, et al. Checklist for artificial intelligence in medical imaging "
        "(CLAIM): 2024 update. Radiology: Artificial Intelligence 6(4), 2024, e240300."
    ),
}


class Citations:
    """Numbers of the works that are cited. State: the works cited so far, in order."""

    def __init__(self) -> None:
        self._cited: list[str] = []

    def cite(self, *works: str) -> str:
        """Cite works, each numbered when it is first cited: ` [1, 4]`; blank for none that is known."""
        known = [work for work in works if work in WORKS]
        self._cited += [work for work in known if work not in self._cited]
        numbers = sorted(self._cited.index(work) + 1 for work in dict.fromkeys(known))
        return f" [{', '.join(map(str, numbers))}]" if numbers else ""

    @property
    def works(self) -> list[str]:
        """What was cited, in the order of the numbers."""
        return [WORKS[work] for work in self._cited]
