"""Write the tables of tube spectra and of attenuation that `taskct.scanner.spectrum` reads.

    .venv/bin/python benchmarks/spectrum_tables.py

Needs the extra `taskct[spectrum]` (spekpy). The tables are committed; run this only to change them.
"""

import csv
from pathlib import Path

import numpy as np
import spekpy
from scipy.interpolate import CubicSpline

FOLDER = Path(__file__).parents[1] / "src" / "taskct" / "scanner" / "data"
COMMAND = "# Made by `python benchmarks/spectrum_tables.py`."
KVP = (80, 100, 120, 140)
ANODE_DEG = 7.0
ALUMINIUM_MM = 8.0
ENERGY_KEV = np.arange(11.0, 140.0, 2.0)
NIST_KEV = np.array([10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0])  # the nodes of SRD 126
# Mass fractions by atomic number and density in g/cm³, ICRU Report 44 (1989).
MATERIALS = {
    "water": ({1: 0.111898, 8: 0.888102}, 1.0),
    "soft_tissue": (
        {1: 0.102, 6: 0.143, 7: 0.034, 8: 0.708, 11: 0.002, 15: 0.003, 16: 0.003, 17: 0.002, 19: 0.003},
        1.06,
    ),
    "bone": ({1: 0.034, 6: 0.155, 7: 0.042, 8: 0.435, 11: 0.001, 12: 0.002, 15: 0.103, 16: 0.003, 20: 0.225}, 1.92),
}


def write(name, comments, columns):
    with (FOLDER / name).open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in comments)
        file.write(f"{COMMAND}\n")
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(
            [f"{row[0]:g}", *(f"{value:.5e}" for value in row[1:])] for row in zip(*columns.values(), strict=True)
        )


def main():
    FOLDER.mkdir(exist_ok=True)
    spectra = {"energy_kev": ENERGY_KEV}
    half_value = []
    for kvp in KVP:
        tube = spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=1.0, mu_data_source="nist", z=100.0, mas=1.0)
        tube.filter("Al", ALUMINIUM_MM)
        energy, fluence = tube.get_spectrum(diff=False)  # photons/cm² in bins of 1 keV about n + ½
        bins = np.searchsorted(ENERGY_KEV + 1.0, energy)
        spectra[str(kvp)] = np.bincount(bins, weights=fluence / 100.0, minlength=len(ENERGY_KEV))
        half_value.append(f"{kvp} kVp: {tube.get_hvl1():.2f}")
    write(
        "spectra.csv",
        [
            "Photons/(mm² mAs) at 1 m from the focus, in bins of 2 keV, per tube voltage (kVp).",
            f"spekpy {spekpy.__version__} (MIT), model casim, tungsten anode at {ANODE_DEG:g} degrees, "
            f"{ALUMINIUM_MM:g} mm of aluminium in all, NIST attenuation, no air.",
            f"First half-value layer in mm of aluminium: {', '.join(half_value)}.",
        ],
        spectra,
    )
    nist = spekpy.Spek(kvp=120, mu_data_source="nist").mu_data
    energy = np.arange(10.0, 151.0, 2.0)
    attenuation = {"energy_kev": energy}
    for name, (fractions, density) in MATERIALS.items():
        per_mass = sum(share * nist.get_mu_over_rho(element, NIST_KEV) for element, share in fractions.items())
        spline = CubicSpline(np.log(NIST_KEV), np.log(per_mass * density / 10.0))
        attenuation[name] = np.exp(spline(np.log(energy)))
    write(
        "attenuation.csv",
        [
            "Linear attenuation, 1/mm, coherent scattering included.",
            f"NIST SRD 126 (Hubbell and Seltzer) by element, as shipped in spekpy {spekpy.__version__} (MIT); "
            "between its energies a cubic spline of logarithms.",
            "Compositions and densities of ICRU Report 44: water 1.0, soft tissue 1.06, cortical bone 1.92 g/cm³.",
        ],
        attenuation,
    )


if __name__ == "__main__":
    main()
