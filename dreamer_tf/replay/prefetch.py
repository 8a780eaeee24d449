"""Batches prepared in a thread while the model trains on the one before."""

import collections
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Self

from dreamer_tf.replay.replay import Replay
from dreamer_tf.replay.samplers import Batch


class Prefetch:
    """Draws batches ahead of their use, without changing which batches are used.

    A training phase asks for a block of batches. They are drawn in order by one thread, a few
    ahead. When the block ends, nothing is left in flight, and the replay's state counts the
    batches handed out and no others, so that a checkpoint between blocks is exact::

        with Prefetch(replay, batch_size=50, length=50, convert=to_tensors) as prefetch:
            with prefetch.block(100) as batches:
                for batch in batches:
                    train_step(batch)
    """

    def __init__(
        self,
        replay: Replay,
        *,
        batch_size: int,
        length: int,
        depth: int = 2,
        convert: Callable[[Batch], Any] | None = None,
    ) -> None:
        """Starts without drawing anything.

        Args:
          replay: A `Replay`, or what has its `sample`, `state` and `restore`.
          batch_size: Sequences of a batch.
          length: Rows of a sequence.
          depth: Batches prepared ahead of the one in use, at most.
          convert: Function applied to each batch in the thread; None leaves it as it is.
        """
        if depth < 1:
            raise ValueError(f"prefetch depth: expected at least 1, got {depth}")
        self._replay = replay
        self._batch_size = batch_size
        self._length = length
        self._depth = depth
        self._convert = convert
        self._executor = concurrent.futures.ThreadPoolExecutor(1, "replay-prefetch")
        self._busy = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the thread."""
        self._executor.shutdown(wait=True)

    @contextlib.contextmanager
    def block(self, count: int) -> Iterator[Iterator[Any]]:
        """Gives a training phase its batches.

        Leaving the context early, by ``break`` or an error, gives back the batches that were
        prepared but not handed out: the next block begins with them.

        Args:
          count: Number of batches.

        Yields:
          An iterator over ``count`` batches. An error while one is drawn or converted is raised
          where that batch is asked for.
        """
        if self._busy:
            raise RuntimeError("a block of batches is still in use")
        block = _Block(self._draw, self._executor, count, self._depth, self._replay.state())
        self._busy = True
        try:
            yield block
        finally:
            block.stop()
            self._replay.restore(block.state)
            self._busy = False

    def _draw(self):
        batch = self._replay.sample(self._batch_size, self._length)
        state = self._replay.state()
        return (self._convert(batch) if self._convert else batch), state


class _Block:
    """The batches of one training phase; ``state`` is the replay's after the last handed out."""

    def __init__(self, draw, executor, count, depth, state):
        self.state = state
        self._draw = draw
        self._executor = executor
        self._unasked = count
        self._futures = collections.deque()
        for _ in range(depth):
            self._ask()

    def __iter__(self):
        return self

    def __next__(self):
        if not self._futures:
            raise StopIteration
        batch, state = self._futures[0].result()
        self._futures.popleft()
        self._ask()
        self.state = state
        return batch

    def stop(self):
        for future in self._futures:
            future.cancel()
        concurrent.futures.wait(self._futures)
        self._futures.clear()
        self._unasked = 0

    def _ask(self):
        if self._unasked:
            self._unasked -= 1
            self._futures.append(self._executor.submit(self._draw))
