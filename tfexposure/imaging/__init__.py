"""The pixel formulas of exposure, each once."""
