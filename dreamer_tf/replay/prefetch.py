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
    def block(self, count: int) -> Iterator["Block"]:
        """Gives a training phase its batches.

        Leaving the context early, by ``break`` or an error, gives back the batches that were
        prepared but not handed out: the next block begins with them.

        Args:
          count: Number of batches.

        Yields:
          An iterator over ``count`` batches. An error while one is drawn or converted is raised
          where that batch is asked for, again and again until `Block.draw_anew`.
        """
        if self._busy:
            raise RuntimeError("a block of batches is still in use")
        block = Block(self._draw, self._executor, self._replay, count, self._depth)
        self._busy = True
        try:
            yield block
        finally:
            block.stop()
            self._busy = False

    def _draw(self):
        batch = self._replay.sample(self._batch_size, self._length)
        state = self._replay.state()
        return (self._convert(batch) if self._convert else batch), state


class Block:
    """The batches of one training phase."""

    def __init__(
        self,
        draw: Callable[[], tuple[Any, Any]],
        executor: concurrent.futures.Executor,
        replay: Any,
        count: int,
        depth: int,
    ) -> None:
        """Begins to prepare them.

        Args:
          draw: Function without arguments, called in the thread: a batch, and the replay's state.
          executor: The thread.
          replay: As for `Prefetch`.
          count: Number of batches.
          depth: Batches prepared ahead of the one in use, at most.
        """
        self._draw = draw
        self._executor = executor
        self._replay = replay
        self._state = replay.state()  # After the last batch that was handed out.
        self._left = count  # Not handed out yet.
        self._depth = depth
        self._futures: collections.deque[concurrent.futures.Future] = collections.deque()
        self._ask()

    def __iter__(self):
        return self

    def __next__(self):
        if not self._left:
            raise StopIteration
        batch, state = self._futures[0].result()
        self._futures.popleft()
        self._left -= 1
        self._state = state
        self._ask()
        return batch

    def draw_anew(self) -> None:
        """Prepares once more what was not handed out. No batch drawn before may still be in use."""
        self._give_back()
        self._ask()

    def stop(self) -> None:
        """Gives back what was not handed out; there are no further batches."""
        self._left = 0
        self._give_back()

    def _ask(self):
        while len(self._futures) < min(self._depth, self._left):
            self._futures.append(self._executor.submit(self._draw))

    def _give_back(self):
        for future in self._futures:
            future.cancel()
        concurrent.futures.wait(self._futures)
        self._futures.clear()
        self._replay.restore(self._state)
