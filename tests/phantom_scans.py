"""Scans of low-contrast phantoms of known place, turn and tilt, with noise like that of filtered backprojection."""

import numpy as np

SUB = 4  # points along a pixel's side that its value is the mean of


def phantom_scan(layout, *, pixel_mm, side, centre_px, roll_deg=0.0, rods=True, body_hu=0.0, air_hu=-1000.0):
    """A slice without noise, HU, `(side, side)`: every pixel the mean over its area."""
    fine = (np.arange(side * SUB) + 0.5) / SUB - 0.5
    x, y = (fine - centre_px[1]) * pixel_mm, (fine[:, None] - centre_px[0]) * pixel_mm
    image = np.where(np.hypot(x, y) <= layout.diameter_mm / 2.0, body_hu, air_hu)
    if rods:
        for rod in layout.rods:
            angle = np.radians(rod.angle_deg + roll_deg)
            away = np.hypot(x - rod.radius_mm * np.cos(angle), y - rod.radius_mm * np.sin(angle))
            image[away <= rod.diameter_mm / 2.0] += rod.contrast_hu
    return image.reshape(side, SUB, side, SUB).mean(axis=(1, 3))


def ramp_noise(rng, n, side, std_hu):
    """Noise of a ramp and a Hann window, HU, `(n, side, side)`."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    gain = np.sqrt(frequency) * np.where(frequency < 0.5, np.cos(np.pi * frequency), 0.0)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(n, side, side))) * gain, s=(side, side))
    return noise * (std_hu / noise.std())
