"""What a server tells Prometheus of itself."""

import prometheus_client

# Seconds; a small photo takes a tenth, 100 megapixels take half a minute.
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests and photos.

    Args:
        in_hand: function without arguments, to the requests admitted now.
    """

    def __init__(self, in_hand):
        self._registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self._registry)
        prometheus_client.Gauge(
            "tfexposure_requests_in_hand",
            "Requests admitted and not yet answered",
            registry=self._registry,
        ).set_function(in_hand)
        self._requests = prometheus_client.Counter(
            "tfexposure_requests",
            "Requests answered",
            ["endpoint", "code"],
            registry=self._registry,
        )
        self._seconds = prometheus_client.Histogram(
            "tfexposure_request_seconds",
            "Time from a request's header to its answer",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._photos = prometheus_client.Counter(
            "tfexposure_photos",
            "Photos by what became of them",
            ["status"],
            registry=self._registry,
        )
        self._pixels = prometheus_client.Counter(
            "tfexposure_pixels",
            "Pixels of these photos",
            registry=self._registry,
        )

    def tell_request(self, endpoint, code, seconds):
        """Counts an answered request."""
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def tell_photo(self, status, pixels):
        """Counts a photo: `results.CORRECTED`, `UNCHANGED` or `FAILED`."""
        self._photos.labels(status).inc()
        self._pixels.inc(pixels)

    def exposition(self):
        """All figures as (bytes, content type) in Prometheus's text format."""
        text = prometheus_client.generate_latest(self._registry)
        return text, prometheus_client.CONTENT_TYPE_LATEST
