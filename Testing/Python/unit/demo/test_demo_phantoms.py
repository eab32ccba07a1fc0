from __future__ import annotations

import numpy as np
import pytest

from VisualDICOMBrowserLib.demo.geometry import axial, coronal, oblique, sagittal, tilted
from VisualDICOMBrowserLib.demo.phantoms import graphics, head, nuclear, radiograph, spine, torso, ultrasound
from VisualDICOMBrowserLib.demo.phantoms.painting import Canvas, Grid, band_noise, noise, sample, smooth


@pytest.fixture(scope="module")
def body() -> torso.Torso:
    return torso.build()


@pytest.fixture(scope="module")
def brain() -> head.Head:
    return head.build()


def share(volume, low: float, high: float) -> float:
    return float(np.mean((volume > low) & (volume < high)))


def test_the_torso_has_the_shares_of_air_lung_fat_soft_tissue_and_bone_of_a_chest_ct(body):
    hounsfield = body.attenuation(torso.VENOUS_HU)
    assert share(hounsfield, -1100, -970) > 0.4
    assert 0.05 < share(hounsfield, -950, -700) < 0.25
    assert 0.05 < share(hounsfield, -130, -70) < 0.3
    assert 0.05 < share(hounsfield, 20, 200) < 0.4
    assert 0.004 < share(hounsfield, 500, 1200) < 0.1


def test_the_lungs_lie_on_both_sides_of_the_heart_and_the_liver_on_the_right(body):
    labels, grid = body.canvas.labels, body.grid
    x = np.broadcast_to(grid.axis(2), labels.shape)
    lung, liver = x[labels == torso.Tissue.LUNG], x[labels == torso.Tissue.LIVER]
    assert 0.3 < np.mean(lung < 0) < 0.7
    assert np.mean(liver) < -30
    assert np.mean(x[labels == torso.Tissue.SPLEEN]) > 60


def test_contrast_medium_brightens_arteries_first_and_the_liver_later(body):
    aorta = body.canvas.labels == torso.Tissue.ARTERY
    liver = body.canvas.labels == torso.Tissue.LIVER
    native, arterial, venous = (
        body.attenuation(values) for values in (torso.NATIVE_HU, torso.ARTERIAL_HU, torso.VENOUS_HU)
    )
    assert arterial[aorta].mean() > venous[aorta].mean() + 80 > native[aorta].mean() + 160
    assert venous[liver].mean() > arterial[liver].mean() + 20 > native[liver].mean() + 30


def test_a_larger_nodule_does_not_change_the_torso_it_was_made_from(body):
    before = int((body.canvas.labels == torso.Tissue.NODULE).sum())
    larger = body.with_nodule(9.0)
    assert (larger.canvas.labels == torso.Tissue.NODULE).sum() > 4 * before > 0
    assert (body.canvas.labels == torso.Tissue.NODULE).sum() == before


def test_a_hard_kernel_is_noisier_than_a_soft_one(body):
    clean = body.attenuation(torso.NATIVE_HU, slice(50, 52))
    hard, soft = (kernel(clean, 1)[:, :30, :30].std() for kernel in (torso.hard_kernel, torso.soft_kernel))
    assert hard > 2 * soft > 8


def test_the_head_has_skull_grey_and_white_matter_and_fluid(brain):
    labels = brain.canvas.labels
    tissue = head.Tissue
    volumes = {t: float((labels == t).sum()) * 1.1 * 1.1 * 2.4 / 1000 for t in tissue}  # ml
    assert 300 < volumes[tissue.GREY] < 900
    assert 400 < volumes[tissue.WHITE] < 1000
    assert 60 < volumes[tissue.CSF] < 500
    assert volumes[tissue.BONE] > 300


def test_mr_contrasts_differ_as_they_should(brain):
    labels = brain.canvas.labels
    fluid, white, grey = (labels == t for t in (head.Tissue.CSF, head.Tissue.WHITE, head.Tissue.GREY))
    t1, t2, flair = (brain.signal(values, 1) for values in (head.T1, head.T2, head.FLAIR))
    assert t1[white].mean() > t1[grey].mean() > t1[fluid].mean()
    assert t2[fluid].mean() > t2[grey].mean() > t2[white].mean()
    assert flair[fluid].mean() < flair[white].mean()


def test_a_lesion_enhances_in_a_ring(brain):
    sick = brain.with_lesion(12.0)
    rim = sick.canvas.labels == head.Tissue.RIM
    assert rim.sum() > 500
    assert sick.signal(head.T1_CONTRAST, 1)[rim].mean() > 2 * sick.signal(head.T1, 1)[rim].mean()
    assert not (brain.canvas.labels == head.Tissue.RIM).any()


def test_the_spine_shows_bright_fluid_and_one_dry_disc_in_t2():
    back = spine.build(spine.SAGITTAL_GRID)
    signal, labels = back.signal(spine.T2, 1), back.canvas.labels
    assert signal[labels == spine.Tissue.CSF].mean() > 2 * signal[labels == spine.Tissue.MUSCLE].mean()
    assert signal[labels == spine.Tissue.DRY_DISC].mean() < 0.5 * signal[labels == spine.Tissue.NUCLEUS].mean()


