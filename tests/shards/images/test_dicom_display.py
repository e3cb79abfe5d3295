"""Which values of a DICOM picture are black and white where its header says nothing, or something absurd."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest

from shards.images.dicom_display import FEWEST_LEVELS
from shards.images.gray import Gray
from tests.shards.images.test_dicom import PLAIN, dicom, radiograph, read

__all__ = ["radiograph"]

Pixels = npt.NDArray[np.uint16]
TWELVE: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}


def spread(picture: Gray, low: int, high: int) -> Pixels:
    """The picture as values from `low` to `high`."""
    return np.round(low + picture * ((high - low) / 255)).astype(np.uint16)


def by_percentiles(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The slow, obvious reference: 0.01 to 99.99 percentile, 0..255."""
    least, most = np.percentile(values.astype(np.float64), [0.01, 99.99], method="inverted_cdf")
    shown: npt.NDArray[np.float64] = np.clip((values - least) / (most - least), 0, 1) * 255
    return shown


@pytest.mark.parametrize(
    ("bits", "low", "high"), [(10, 0, 300), (12, 200, 3000), (14, 1, 900), (16, 0, 1023), (16, 30_000, 34_095)]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_picture_without_a_window_takes_the_range_of_its_own_pixels(
    radiograph: Gray, bits: int, low: int, high: int, photometric: str, signed: bool
) -> None:
    values = spread(255 - radiograph if photometric == "MONOCHROME1" else radiograph, low, high)
    stored = (values.astype(np.int32) - (1 << (bits - 1))).astype(np.int16) if signed else values
    content = dicom(stored, BitsStored=bits, HighBit=bits - 1, PhotometricInterpretation=photometric)
    assert np.abs(read(content).astype(int) - radiograph).mean() <= 1
    expected = by_percentiles(values)
    assert np.abs(read(content) - (255 - expected if photometric == "MONOCHROME1" else expected)).max() <= 1.5
    assert np.unique(read(content)).size >= 150


def test_single_hot_pixels_do_not_darken_the_picture(radiograph: Gray) -> None:
    values = spread(radiograph, 0, 1000)
    values[0, 0] = 4095
    shown = read(dicom(values, **TWELVE, SmallestImagePixelValue=0, LargestImagePixelValue=4095))
    assert np.abs(shown.astype(int) - radiograph).mean() <= 1


def test_a_picture_of_eight_bits_is_shown_as_it_is_stored(radiograph: Gray) -> None:
    dark = (radiograph // 2 + 20).astype(np.uint8)
    np.testing.assert_array_equal(read(dicom(dark)), dark)


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda uid: uid.name)
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("value", [0, 4095])
def test_padding_is_black_and_does_not_count(radiograph: Gray, photometric: str, value: int, syntax: Any) -> None:  # noqa: ANN401
    values = spread(255 - radiograph if photometric == "MONOCHROME1" else radiograph, 1000, 2000)
    values[:30] = value
    content = dicom(values, syntax, **TWELVE, PixelPaddingValue=value, PhotometricInterpretation=photometric)
    shown = read(content)
    assert (shown[:30] == 0).all()
    expected = by_percentiles(values[30:])
    assert np.abs(shown[30:] - (255 - expected if photometric == "MONOCHROME1" else expected)).max() <= 1.5


@pytest.mark.parametrize(("value", "limit"), [(0, 40), (40, 0)])
def test_padding_may_be_a_range_of_values_in_either_order(radiograph: Gray, value: int, limit: int) -> None:
    values = spread(radiograph, 1000, 2000)
    values[:, :50] = np.random.default_rng(0).integers(0, 41, (97, 50))
    shown = read(dicom(values, **TWELVE, PixelPaddingValue=value, PixelPaddingRangeLimit=limit))
    assert (shown[:, :50] == 0).all()
    assert np.abs(shown[:, 50:] - by_percentiles(values[:, 50:])).max() <= 1.5


def test_padding_of_signed_pixels_is_found_whatever_sign_it_was_written_with(radiograph: Gray) -> None:
    values = spread(radiograph, 0, 1000).astype(np.int16) - 500
    values[:20] = -2000
    shown = read(dicom(values, PixelPaddingValue=-2000))
    assert (shown[:20] == 0).all()
    assert np.abs(shown[20:] - by_percentiles(values[20:])).max() <= 1.5


def test_a_picture_of_padding_alone_is_black() -> None:
    assert not read(dicom(np.full((20, 20), 7, dtype=np.uint16), **TWELVE, PixelPaddingValue=7)).any()
    assert not read(dicom(np.full((20, 20), 7, dtype=np.uint16), **TWELVE)).any()


def test_the_smallest_and_largest_value_of_the_header_are_taken_where_they_are_true() -> None:
    values = np.full((200, 200), 1000, dtype=np.uint16)
    values[:100] = np.linspace(700, 2500, 200).astype(np.uint16)
    values[0, 0], values[0, 1] = 500, 3000  # the percentiles leave these out
    said: dict[str, Any] = {"SmallestImagePixelValue": 500, "LargestImagePixelValue": 3000}
    true = read(dicom(values, **TWELVE, **said))
    assert np.abs(true - (values - 500.0) / 2500 * 255).max() <= 0.51
    for lie in ({"LargestImagePixelValue": 4095}, {"SmallestImagePixelValue": 501}, {"LargestImagePixelValue": 2999}):
        false = read(dicom(values, **TWELVE, **{**said, **lie}))
        assert np.abs(false - by_percentiles(values)).max() <= 1.5


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ((32768.0, 65536.0), "made for 16 bits: 16 gray levels would be left"),
        ((40.0, 80.0), "all of it above the window"),
        ((-600.0, 1500.0), "that of a CT: all white"),
        ((100_000.0, 50.0), "all of it below the window"),
        ((2000.0, 1.0), "a threshold"),
        ((1e300, 1e300), "no radiograph's"),
    ],
    ids=str,
)
def test_an_absurd_window_gives_way_to_the_own_range(radiograph: Gray, window: tuple[float, float], why: str) -> None:
    values = spread(radiograph, 1200, 3900)
    shown = read(dicom(values, **TWELVE, WindowCenter=window[0], WindowWidth=window[1]))
    assert np.abs(shown.astype(int) - radiograph).mean() <= 1.5, why


