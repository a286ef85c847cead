"""How bright a colour is. Imports nothing: packing photos needs no Keras."""

# Of R, G and B display values, as the histogram similarity has them (Hu et al.,
# Exposure, 2018; Le Jeune, section 3.4.1).
LUMINANCE_WEIGHTS = (0.27, 0.67, 0.06)
