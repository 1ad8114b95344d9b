"""Continuous batching: a fixed number of rows, each of which takes the next prompt when its answer has ended.

Two programs do all the work. `prefill` (one for each padded length) runs about `PREFILL_TOKENS` tokens of prompts of
like length; `decode` writes up to `STEPS` tokens in every row and comes back earlier when enough rows have ended while
prompts wait. So a long answer holds one row, and the others go on.

The cache is paged (`jaxeap.sampling.paged_cache`): an answer has the blocks that it fills, and not room for the longest
answer that there could be, which for 32 rows of up to 32768 tokens would be most of the memory of a device. When the
pool is used up, the row that came last is copied to the host with its blocks, and goes on from there, to the bit,
when there is room; the row that came first always finds room.

What a row computes depends on its own tokens, on the number of rows, on the block size and on the padded length of its
prompt, and on nothing else: neither on its company nor on the order of work nor on the size of the pool.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.parallel.mesh import entered, example_groups
from jaxeap.sampling.batching import pad_right, padded_length
from jaxeap.sampling.block_pool import BlockPool, copy_in, copy_out
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import PagedCache, cache_groups, cache_layout
from jaxeap.sampling.step import Asked, Drawing, Drawn, Rows, decode, prefill
from jaxeap.sampling.stop_strings import Stop

STEPS = 32
"""Tokens of a row between two looks at what ended."""
PREFILL_TOKENS = 256
"""Tokens of prompts, padding included, that run at once, if a single prompt is not longer. On an accelerator this
costs little more than a step of decoding, which reads all weights too."""
REFILLED_AT_ONCE = 8
"""When prompts wait, `decode` comes back when one in so many rows has ended."""


class Request(NamedTuple):
    """One answer to write: to which prompt (its place in the caller's list), which of its samples, the draws' id."""

    place: int
    sample: int
    id: int
    prompt: Sequence[int]


class Answer(NamedTuple):
    """An answer: to the prompt at `place`, the how-manieth; `finished` tells one that ended from one that was cut."""

    place: int
    sample: int
    tokens: list[int]
    finished: bool


Report = Callable[[int, int, int], None]
"""Called after every device call with how many answers ended, tokens were kept and steps were made since."""


@dataclasses.dataclass(eq=False)
class _Row:
    """An answer that is being written, in a row of the batch or set aside on the host.

    Attributes:
      request: what is answered.
      turn: how many came before it.
      tokens: of the answer so far.
      blocks: of the cache; empty while set aside.
      content: of the blocks, while set aside.
    """

    request: Request
    turn: int
    tokens: list[int]
    blocks: list[int]
    content: list[PagedCache] = dataclasses.field(default_factory=list)

    @property
    def cached(self) -> int:
        """Tokens in the cache: all but the newest."""
        return len(self.request.prompt) + len(self.tokens) - 1


class ContinuousBatch:
    """The rows, the cache and what waits; `answers()` yields each answer as it ends.

    Raises:
      ValueError: the cache has no room for the longest answer, or the model has not as many positions.
    """

    def __init__(
        self,
        model: Decoder,
        requests: Sequence[Request],
        options: SamplingOptions,
        *,
        rows: int,
        longest_prompt: int,
        stop_tokens: Sequence[int],
        stop: Stop | None = None,
        report: Report = lambda answers, tokens, steps: None,
    ):
        """Makes room.

        Args:
          model: the decoder.
          requests: what is to be answered, in any order.
          options: its `samples` and `stop_strings` are the caller's business.
          rows: answers that are written at once.
          longest_prompt: tokens of the longest prompt, that of another call included that is to give the same bits.
          stop_tokens: tokens that end an answer.
          stop: what else ends one.
          report: see `Report`.
        """
        self._weights, self._config, self._options, self._stop, self._report = (
            model.weights, model.config, options, stop, report,
        )  # fmt: skip
        self._mesh = model.mesh
        self._drawing = Drawing(float(options.temperature), options.top_k, float(options.top_p))
        self._key = jax.random.key(options.seed)
        self._stop_tokens = tuple(stop_tokens)
        self._waiting = deque(sorted(requests, key=lambda request: -len(request.prompt)))
        self._aside: list[_Row] = []
        self._rows: list[_Row | None] = [None] * rows
        self._turns = 0

        layout = cache_layout(self._config, options, rows, longest_prompt)
        self._reserved, self._table_width = layout.reserved, layout.table_width
        groups = cache_groups(layout, rows, example_groups(self._mesh))
        self._cache = PagedCache.empty(self._config, layout.blocks, layout.slots, self._weights["embedding"], groups)
        self._pool = BlockPool(layout.blocks)

    def answers(self) -> Iterator[Answer]:
        """Writes all answers, and yields each as soon as it has ended."""
        while self._waiting or self._aside or self._active:
            self._bring_back()
            yield from self._take_in()
            self._make_room()
            if self._active:
                yield from self._advance()

    @property
    def _active(self) -> list[_Row]:
        """The rows that are being written, the first come first."""
        return sorted((row for row in self._rows if row is not None), key=lambda row: row.turn)

    def _take_in(self) -> Iterator[Answer]:
        """Gives free rows to waiting prompts, as long as there are blocks; those set aside come first."""
        while self._waiting and not self._aside and (group := self._next_group()):
            yield from self._prefill(group)

    def _next_group(self) -> list[_Row]:
        """The next prompts that run at once, with blocks; none where there is no row or no room for them."""
        group: list[_Row] = []
        length = padded_length(len(self._waiting[0].prompt))
        places = min(prompts_at_once(length, len(self._rows)), self._rows.count(None))
        while self._waiting and len(group) < places and padded_length(len(self._waiting[0].prompt)) == length:
            needed = self._blocks_for(len(self._waiting[0].prompt))
            if not self._has_room(needed):
                break
            row = _Row(self._waiting.popleft(), self._turns, [], [])
            self._enter(row, needed)
            group.append(row)
            self._turns += 1
        return group

    def _has_room(self, needed: int) -> bool:
        """For a newcomer with so many blocks."""
        others = len(self._active)
        # A block for each of the others to go on with; else the newcomer would be set aside at once.
        return self._reserved or self._pool.free >= needed + (others + 1 if others else 0)

    def _enter(self, row: _Row, needed: int) -> None:
        self._rows[self._rows.index(None)] = row
        self._take_blocks(row, needed)

    def _take_blocks(self, row: _Row, count: int) -> None:
        if self._reserved:
            places = range(len(row.blocks), len(row.blocks) + count)
            place = self._rows.index(row)
            row.blocks += [self._cache.reserved(place, len(self._rows), at) for at in places]
        else:
            row.blocks += self._pool.take(count)

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._cache.slots)

    def _prefill(self, group: list[_Row]) -> Iterator[Answer]:
        length = padded_length(len(group[0].request.prompt))
        size = prompts_at_once(length, len(self._rows))
        prompts, lengths = pad_right([row.request.prompt for row in group], length, size)
        blocks = np.full((size, self._blocks_for(length)), self._cache.blocks, np.int32)
        for place, row in enumerate(group):
            blocks[place, : len(row.blocks)] = row.blocks
        with entered(self._mesh):
            self._cache, tokens, finite = prefill(
                self._weights,
                self._config,
                self._cache,
                prompts,
                lengths,
                blocks,
                _asked(group, size),
                self._key,
                self._drawing,
            )
        _require_finite(hosts.from_first(finite))
        ended = []
        for row, token in zip(group, hosts.from_first(tokens).tolist(), strict=False):
            ended += self._write(row, [token])
        self._report(len(ended), len(group), 0)
        yield from ended

    def _make_room(self) -> None:
        """Gives every row the blocks for its next `STEPS` tokens; where there are none, the last come make way."""
        for row in self._active:
            ahead = min(row.cached + STEPS, len(row.request.prompt) + self._options.max_new_tokens - 1)
            needed = self._blocks_for(ahead) - len(row.blocks)
            while not self._reserved and row.blocks and needed > self._pool.free:
                self._set_aside(self._active[-1])
            if row.blocks and needed > 0:
                self._take_blocks(row, needed)

    def _set_aside(self, row: _Row) -> None:
        row.content = copy_out(self._cache, row.blocks)
        self._leave(row)
        self._aside.append(row)
        self._aside.sort(key=lambda row: row.turn)

    def _bring_back(self) -> None:
        while self._aside and None in self._rows:
            row = self._aside[0]
            needed = self._blocks_for(row.cached)
            if not self._has_room(needed):
                break
            self._enter(self._aside.pop(0), needed)
            self._cache = copy_in(self._cache, row.blocks, row.content)
            row.content = []

    def _leave(self, row: _Row) -> None:
        self._rows[self._rows.index(row)] = None
        if not self._reserved:
            self._pool.give_back(row.blocks)
        row.blocks = []

    def _advance(self) -> Iterator[Answer]:
        """Writes some tokens in every row."""
        drawn = self._decode()
        ended, kept = [], 0
        for place, row in enumerate(list(self._rows)):
            if row is not None:
                before = len(row.tokens)
                ended += self._write(row, drawn.tokens[place, : drawn.counts[place]].tolist())
                kept += len(row.tokens) - before
        self._report(len(ended), kept, int(drawn.steps))
        yield from ended

    def _decode(self) -> Drawn:
        size = len(self._rows)
        table = np.zeros((size, self._table_width), np.int32)
        latest, lengths, written, live = (np.zeros((size,), dtype) for dtype in (np.int32, np.int32, np.int32, bool))
        for place, row in enumerate(self._rows):
            if row is not None:
                table[place, : len(row.blocks)] = row.blocks
                latest[place], lengths[place], written[place] = row.tokens[-1], row.cached, len(row.tokens)
                live[place] = True
        waited_for = bool(self._waiting or self._aside)
        with entered(self._mesh):
            self._cache, drawn = decode(
                self._weights,
                self._config,
                self._cache,
                None if self._reserved else table,
                Rows(latest, lengths, written, live),
                _asked(self._rows, size),
                self._key,
                np.int32(max(1, size // REFILLED_AT_ONCE) if waited_for else size + 1),
                self._drawing,
                stop_tokens=self._stop_tokens,
                room=min(STEPS, self._options.max_new_tokens),
                max_new_tokens=self._options.max_new_tokens,
            )
        drawn = hosts.from_first(drawn)
        _require_finite(drawn.finite)
        return drawn

    def _write(self, row: _Row, new: list[int]) -> list[Answer]:
        """Adds tokens to an answer; gives the answer if it has ended, and its place and blocks to others."""
        before = len(row.tokens)
        row.tokens += new
        stopped = None if self._stop is None else self._stop(row.tokens, before)
        if stopped is not None:
            del row.tokens[stopped:]
        finished = stopped is not None or row.tokens[-1] in self._stop_tokens
        if not finished and len(row.tokens) < self._options.max_new_tokens:
            return []
        self._leave(row)
        return [Answer(row.request.place, row.request.sample, row.tokens, finished)]


def prompts_at_once(length: int, rows: int) -> int:
    """How many prompts of a padded length run at once, whatever waits: so there is one program for each length."""
    return max(1, min(PREFILL_TOKENS // length, rows))


def _asked(rows: Sequence[_Row | None], size: int) -> Asked:
    asked = Asked(np.zeros((size,), np.uint32), np.zeros((size,), np.int32))
    for place, row in enumerate(rows):
        if row is not None:
            asked.ids[place], asked.samples[place] = row.request.id, row.request.sample
    return asked


def _require_finite(finite: jax.Array) -> None:
    if not finite:
        raise ValueError("the model's logits are not finite: its weights are damaged, or overflow in this dtype")
