"""The formulas of pixels, each once, for NumPy arrays and for tensors alike.

A function takes either and answers in kind (see `namespace`). Neither Keras nor
a backend is imported before the first tensor comes: photos are corrected
without them.
"""
