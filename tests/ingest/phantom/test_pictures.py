"""The phantom's pictures: geometry against slow references, and findings drawn where they belong."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.phantom import opacities, pathology, tuberculosis
from ingest.phantom.acquisition import Acquisition, Projection, sample_acquisition
from ingest.phantom.anatomy import Anatomy, sample_anatomy
from ingest.phantom.canvas import Canvas, ellipse, mirrored, spline
from ingest.phantom.film import Picture
from ingest.phantom.frontal import frontal
from ingest.phantom.lateral import lateral
from ingest.phantom.places import Places
from ingest.phantom.profile import profile_of
from ingest.phantom.raster import Field
from ingest.phantom.thorax import LEFT, RIGHT, Thorax, pose

SEEDS = range(6)


def patient(seed: int, projection: Projection = "PA") -> tuple[Anatomy, Acquisition]:
    rng = np.random.default_rng(seed)
    return sample_anatomy(rng, seed % 2 == 0, 55.0), sample_acquisition(rng, projection)


def chest(seed: int) -> tuple[Canvas, Thorax]:
    """A canvas on which the whole chest fits, unrotated, 8 pixels a centimetre."""
    thorax = pose(*patient(seed))
    return Canvas(360, 340, 8.0, (0.0, 14.0)), thorax


def centre_of(field: Field, canvas: Canvas) -> tuple[float, float]:
    x, y = canvas.grid()
    return float((field * x).sum() / field.sum()), float((field * y).sum() / field.sum())


def picture(seed: int, severity: dict[str, float], projection: Projection = "PA") -> Picture:
    anatomy, acquisition = patient(seed, projection)
    return (lateral if projection == "LATERAL" else frontal)(anatomy, acquisition, severity, seed, (195, 160), 1.5)


@given(st.floats(-30, 30), st.tuples(st.floats(-5, 5), st.floats(-5, 5)), st.floats(2, 12), st.integers(20, 90))
def test_a_filled_shape_lies_where_the_grid_says(
    rotation: float, spot: tuple[float, float], scale: float, width: int
) -> None:
    canvas = Canvas(width * 2, width, scale, spot, rotation)
    radius = 0.3 * width / scale
    filled = canvas.fill(ellipse(spot, (radius, radius), steps=90))
    x, y = canvas.grid()
    distance = np.hypot(x - spot[0], y - spot[1]) * scale
    assert (filled[distance < 0.3 * width - 2] == 255).all()
    assert (filled[distance > 0.3 * width + 3] == 0).all()


@given(st.floats(-20, 20), st.integers(2, 7))
def test_a_tile_is_sampled_at_body_coordinates(rotation: float, scale: int) -> None:
    canvas = Canvas(61, 47, float(scale), (1.0, 2.0), rotation)
    columns = np.arange(64, dtype=np.float32)
    tile = np.tile(columns, (64, 1))  # its value is its column: x in cells
    x, _ = canvas.grid()
    cells = (x + 16.0) / 0.5
    inside = (cells > 2) & (cells < 61)
    assert np.allclose(canvas.sampled(tile, 0.5, (-16.0, -16.0))[inside], cells[inside], atol=0.05)


@pytest.mark.parametrize("width_cm", [0.02, 0.07, 0.3, 1.0])
def test_a_line_keeps_its_attenuation_however_thin_it_is(width_cm: float) -> None:
    canvas = Canvas(200, 100, 10.0, (0.0, 0.0))
    line = canvas.stroke([np.array([(-20.0, 0.0), (20.0, 0.0)])], width_cm, 200)
    drawn = line.astype(float).sum(axis=0).mean() / 200 / canvas.pixels_per_cm  # centimetres across the line
    assert drawn == pytest.approx(width_cm, rel=0.12)


def test_a_bulge_is_a_quarter_circle_in_from_the_edge() -> None:
    canvas = Canvas(400, 400, 10.0, (0.0, 0.0))
    bulge = canvas.bulge(canvas.fill(ellipse((0.0, 0.0), (15.0, 15.0), steps=200)), 5.0)
    x, y = canvas.grid()
    depth = np.clip((15.0 - np.hypot(x, y)) / 5.0, 0, 1)
    clear = np.abs(15.0 - np.hypot(x, y)) > 0.3
    assert np.abs(bulge - np.sqrt(depth * (2 - depth)))[clear].max() < 0.1


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=8), st.booleans())
def test_a_spline_passes_through_its_points_and_is_catmull_and_roms(
    knots: list[tuple[float, float]], closed: bool
) -> None:
    curve = spline(knots, 4, closed)
    assert np.allclose(curve[::4][: len(knots)], knots)
    count = len(knots)
    if closed:  # the classical form of each segment, point by point
        for i in range(count):
            before, start, end, after = (np.array(knots[(i + k) % count]) for k in (-1, 0, 1, 2))
            out, into = (end - before) / 2, (after - start) / 2
            for step in range(4):
                t = step / 4
                hermite = (
                    (2 * t**3 - 3 * t**2 + 1) * start
                    + (t**3 - 2 * t**2 + t) * out
                    + (3 * t**2 - 2 * t**3) * end
                    + (t**3 - t**2) * into
                )
                assert np.allclose(curve[4 * i + step], hermite)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_heart_is_as_wide_as_its_ratio_to_the_chest(seed: int) -> None:
    _, thorax = chest(seed)
    for severity in ({}, {"Cardiomegaly": 0.1}, {"Cardiomegaly": 1.0}):
        changed = pathology.diseased(thorax, severity, Places(seed))
        width = np.ptp(changed.heart()[:, 0]) / (2 * changed.half_width)
        assert width == pytest.approx(changed.cardiothoracic_ratio, rel=0.03)
        assert (changed.cardiothoracic_ratio > thorax.cardiothoracic_ratio) == bool(severity)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_effusion_fills_the_costophrenic_angle_of_its_side_from_below(seed: int) -> None:
    canvas, thorax = chest(seed)
    places = Places(seed)
    small, large = (
        opacities.replaced_air(canvas, thorax, {"Pleural Effusion": extent}, places, False) for extent in (0.15, 0.6)
    )
    x, y = canvas.grid()
    for side in places.sides("Pleural Effusion"):
        tip_x, tip_y = thorax.angle(side)
        corner = np.hypot(x - side * (tip_x - 0.8), y - (tip_y - 0.5)) < 0.4
        assert small[corner].min() > 0.5
    lungs = canvas.fill(thorax.lung(RIGHT), thorax.lung(LEFT)) > 0
    assert large[lungs].sum() > 2 * small[lungs].sum()
    assert large[lungs & (y < 0.2 * thorax.height)].max() < 0.01
    if len(places.sides("Pleural Effusion")) == 1:
        assert large[lungs & (x * places.sides("Pleural Effusion")[0] < -1)].max() < 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("extent", [0.3, 0.7, 1.0])
def test_below_its_meniscus_an_effusion_leaves_no_air_at_the_lateral_wall(seed: int, extent: float) -> None:
    canvas, thorax = chest(seed)
    places = Places(seed)
    side = places.sides("Pleural Effusion")[0]
    _, y = canvas.grid()
    lung = canvas.fill(thorax.lung(side)) > 127
    filled = canvas.fill(opacities.effusion_outline(thorax, side, extent, supine=False)) > 127
    wet = []
    for row in np.flatnonzero((y[:, 0] > 1.0) & (y[:, 0] < thorax.angle(side)[1] - 0.3)):
        columns = np.flatnonzero(lung[row])
        wet.append(filled[row, columns.max() if side == LEFT else columns.min()])
    dry = wet.index(True)
    assert dry < len(wet) - 3
    assert wet[dry:].count(False) <= 2  # where the film of fluid begins it is thinner than a pixel


@pytest.mark.parametrize("seed", SEEDS)
def test_oedema_is_on_both_sides_around_the_hila(seed: int) -> None:
    canvas, thorax = chest(seed)
    haze = opacities.replaced_air(canvas, thorax, {"Edema": 0.7}, Places(seed), False)
    x, _ = canvas.grid()
    assert 0.5 < haze[x > 0].sum() / haze[x < 0].sum() < 2
    assert 0.3 < centre_of(haze, canvas)[1] / thorax.height < 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pneumothorax_leaves_no_vessels_beyond_the_pleural_line(seed: int) -> None:
    _, thorax = chest(seed)
    places = Places(seed)
    assert pathology.collapsed(thorax, {}, places) is None
    side, outline = pathology.collapsed(thorax, {"Pneumothorax": 0.6}, places) or (0, np.empty((0, 2)))
    inner, outer = mirrored(outline, side), mirrored(thorax.lung(side), side)
    assert inner[:, 0].max() < outer[:, 0].max() - 0.1
    assert inner[:, 1].min() > outer[:, 1].min() + 0.5


def test_tuberculosis_is_in_the_upper_zones_in_most_patients() -> None:
    upper = 0
    for seed in range(40):
        canvas, thorax = chest(seed)
        share = tuberculosis.infiltrate(canvas, thorax, 0.8, Places(seed))
        upper += centre_of(share, canvas)[1] < 0.45 * thorax.height
    assert upper >= 28


@pytest.mark.parametrize("finding", ["Pleural Effusion", "Consolidation", "Edema", "Lung Lesion", "Tuberculosis"])
def test_a_graver_finding_changes_the_picture_more(finding: str) -> None:
    change = [
        np.mean([np.abs(picture(seed, {finding: s}).astype(int) - picture(seed, {})).mean() for seed in SEEDS])
        for s in (0.2, 0.9)
    ]
    assert 0.01 < change[0] < change[1]


@pytest.mark.parametrize("finding", ["Fracture", "Pleural Other", "Pneumonia", "Atelectasis", "Support Devices"])
def test_every_other_finding_shows(finding: str) -> None:
    assert all(np.abs(picture(seed, {finding: 0.8}).astype(int) - picture(seed, {})).max() > 8 for seed in SEEDS)


def test_an_effusion_fills_the_posterior_angle_of_the_lateral() -> None:
    anatomy, acquisition = patient(1, "LATERAL")
    profile = profile_of(anatomy, acquisition, 0.0)
    fluid = profile.effusion(0.5)
    assert fluid[:, 0].max() > float(profile.back(profile.height))
    plain, wet = (picture(1, severity, "LATERAL").astype(int) for severity in ({}, {"Pleural Effusion": 0.9}))
    assert np.abs(plain - wet).max() > 20


def test_disease_stays_in_its_place_when_another_finding_is_added() -> None:
    canvas, thorax = chest(2)
    alone = opacities.replaced_air(canvas, thorax, {"Consolidation": 0.5}, Places(2), False)
    both = opacities.replaced_air(canvas, thorax, {"Consolidation": 0.5, "Pneumonia": 0.5}, Places(2), False)
    assert (both >= alone - 1e-5).all()


def test_right_and_left_are_on_the_sides_where_a_reader_expects_them() -> None:
    """The patient's right on the image's left, the heart's apex and the gas in the stomach on the patient's left."""
    _, thorax = chest(0)
    assert thorax.lung(RIGHT)[:, 0].max() < 0 < thorax.lung(LEFT)[:, 0].min()
    heart = thorax.heart()[:, 0]
    assert heart.max() > 1.4 * -heart.min()


@pytest.mark.parametrize("projection", ["PA", "AP", "LATERAL"])
def test_pictures_use_the_range_without_drowning_in_black_or_white(projection: Projection) -> None:
    for seed in SEEDS:
        image = picture(seed, {}, projection)
        assert image.shape == (160, 195)
        assert image.dtype == np.uint8
        assert np.percentile(image, 98) - np.percentile(image, 5) > 90
        assert (image >= 253).mean() < 0.2


def test_the_number_of_opencvs_threads_does_not_change_a_pixel() -> None:
    before = cv2.getNumThreads()
    severity = {"Edema": 0.5, "Pleural Effusion": 0.5, "Support Devices": 0.5}
    try:
        cv2.setNumThreads(1)
        one = picture(3, severity)
        cv2.setNumThreads(4)
        assert (picture(3, severity) == one).all()
    finally:
        cv2.setNumThreads(before)
