"""What each table and figure of the paper needs, and its published numbers.

Reference:
    Le Jeune, section 4, tables 1 to 5, figures 4 to 11.
"""

import dataclasses

# The paper's thresholds of table 1 -> luminance, contrast, saturation in %.
TABLE1 = {
    0.2: (33.86, 61.12, 38.41),
    0.5: (54.13, 66.92, 52.03),
    0.8: (66.38, 77.62, 69.98),
    1.0: (100.0, 100.0, 100.0),
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        generator_field_of_view: in pixels.
        discriminator_field_of_view: in pixels.
        noise: where the generator injects noise.
        content_weight: lambda_c of eq. (9).
        perceptual_weight: lambda_p of eq. (9).
        tau_min: least tau of the simulation.
        tau_max: greatest tau.
        length: of the training, in the profile's units: the paper's 10 h are
            1, its 30 h are 3.
    """

    generator_field_of_view: int = 47
    discriminator_field_of_view: int = 70
    noise: str = "all"
    content_weight: float = 50
    perceptual_weight: float = 0
    tau_min: float = 0.5
    tau_max: float = 0.5
    length: int = 1

    @property
    def id(self):
        """A short name for folders and figures."""
        parts = [
            f"g{self.generator_field_of_view}",
            f"d{self.discriminator_field_of_view}",
            self.noise,
            f"c{self.content_weight:g}",
            f"p{self.perceptual_weight:g}",
        ]
        if self.tau_min != self.tau_max:
            parts.append(f"tau{self.tau_min:g}to{self.tau_max:g}")
        if self.length != 1:
            parts.append(f"x{self.length}")
        return "-".join(parts)

    def flags(self):
        """Returns the trainer's flags that make it this variant."""
        return {
            "generator.field_of_view": self.generator_field_of_view,
            "generator.noise": self.noise,
            "discriminator.field_of_view": self.discriminator_field_of_view,
            "loss.content_weight": float(self.content_weight),
            "loss.perceptual_weight": float(self.perceptual_weight),
            "data.tau_min": self.tau_min,
            "data.tau_max": self.tau_max,
        }


@dataclasses.dataclass(frozen=True)
class Published:
    """The paper's numbers: Inception Score and similarities in %."""

    score: float
    luminance: float
    contrast: float
    saturation: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table (a column in the paper)."""

    label: str
    variant: Variant
    published: Published


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that needs training."""

    title: str
    rows: tuple


NO_NOISE = Variant(noise="none")
DECODER_NOISE = Variant(noise="decoder")
ALL_NOISE = Variant(noise="all")
G70_D70 = Variant(70, 70, perceptual_weight=100)
G140_D70 = Variant(140, 70, perceptual_weight=100)
G140_D140 = Variant(140, 140, perceptual_weight=100)
FINAL = dataclasses.replace(G140_D70, length=3)
RANDOM_TAU = dataclasses.replace(FINAL, tau_max=1.0)

# Figure 6: the content weight alone varies; see docs/paper.md.
CONTENT_WEIGHTS = tuple(
    Variant(content_weight=weight) for weight in (0, 1, 10, 50, 100)
)

_NO_NOISE = Published(18.00, 88.44, 88.29, 83.23)
_ALL_NOISE = Published(19.26, 89.97, 88.74, 83.55)

TABLES = {
    "table2": Table(
        "Noise in the generator",
        (
            Row("no noise", NO_NOISE, _NO_NOISE),
            Row(
                "decoder only",
                DECODER_NOISE,
                Published(18.23, 89.73, 87.38, 80.62),
            ),
            Row("encoder + decoder", ALL_NOISE, _ALL_NOISE),
        ),
    ),
    "table3": Table(
        "Field of view of the discriminator",
        (
            Row("D 70", ALL_NOISE, _ALL_NOISE),
            Row(
                "D 94",
                Variant(discriminator_field_of_view=94),
                Published(17.99, 89.23, 87.06, 79.75),
            ),
            Row(
                "D 140",
                Variant(discriminator_field_of_view=140),
                Published(17.65, 89.94, 87.47, 82.84),
            ),
        ),
    ),
    "table4": Table(
        "Fields of view of both networks, with the perceptual loss",
        (
            Row("G 70, D 70", G70_D70, Published(21.18, 89.46, 89.67, 83.88)),
            Row("G 140, D 70", G140_D70, Published(21.46, 88.11, 90.63, 84.73)),
            Row(
                "G 140, D 140",
                G140_D140,
                Published(21.2, 89.53, 90.4, 84.48),
            ),
        ),
    ),
    "table5": Table(
        "Overall comparison",
        (
            Row("baseline", NO_NOISE, _NO_NOISE),
            Row("baseline + noise", ALL_NOISE, _ALL_NOISE),
            Row(
                "baseline + noise + perceptual",
                FINAL,
                Published(21.59, 89.46, 90.5, 85.01),
            ),
            Row(
                "random overexposure",
                RANDOM_TAU,
                Published(21.81, 84.56, 88.84, 83.73),
            ),
        ),
    ),
}

# Figure -> the variants it shows, by label.
FIGURES = {
    "figure4": {},
    "figure5": {
        "no noise": NO_NOISE,
        "decoder only": DECODER_NOISE,
        "encoder + decoder": ALL_NOISE,
    },
    "figure6": {
        f"content weight {variant.content_weight:g}": variant
        for variant in CONTENT_WEIGHTS
    },
    "figure7": {
        "G 70, D 70": G70_D70,
        "G 140, D 70": G140_D70,
        "G 140, D 140": G140_D140,
    },
    "figure8": {"restored": FINAL, "random tau": RANDOM_TAU},
    "figure9": {"restored": FINAL},
    "figure10": {"restored": FINAL},
    "figure11": {"restored": FINAL},
}

EXPERIMENTS = ("table1", *TABLES, *FIGURES)


def variants_of(experiment):
    """Returns the variants that an experiment needs, each once."""
    if experiment in TABLES:
        variants = [row.variant for row in TABLES[experiment].rows]
    else:
        variants = FIGURES.get(experiment, {}).values()
    return list(dict.fromkeys(variants))
