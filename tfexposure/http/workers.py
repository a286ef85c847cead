"""A bounded number of requests, worked on by a few threads in their turn."""

import asyncio
import threading
from concurrent import futures

from tfexposure.http.refusal import Refusal

# What a client that went away would have been told; nobody reads it.
GONE = 499


class Stopped(Exception):
    """Work was given up: nobody waits for its answer any more."""


class Stop:
    """Tells a thread to give up; works as a `progress` of `correct_photo`."""

    def __init__(self):
        self._event = threading.Event()

    def set(self):
        """Lets the next call raise."""
        self._event.set()

    def __call__(self, share=0.0):
        if self._event.is_set():
            raise Stopped


class Workers:
    """Does the work of requests in threads, and refuses what is too much.

    Args:
        threads: int, requests worked on at the same time.
        queue: int, further requests that may wait, or upload.
        timeout: seconds that a request may take, its upload included.
    """

    def __init__(self, threads, queue, timeout):
        self._pool = futures.ThreadPoolExecutor(threads, "tfexposure-serve")
        self._places = threads + queue
        self._timeout = timeout
        self._lock = threading.Lock()
        self.in_hand = 0

    async def run(self, request, prepare):
        """Admits a request, reads it and does its work.

        Its place is free again when its thread has really ended.

        Args:
            request: of Starlette, whose body is not read yet.
            prepare: coroutine function of the request, which reads it, to a
                function of a `Stop`.

        Returns:
            what that function returns.

        Raises:
            Refusal: if there is no place, or no answer in time.
        """
        self._take_place()
        work, stop = None, Stop()
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                job = await prepare(request)
            work = self._pool.submit(job, stop)
        except TimeoutError:
            raise Refusal(
                408, f"the request was not sent within {self._timeout:g} s"
            ) from None
        finally:
            if work is None:
                self._free_place()
        work.add_done_callback(lambda _: self._free_place())
        return await self._answer(request, work, stop, deadline)

    async def _answer(self, request, work, stop, deadline):
        """Waits for the answer, the deadline or the client's farewell."""
        left = deadline - asyncio.get_running_loop().time()
        answer = asyncio.wrap_future(work)
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait(
                {answer, gone},
                timeout=left,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if answer.done():
                return answer.result()
            if gone.done():
                raise Refusal(GONE, "the client went away")
            raise Refusal(504, f"no answer within {self._timeout:g} s")
        finally:
            stop.set()
            answer.cancel()
            gone.cancel()

    def close(self):
        """Ends the threads; nothing may be in hand."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _take_place(self):
        with self._lock:
            if self.in_hand >= self._places:
                raise Refusal(
                    503,
                    f"{self.in_hand} requests are in hand; try again later",
                    {"Retry-After": "1"},
                )
            self.in_hand += 1

    def _free_place(self):
        with self._lock:
            self.in_hand -= 1


async def _until_gone(request):
    """Returns when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