def test_the_radiograph_shows_spine_brighter_than_lung(body):
    frontal, _ = radiograph.project(body)
    picture = radiograph.radiograph(frontal, 256, 1)
    assert picture.dtype == np.uint16
    assert picture.max() <= 4095
    assert picture[80:140, 120:136].mean() > 1.3 * picture[80:140, 60:90].mean()


def test_the_heart_of_the_ultrasound_clip_beats():
    frames = ultrasound.four_chamber()
    assert frames.shape == (30, ultrasound.HEIGHT, ultrasound.WIDTH)
    assert frames.dtype == np.uint8
    outside = frames[:, :40, :60]
    assert not outside.any()
    dark = np.count_nonzero((frames[:, 60:180, 140:260] < 90), axis=(1, 2))
    assert dark.max() > 1.15 * dark.min()


def test_colour_doppler_has_colour_only_while_blood_flows():
    frames = ultrasound.colour_doppler(6).astype(int)
    coloured = np.count_nonzero(np.abs(frames[..., 0] - frames[..., 2]) > 40, axis=(1, 2))
    assert coloured.max() > 300
    assert coloured.min() < 50


def test_uptake_is_highest_in_the_lesions_and_the_urinary_tract(body):
    uptake, grid = nuclear.emission(body, 1)
    z, y, x = (round((c - f) / s) for c, f, s in zip(torso.LESION_CENTRE[::-1], grid.first, grid.spacing, strict=True))
    assert uptake[z, y, x] > 5
    assert 0.5 < np.median(uptake[uptake > 0.4]) < 2
    assert nuclear.rotating_projections(uptake, grid, 4).max() == uptake.max()


def test_the_dose_report_is_a_colour_picture_and_the_letter_a_pdf():
    picture = graphics.dose_report("Title", [("one", 1.0), ("two", 2.0)])
    assert picture.shape == (360, 480, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50
    letter = graphics.letter(["line"])
    assert letter.startswith(b"%PDF-1.4")
    table = int(letter.rsplit(b"startxref\n", 1)[1].split()[0])
    assert letter[table : table + 4] == b"xref"


def test_painting_in_a_corner_paints_the_whole():
    canvas = Canvas(Grid.centred((20, 20, 20), (1, 1, 1)))
    canvas.corner((-5, -5, -5), (5, 5, 5)).ellipsoid(7, (0, 0, 0), (3, 3, 3))
    direct = Canvas(canvas.grid)
    direct.ellipsoid(7, (0, 0, 0), (3, 3, 3))
    np.testing.assert_array_equal(canvas.labels, direct.labels)


def test_noise_is_the_same_for_the_same_seed_and_another_for_another():
    np.testing.assert_array_equal(noise((3, 50), 4), noise((3, 50), 4))
    assert not np.array_equal(noise((3, 50), 4), noise((3, 50), 5))
    assert abs(float(noise((200, 200), 1, 3.0).std()) - 3) < 0.1


def test_band_noise_has_structures_of_its_wavelength():
    grid = Grid.centred((4, 128, 128), (10, 1, 1))
    field = band_noise(grid, 16, 1)
    crossings = np.count_nonzero(np.diff(np.signbit(field), axis=2)) / field[..., 0].size
    assert 128 / 16 < crossings < 4 * 128 / 16


def test_smoothing_keeps_the_mean_and_lowers_the_deviation():
    raw = noise((30, 30), 1)
    assert smooth(raw).std() < 0.6 * raw.std()
    assert abs(float(smooth(raw).mean() - raw.mean())) < 0.05


def test_reformatted_planes_show_the_voxels_that_lie_there():
    grid = Grid.centred((12, 14, 16), (2.0, 1.0, 1.0))
    z, y, x = grid.mesh()
    volume = (x + 10 * y + 100 * z).astype(np.float32)
    stacks = [
        axial(volume, grid), coronal(volume, grid, range(0, 14, 3)), sagittal(volume, grid, range(2, 14, 4)),
        oblique(volume, grid, (0, 0, 0), tilted(20, 10), size=8, spacing=0.7, count=4, step=0.9, outside=0),
    ]  # fmt: skip
    for stack in stacks:
        row, column = np.array(stack.orientation[:3]), np.array(stack.orientation[3:])
        across, down = stack.spacing[1] * row * 3, stack.spacing[0] * column * 5
        for pixels, position in zip(stack.pixels, stack.positions, strict=True):
            px, py, pz = position + across + down
            assert pixels[5, 3] == pytest.approx(px + 10 * py + 100 * pz, abs=0.05)
        normal = np.cross(row, column)
        steps = np.abs(np.diff(stack.positions @ normal))
        np.testing.assert_allclose(steps, stack.step, atol=1e-4)


def test_points_off_the_grid_give_the_value_for_outside():
    grid = Grid.centred((3, 3, 3), (1, 1, 1))
    far = np.full((2, 2), 50, np.float32)
    assert (sample(np.ones((3, 3, 3), np.float32), grid, (far, far, far), -7) == -7).all()
