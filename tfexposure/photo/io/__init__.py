"""Files in, files out: pixels and all that a photo says about itself."""