def test_the_second_window_is_taken_where_the_first_is_absurd(radiograph: Gray) -> None:
    values = spread(radiograph, 1200, 3900)
    shown = read(dicom(values, **TWELVE, WindowCenter=[0, 2048.0], WindowWidth=[1, 4096.0]))
    assert np.abs(shown - values / 4095 * 255).max() <= 1


@pytest.mark.parametrize(("declared", "used"), [(16, 12), (16, 10), (16, 8), (12, 8), (12, 12), (16, 16)])
def test_a_table_that_declares_more_bits_than_it_uses_loses_no_gray_level(
    radiograph: Gray, declared: int, used: int
) -> None:
    values = spread(radiograph, 0, 4095)
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, declared]
    entries = np.round(np.arange(4096) * (((1 << used) - 1) / 4095)).astype("<u2")
    item.add_new("LUTData", "OW", entries.tobytes())
    shown = read(dicom(values, **TWELVE, VOILUTSequence=[item]))
    assert np.abs(shown.astype(int) - radiograph).mean() <= 1
    assert np.unique(shown).size > 5 * FEWEST_LEVELS


def test_a_dark_table_stays_dark(radiograph: Gray) -> None:
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.add_new("LUTData", "OW", (np.arange(4096) // 3).astype("<u2").tobytes())
    values = spread(radiograph, 0, 4095)
    shown = read(dicom(values, **TWELVE, VOILUTSequence=[item]))
    assert np.abs(shown - values // 3 / 4095 * 255).max() <= 1


def test_values_that_rescaling_turns_round_are_shown_over_their_own_range(radiograph: Gray) -> None:
    values = spread(255 - radiograph, 100, 1500)
    shown = read(dicom(values, **TWELVE, RescaleSlope=-2.5, RescaleIntercept=4000.0))
    assert np.abs(shown.astype(int) - radiograph).mean() <= 1


@pytest.mark.parametrize("used", [10, 12, 16])
def test_colours_that_declare_more_bits_than_they_use_lose_no_gray_level(radiograph: Gray, used: int) -> None:
    colours = np.repeat(spread(radiograph, 0, (1 << used) - 1)[:, :, None], 3, axis=2)
    shown = read(dicom(colours))
    assert np.abs(shown.astype(int) - radiograph).mean() <= 1
    assert np.unique(shown).size >= 150
