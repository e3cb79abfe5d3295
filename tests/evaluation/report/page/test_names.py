"""Names that come from outside stand in an element of their own, so that none turns the text around it."""

from html.parser import HTMLParser
from pathlib import Path

from evaluation.report.page.render import css_text, write_report
from tests.evaluation.report.three_arms import Names, Size, build_three_arms

OVERRIDE = "\u202e"  # all that follows runs from right to left, until its element ends
_VOID = ("meta", "br", "img", "link")


class Outside(HTMLParser):
    """Collect texts that hold an override and do not stand in a bdi. Those of a figure are texts of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inside, self.outside = 0, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            del self.open[len(self.open) - 1 - self.open[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        if OVERRIDE in data:
            if {"bdi", "svg", "title"} & set(self.open):
                self.inside += 1
            else:
                self.outside.append(data.strip()[:80])


def test_every_name_from_outside_stands_in_a_bdi(tmp_path: Path) -> None:
    dataset, one, two, ward, reader, run = (OVERRIDE + name for name in ("set", "one", "two", "ward", "reader", "run"))
    names = Names(dataset, (one, two), ward, reader, run)
    study = build_three_arms(tmp_path / f"{OVERRIDE}study", names, Size(rows=60, units=40))
    write_report(study.rename(tmp_path / f"{OVERRIDE}named"), tmp_path / "r.html", with_images=False)
    found = Outside()
    found.feed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert found.outside == []
    assert found.inside > 30


def test_no_title_ends_or_leaves_the_string_of_the_style_sheet() -> None:
    for title in ('a"b', "a\\", "</style><script>", "a\nb", "x" * 300, OVERRIDE + "a"):
        text = css_text(title)
        assert set(text[1:-1]) <= set("abcdefghijklmnopqrstuvwxyz0123456789 \\")
        assert (text[0], text[-1]) == ('"', '"')
        assert not text.endswith('\\"')
        assert len(text) < 400
