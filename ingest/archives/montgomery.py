"""Montgomery County tuberculosis set (Jaeger et al. 2014): Shenzhen's layout, with readings in another wording.

A reading is `Patient's Sex: F`, `Patient's Age: 027Y` and the findings, a line each (NLM's MontgomerySet ReadMe). The
masks beside the images are not read.
"""

from ingest.archives.shenzhen import Shenzhen, parse_reading


class Montgomery(Shenzhen):
    """CXR_png of MontgomerySet and, where it is there, ClinicalReadings."""

    variant = "montgomery"
    title = "Montgomery"
    prefix = "MCUCXR_"
    images = 138
    licence = (
        "National Library of Medicine and the Department of Health and Human Services, Montgomery County, Maryland, "
        "free for research; cite Jaeger et al., Quant Imaging Med Surg 2014;4(6):475-477"
    )

    def describe(self, text: str) -> tuple[str | None, float | None]:
        """Sex and age in years from the lines that say `Patient's`; Shenzhen's wording is understood too."""
        lines = [line for line in text.splitlines() if "patient's" in line.lower().replace("\u2019", "'")]
        if not lines:
            return parse_reading(text)
        sex, age = (" ".join(line for line in lines if word in line.lower()) for word in ("sex", "age"))
        return parse_reading(sex)[0], parse_reading(age)[1]
