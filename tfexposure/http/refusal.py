"""What a request is told that is not done."""


class Refusal(Exception):
    """A request that is answered with an error, in one line.

    Args:
        status: of HTTP, 400 or above.
        message: what was expected and what came.
        headers: dict of further headers, such as `Retry-After`.
    """

    def __init__(self, status, message, headers=None):
        super().__init__(" ".join(str(message).split()))
        self.status = status
        self.headers = headers or {}
