"""`tfexposure serve`: photos corrected over HTTP."""
