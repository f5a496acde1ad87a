"""Market state: every kernel composed, from trades or ready-made bars to evaluated rows.

Life of a trade. `_apply` looks ahead for the trade that ends the open primary bar. The trades up
to it are taken at once: filtered into the tick buffer with their side resolved, then added to
the bar, the footprint, the large trades and the micro stream, each in a loop of its own over
memory that lies side by side. A batch and a single live trade go through the same code, so any
split of a tape leaves the same state.

Life of a bar. `_close` runs the steps of a primary close in their fixed order and leaves one
`Row` with all results. Nothing of the next bar, and no later trade, is known to it.
"""

cimport cython
from libc.math cimport NAN, isnan
from libc.string cimport memchr, memcpy, memset

import numpy as np

from mia._fast import records

from mia._fast.bars cimport (
    CLOSED_WITH,
    KIND_REVERSAL,
    KIND_TIME,
    KIND_VOLUME,
    OPEN,
    find_session,
)
from mia._fast.feature_score cimport score_row
from mia._fast.order_flow cimport stacked_imbalance
from mia._fast.records cimport FLAG_READY_MADE, FLAG_SESSION_END, clip, dmax
from mia._fast.timeframes cimport average_true_range, detect_on, phase_of

cdef int64_t SECOND = 1_000_000_000

CLOSE = EVENT_CLOSE
SETUP = EVENT_SETUP
SESSION = EVENT_SESSION
ROWS = EVENT_ROWS
PENDING = EVENT_PENDING


@cython.final
cdef class MarketState:
    """State of one market, advanced by trades or by ready-made bars.

    Parameters
    ----------
    params : ndarray of records.PARAMS_DTYPE, shape (1,)
    sessions : ndarray of records.SESSION_DTYPE, shape (n,)
        Ascending calendar days without holes that cover the data.
    primary, micro : str
        Streams as ``kind:argument``; ready-made bars need a primary time bar.
    ready_made : bool
        Whether the source delivers bars instead of trades.
    ring : int
        Trades kept in `ticks`.
    rows : int
        Rows that can wait to be taken while `record` is set.

    Attributes
    ----------
    wake : int
        Events (`CLOSE`, `SETUP`, `SESSION`) that end `advance`; `CLOSE` by default.
    record : bool
        Keep each row until `take_rows`; a full buffer ends `advance` with `ROWS`.
    rejected, accepted : int
        Trades (or bars) refused and applied since the start.

    Raises
    ------
    ValueError
        If a stream is unknown or the session table is not ascending.
    """

    def __cinit__(
        self,
        const Params[::1] params not None,
        const Session[::1] sessions not None,
        str primary="time:60",
        str micro="reversal:4",
        bint ready_made=False,
        Py_ssize_t ring=8192,
        Py_ssize_t rows=2048,
    ):
        cdef Py_ssize_t k
        cdef int64_t timeout
        if rows < 1:
            raise ValueError(f"rows must be at least 1, was {rows}")
        if ring <= params[0].feat_f7_trades:
            raise ValueError(
                f"ring must exceed feat.f7_trades, {params[0].feat_f7_trades}, was {ring}"
            )
        for k in range(1, sessions.shape[0]):
            if sessions[k].t_open != sessions[k - 1].t_end:
                raise ValueError(f"session table has a hole before {sessions[k].session_id}")
        self._p = params[0]
        self._sessions = sessions
        self._session = -1
        self.ticks = TickBuffer(ring)
        self.primary = BarSeries()
        self.micro = BarSeries()
        self.levels = SessionLevels(params)
        self.footprint = Footprint()
        self._builder = BarBuilder(primary, self._p.feat_f8_min_lots)
        if ready_made:
            if self._builder.kind != KIND_TIME:
                raise ValueError(f"ready-made bars need a primary time bar, was {primary!r}")
            self._ready_made = Resampler(self._builder.argument)
        else:
            self._micro_builder = BarBuilder(micro, self._p.feat_f8_min_lots)
        width = self._builder.argument if self._builder.kind == KIND_TIME else 0
        self.timeframes = Timeframes(params, width)
        self._volume_ref = PhaseRings(self._p.stats_vol_ref_bars, self._p.stats_vol_ref_min)
        self._atr_ref = PhaseRings(self._p.stats_vol_ref_bars, self._p.stats_vol_ref_min)
        self._micro_volume_ref = PhaseRings(self._p.stats_vol_ref_bars, self._p.stats_vol_ref_min)
        timeout = self._p.bn_pattern_timeout_min * 60 * SECOND
        self._patterns = PatternMemory(timeout)
        self._navale = BattleNavale(params)
        self._regime = RegimeClassifier(params)
        self.order_flow = OrderFlow(params)
        self.options = OptionsState(params)
        self._tiers = TierRanker(params)
        self.confluence = Confluence(params)
        self._evidence = Evidence(params)
        self._setups = Setups(params)
        memory = np.zeros(rows, records.ROW_DTYPE)
        self._rows = memory
        self._rows_memory = memory.view()
        self._rows_memory.flags.writeable = False
        self._newest = -1
        self.wake = EVENT_CLOSE
        self.clear_options()

    def advance(
        self,
        const int64_t[::1] ts not None,
        const int32_t[::1] price not None,
        const int32_t[::1] size not None,
        const int8_t[::1] side not None,
        Py_ssize_t start=0,
    ):
        """Apply trades from `start` until an event of `wake`, and return where it stopped.

        Trades before the returned index are applied, those from it on are not: a bar that the
        next trade closes is evaluated before that trade is known. `events` tells what happened;
        with no event the batch is used up.

        Parameters
        ----------
        ts, price, size, side : ndarray, shape (n,)
            ns UTC, ticks, contracts, aggressor (+1, -1, 0).
        start : int
            First trade to apply.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If this state takes ready-made bars, columns differ in length, a trade lies outside
            the session table, or the contract changed inside a session.
        RuntimeError
            If another thread is inside, `on_trade` waits for `resume`, or recorded rows fill
            their buffer.
        """
        cdef Py_ssize_t n = ts.shape[0], stop
        if self._ready_made is not None:
            raise ValueError("this market state takes ready-made bars, not trades")
        if not (price.shape[0] == n and size.shape[0] == n and side.shape[0] == n):
            raise ValueError("columns differ in length")
        if not 0 <= start <= n:
            raise ValueError(f"start must be in [0, {n}], was {start}")
        self._enter()
        try:
            if start == n:
                return n
            with nogil:
                stop = self._apply(&ts[0], &price[0], &size[0], &side[0], start, n)
            return stop
        finally:
            self._busy = False

    def on_trade(self, int64_t ts, int32_t price, int32_t size, int8_t side):
        """Apply one live trade and return the events.

        If a bar had to be evaluated first and the event is one of `wake`, the trade waits and
        `PENDING` is set: act on the row, then call `resume`. Errors are those of `advance`.
        """
        cdef Py_ssize_t done
        if self._ready_made is not None:
            raise ValueError("this market state takes ready-made bars, not trades")
        if self._busy or self._has_pending or self._n_rows == self._rows.shape[0]:
            self._refuse()
        self._events = 0
        done = self._apply(&ts, &price, &size, &side, 0, 1)
        if done == 0:
            self._pending_ts = ts
            self._pending_price = price
            self._pending_size = size
            self._pending_side = side
            self._has_pending = True
            self._events |= EVENT_PENDING
        return self._events

    def resume(self):
        """Apply the trade that waits, if any, and return the events."""
        if not self._has_pending:
            return 0
        self._has_pending = False
        try:
            return self.on_trade(
                self._pending_ts, self._pending_price, self._pending_size, self._pending_side
            )
        except RuntimeError:
            self._has_pending = True
            raise

    def advance_clock(self, int64_t now):
        """Close the open time bar if `now` has reached its end, and return the events."""
        cdef Bar bar
        self._enter()
        try:
            if (
                self._builder.kind == KIND_TIME
                and self._builder.has_bar
                and now >= self._builder.bar.t_close
            ):
                self._builder.finish(now, 0, &bar)
                self._close(&bar)
            return self._events
        finally:
            self._busy = False

    def _refuse(self):
        if self._busy:
            raise RuntimeError("this market state is advanced by another thread")
        if self._has_pending:
            raise RuntimeError("a trade waits: call resume() first")
        if self.record and self._n_rows == self._rows.shape[0]:
            raise RuntimeError("the buffer of rows is full: call take_rows() first")

    def _enter(self):
        self._refuse()
        self._busy = True
        self._events = 0

    cdef Py_ssize_t _apply(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t start,
        Py_ssize_t stop,
    ) except -1 nogil:
        cdef Py_ssize_t i = start, j, reach, session_stop = -1
        cdef int outcome = OPEN
        cdef Bar bar
        cdef const Session* session = NULL
        if self._session >= 0:
            session = &self._sessions[self._session]
        while i < stop:
            if size[i] <= 0 or (session != NULL and ts[i] < session.t_open):
                self.rejected += size[i] != 0
                i += 1
                continue
            if session == NULL or ts[i] >= session.t_end:
                if self._builder.has_bar:
                    self._builder.finish(self._last_ts, FLAG_SESSION_END, &bar)
                    self._close(&bar)
                    if self._events & (self.wake | EVENT_ROWS):
                        return i
                self._begin_session(ts[i])
                session = &self._sessions[self._session]
                session_stop = -1
                if self.wake & EVENT_SESSION:
                    return i
            if self._contract != self._next_contract:
                raise ValueError("the contract may change only between sessions")
            if not self._builder.has_bar:
                self._builder.begin(session, ts[i], price[i])
                self.footprint.reset()
            reach = min(stop, i + self.ticks.capacity)
            if self._builder.kind != KIND_TIME:
                if session_stop <= i:
                    session_stop = i + 1
                    while session_stop < stop and (
                        session.t_open <= ts[session_stop] < session.t_end
                        or size[session_stop] <= 0
                    ):
                        session_stop += 1
                reach = min(reach, session_stop)
            j = self._builder.scan(ts, price, size, i, reach, &outcome)
            if j > i:
                self._take(ts, price, size, side, i, j)
                i = j
            if outcome != OPEN:
                self._builder.finish(
                    self._last_ts if outcome == CLOSED_WITH else ts[i], 0, &bar
                )
                self._close(&bar)
                if self._events & (self.wake | EVENT_ROWS):
                    return i
        return i

    cdef int _take(
        self,
        const int64_t* ts,
        const int32_t* price,
        const int32_t* size,
        const int8_t* side,
        Py_ssize_t start,
        Py_ssize_t stop,
    ) except -1 nogil:
        """Add the trades of [start, stop), which belong to the open bar, to everything."""
        cdef Py_ssize_t k, n = stop - start, tail
        cdef int64_t t_open = self._sessions[self._session].t_open
        cdef int64_t large = self._p.feat_f8_min_lots
        cdef int64_t high, low
        cdef int64_t* cells
        cdef int refused = 0
        cdef int64_t* to_ts
        cdef int32_t* to_price
        cdef int32_t* to_size
        cdef int8_t* to_side
        self.ticks.make_room(n)
        tail = self.ticks._tail
        to_ts = &self.ticks._ts_event[tail]
        to_price = &self.ticks._price[tail]
        to_size = &self.ticks._trade_size[tail]
        to_side = &self.ticks._side[tail]
        for k in range(start, stop):
            refused |= (size[k] <= 0) | (ts[k] < t_open)
        if not refused:
            memcpy(to_ts, ts + start, n * sizeof(int64_t))
            memcpy(to_price, price + start, n * sizeof(int32_t))
            memcpy(to_size, size + start, n * sizeof(int32_t))
            memcpy(to_side, side + start, n)
        else:
            n = 0
            for k in range(start, stop):
                if size[k] <= 0 or ts[k] < t_open:
                    self.rejected += size[k] != 0
                    continue
                to_ts[n] = ts[k]
                to_price[n] = price[k]
                to_size[n] = size[k]
                to_side[n] = side[k]
                n += 1
            if n == 0:
                return 0
        self._infer_sides(to_price, to_side, n)
        self._last_ts = to_ts[n - 1]
        self._session_trades += n
        self.accepted += n
        self.ticks._tail += n
        self.ticks._size += n
        self.ticks.total += n
        high = self._builder.bar.high
        low = self._builder.bar.low
        self.footprint.cover(low, high)
        cells = self.footprint._prints.data + 1 - 3 * self.footprint._prints.base
        for k in range(n):
            if to_price[k] > high or to_price[k] < low:
                high = max(high, to_price[k])
                low = min(low, to_price[k])
                self.footprint.cover(low, high)
                cells = self.footprint._prints.data + 1 - 3 * self.footprint._prints.base
            cells[3 * <int64_t> to_price[k] + (to_side[k] > 0) - (to_side[k] < 0)] += to_size[k]
            if to_size[k] >= large:
                self._builder.bar.large_volume += to_size[k]
                if to_side[k] != 0:
                    self.order_flow.large_trades.push(to_ts[k], to_size[k], to_side[k])
        self._builder.bar.high = high
        self._builder.bar.low = low
        self._builder.bar.close = to_price[n - 1]
        self._builder.bar.trades += n
        if self._builder.kind == KIND_VOLUME:
            self.footprint.total(&self._builder.bar)
        return self._run_micro(n)

    cdef void _infer_sides(
        self, const int32_t* price, int8_t* side, Py_ssize_t n
    ) noexcept nogil:
        """Apply the tick rule: unknown sides take the sign of the last change of price."""
        cdef Py_ssize_t k
        cdef int64_t last = self._last_price if self._has_last else price[0]
        cdef int sign = self._tick_sign
        if self._p.flow_side_fallback and memchr(side, 0, n) != NULL:
            for k in range(n):
                if price[k] != last:
                    sign = 1 if price[k] > last else -1
                    last = price[k]
                if side[k] == 0:
                    side[k] = <int8_t> sign
        else:
            # Every side is known: only the newest change of price matters for what follows.
            k = n - 1
            while k > 0 and price[k - 1] == price[k]:
                k -= 1
            if k > 0:
                last = price[k - 1]
            if price[k] != last:
                sign = 1 if price[k] > last else -1
        self._has_last = True
        self._last_price = price[n - 1]
        self._tick_sign = sign

    cdef int _run_micro(self, Py_ssize_t n) except -1 nogil:
        """Feed the newest `n` trades of the tick buffer to the micro stream."""
        cdef Py_ssize_t tail = self.ticks._tail - n, m = 0, j
        cdef const int64_t* ts = &self.ticks._ts_event[tail]
        cdef const int32_t* price = &self.ticks._price[tail]
        cdef const int32_t* size = &self.ticks._trade_size[tail]
        cdef const int8_t* side = &self.ticks._side[tail]
        cdef int outcome = OPEN
        cdef Bar bar
        while m < n:
            if not self._micro_builder.has_bar:
                self._micro_builder.begin(&self._sessions[self._session], ts[m], price[m])
            if self._micro_builder.kind == KIND_REVERSAL:
                j = m + self._micro_builder.sweep(price + m, size + m, side + m, n - m, &outcome)
            else:
                j = self._micro_builder.scan(ts, price, size, m, n, &outcome)
                self._micro_builder.extend(price + m, j - m)
                self._micro_builder.add_flow(size + m, side + m, j - m)
            if outcome != OPEN:
                self._micro_builder.finish(ts[j - 1] if outcome == CLOSED_WITH else ts[j], 0, &bar)
                self._close_micro(&bar)
            m = j
        return 0

    cdef void _close_micro(self, const Bar* bar) noexcept nogil:
        cdef const Bar* last = self.micro.push(bar)
        cdef Py_ssize_t count = self.micro.count
        cdef int64_t phase = phase_of(&self._sessions[self._session], bar.t_open)
        cdef double cold = self._p.stats_vol_ref_cold
        cdef double vol_ref = cold, atr = 1.0
        cdef bint strict = self._micro_builder.kind == KIND_REVERSAL
        if not self._p.bn_absolute_refs:
            vol_ref = self._micro_volume_ref.reference(phase, cold)
        if not strict:
            atr = average_true_range(last, count, self._p.stats_atr_bars)
        detect_on(
            self._patterns, last, count, atr, vol_ref, strict, &self._p, self._pattern_hit
        )
        if bar.t_open >= self._gap_until:
            self._micro_volume_ref.push(phase, <double> bar.volume)

    def advance_bars(self, const Bar[::1] bars not None, Py_ssize_t start=0):
        """Apply ready-made bars from `start` until an event of `wake`; return where it stopped.

        Parameters
        ----------
        bars : ndarray of records.BAR_DTYPE, shape (n,)
            In time order, checked, each no wider than the primary bar; ``t_open``, ``t_close``,
            prices, volumes and trades are read.
        start : int
            First bar to apply.

        Returns
        -------
        int
            Number of bars applied in total; the row of the last of them is evaluated.

        Raises
        ------
        ValueError
            If this state takes trades, a bar lies outside the session table, or the contract
            changed inside a session.
        """
        cdef Py_ssize_t n = bars.shape[0], i = start
        cdef const Session* session
        cdef Bar member, closed
        if self._ready_made is None:
            raise ValueError("this market state takes trades, not ready-made bars")
        if not 0 <= start <= n:
            raise ValueError(f"start must be in [0, {n}], was {start}")
        self._enter()
        try:
            with nogil:
                while i < n:
                    member = bars[i]
                    if self._session >= 0 and (
                        member.t_open < self._sessions[self._session].t_open
                    ):
                        self.rejected += 1
                        i += 1
                        continue
                    if (
                        self._session < 0
                        or member.t_open >= self._sessions[self._session].t_end
                    ):
                        if self._ready_made.has_bar:
                            closed = self._ready_made.bar
                            self._ready_made.has_bar = False
                            self._close(&closed)
                            if self._events & (self.wake | EVENT_ROWS):
                                break
                        self._begin_session(member.t_open)
                        if self.wake & EVENT_SESSION:
                            break
                    if self._contract != self._next_contract:
                        raise ValueError("the contract may change only between sessions")
                    session = &self._sessions[self._session]
                    if self._ready_made.close_before(&member, session, &closed):
                        self._close(&closed)
                        if self._events & (self.wake | EVENT_ROWS):
                            break
                    member.session_id = session.session_id
                    member.flags = FLAG_READY_MADE
                    member.pv = 0
                    member.p2v = 0
                    member.large_volume = 0
                    i += 1
                    self.accepted += 1
                    if self._ready_made.add(&member, session, &closed):
                        self._close(&closed)
                        if self._events & (self.wake | EVENT_ROWS):
                            break
            return i
        finally:
            self._busy = False

    cdef int _end_session(self) except -1 nogil:
        """Keep what the next session carries of the one that ends."""
        cdef Bar bar
        cdef const Session* session = &self._sessions[self._session]
        if self._micro_builder is not None and self._micro_builder.has_bar:
            self._micro_builder.finish(self._last_ts, FLAG_SESSION_END, &bar)
            self._close_micro(&bar)
        self.levels.keep(session)
        self.timeframes.flush(session)
        self._tiers.end_session()
        return 0

    cdef int _begin_session(self, int64_t ts) except -1 nogil:
        cdef int64_t k = find_session(self._sessions, ts), lost
        cdef int kind
        if k < 0:
            raise ValueError("data lie outside the session table")
        if self._session >= 0:
            self._end_session()
            self.options.end_session(&self._sessions[self._session])
        if self._session >= 0:
            for lost in range(self._session + 1, k):
                if self._misses_rth(lost):
                    # The session that gives the previous levels was not seen.
                    self.levels.forget_previous()
        self._session = k
        if self._contract != self._next_contract:
            self._contract = self._next_contract
            self.levels.forget_previous()
            self._forget_options()
            self.options.change_contract(self._next_settle)
        self._builder.reset()
        if self._micro_builder is not None:
            self._micro_builder.reset()
        if self._ready_made is not None:
            self._ready_made.reset()
        self.ticks.reset()
        self.primary.reset()
        self.micro.reset()
        self.levels.reset()
        self.footprint.reset()
        self.timeframes.reset()
        self._patterns.reset()
        self._navale.reset()
        self._regime.reset()
        self.order_flow.start(self._sessions[k].t_open)
        self.confluence.clear()
        self._evidence.clear()
        for kind in range(4):
            self._pattern_hit[kind] = 0
        self._has_last = False
        self._tick_sign = 0
        self._session_trades = 0
        self._has_gap = False
        if self._gap_until > self._sessions[k].t_open:
            self._open_gap()
        self._events |= EVENT_SESSION
        return 0

    cdef int _close(self, Bar* bar) except -1 nogil:
        """Evaluate a closed primary bar, in the order of the method."""
        cdef const Session* session = &self._sessions[self._session]
        cdef const Bar* last
        cdef Py_ssize_t count, k, n
        cdef int64_t phase = phase_of(session, bar.t_open)
        cdef int64_t volume = 0
        cdef double cold = self._p.stats_vol_ref_cold, stacked = NAN, weight = 0.5
        cdef Py_ssize_t wanted
        cdef const double* hvn = NULL
        cdef Row* row
        cdef bint whole = bar.t_open >= self._gap_until
        if self._has_gap:
            self._whole = self._whole + 1 if whole else 0
        if self._ready_made is None:
            self.footprint.total(bar)
        last = self.primary.push(bar)
        count = self.primary.count
        self._newest = self._n_rows if self.record else 0
        row = &self._rows[self._newest]
        memset(row, 0, sizeof(Row))
        row.bar = bar[0]
        row.index = count - 1
        row.contract = self._contract
        row.phase = phase_of(session, bar.t_close)
        row.rth = session.t_rth_open <= bar.t_open < session.t_rth_close
        row.t_rth_open = session.t_rth_open
        row.t_rth_close = session.t_rth_close

        row.atr = average_true_range(last, count, self._p.stats_atr_bars)
        row.atr_valid = count >= self._p.stats_atr_min_bars and not (
            self._has_gap and self._whole <= self._p.stats_atr_bars
        )
        n = min(count - 1, self._p.stats_vol_bars)
        row.vr = 1.0
        if n >= self._p.stats_vol_min_bars and not (
            self._has_gap and self._whole <= self._p.stats_vol_bars
        ):
            for k in range(1, n + 1):
                volume += last[-k].volume
            row.vr = <double> bar.volume * n / volume
            row.vr_valid = 1
        row.vol_ref = cold
        if not self._p.bn_absolute_refs:
            row.vol_ref = self._volume_ref.reference(phase, cold)
        row.atr_ref = self._atr_ref.reference(phase, NAN)

        self.levels.add(
            bar, &self.footprint._prints if self._ready_made is None else NULL, session, row
        )

        if self._ready_made is not None:
            detect_on(
                self._patterns,
                last,
                count,
                row.atr,
                row.vol_ref,
                False,
                &self._p,
                self._pattern_hit,
            )
        self._patterns.present(bar.t_close, row.pattern)
        for k in range(4):
            row.pattern_hit[k] = self._pattern_hit[k]
            self._pattern_hit[k] = 0

        self._navale.update(
            last,
            count,
            row.atr,
            row.vol_ref,
            dmax(row.pattern[0], row.pattern[3]),
            dmax(row.pattern[1], row.pattern[2]),
            &row.battle,
        )
        self._regime.update(last, count, row.atr, row.vslope, &row.regime)

        self.timeframes.add(last, session)
        if not isnan(row.atr_ref):
            weight = clip(row.atr / (2.0 * row.atr_ref), 0.0, 1.0) if row.atr_ref > 0.0 else 0.0
        row.vol01 = weight
        row.mtf_valid = self.timeframes.combine(weight, &row.mtf)
        if self._has_gap:
            row.mtf_valid = 0
            row.mtf = 0.0

        if self.options.active:
            self.options.refresh(last, count, session, &self._options)
        row.options_quality = self._options.quality
        row.gamma_flip = self._options.gamma_flip
        row.call_wall = self._options.call_wall
        row.put_wall = self._options.put_wall
        for k in range(6):
            row.feature[8 + k] = self._options.feature[k] if self._options.valid[k] else 0.0
            row.valid[8 + k] = self._options.valid[k]
        if self._ready_made is None:
            n = self.footprint.split(bar.low, bar.high)
            if n > 0:
                stacked = stacked_imbalance(
                    &self.footprint._bid[0], &self.footprint._ask[0], n, &self._p
                )
            wanted = self._p.feat_f7_trades + 1
            wanted = min(wanted, self._session_trades)
            wanted = min(wanted, self.ticks._size)
            k = self.ticks._tail - wanted
            self.order_flow.update(
                last,
                count,
                stacked,
                &self.ticks._price[k],
                &self.ticks._trade_size[k],
                &self.ticks._side[k],
                wanted,
                row,
            )
        else:
            self.order_flow.update(last, count, NAN, NULL, NULL, NULL, 0, row)
        if self._has_gap:
            self._doubt(row)
        score_row(row, &self._p)
        row.tier = self._tiers.tier(row.feature_score)
        if row.rth and not self._has_gap:
            self._tiers.push(row.feature_score)

        n = 0
        if row.developing_valid:
            n = self.levels.nodes(bar, session, &hvn)
        self.confluence.update(last, count, row, &self._options, hvn, n)
        self._evidence.update(
            last,
            count,
            row,
            &self._options,
            self.confluence.zones,
            self.confluence.n_zones,
            self.order_flow.book.spread_z(),
            self.order_flow.book.raw if self.order_flow.book.good > 0 else NAN,
        )
        self._setups.update(last, count, row, &self._options)

        if whole:
            self._volume_ref.push(phase, <double> bar.volume)
        if not self._has_gap or self._whole > self._p.stats_atr_bars:
            self._atr_ref.push(phase, row.atr)
        self._reasons[row.reason] += 1
        self._events |= EVENT_CLOSE
        if row.reason == 0:
            self._events |= EVENT_SETUP
        if self.record:
            self._n_rows += 1
            if self._n_rows == self._rows.shape[0]:
                self._events |= EVENT_ROWS
        return 0

    def mark_gap(self, int64_t since, int64_t until):
        """Announce that trades after `since` and before `until` are missing, and will stay so.

        Until the session ends, whatever rests on all of its trades is invalid: the features of
        CVD, large trades, regime, VWAP and volume, VWAP and profile levels, the time frames. What
        looks back over a few bars is valid again once these bars miss nothing. Incomplete bars
        enter no reference ring, scores of such a session no ranking, and a session without its
        regular hours gives no previous levels.

        Parameters
        ----------
        since, until : int
            ns UTC. A hole may reach into sessions that have not begun. A time bar that ended
            before it is closed first, as by `advance_clock`.

        Returns
        -------
        int
            Events.

        Raises
        ------
        ValueError
            If the hole is empty.
        RuntimeError
            If another thread is inside, `on_trade` waits for `resume`, or recorded rows fill
            their buffer.
        """
        cdef int64_t end = 0
        if until <= since:
            raise ValueError(f"a hole must end after {since}, ended at {until}")
        self.advance_clock(since)
        if self._session >= 0:
            end = self._sessions[self._session].t_end
        if self._gap_until > end:
            # Neither has the session of the hole before begun: they count as one.
            since = min(since, self._gap_since)
        self._gap_since = since
        self._gap_until = max(self._gap_until, until)
        self.timeframes.mark_gap(self._gap_until)
        if self._session >= 0 and since < end:
            self._open_gap()
            self._session_trades = 0
            self._has_last = False
            self._tick_sign = 0
            self.micro.reset()
            if self._micro_builder is not None:
                self._micro_builder.reset()
        return self._events

    cdef void _open_gap(self) noexcept nogil:
        """Let the running session have the newest hole."""
        cdef const Session* session = &self._sessions[self._session]
        self._has_gap = True
        self._whole = 0
        self.levels.mark_gap(
            self._gap_since < session.t_rth_open, self._misses_rth(self._session)
        )

    cdef bint _misses_rth(self, int64_t k) noexcept nogil:
        """Whether the newest hole meets the regular hours of session `k`."""
        return (
            self._gap_since < self._sessions[k].t_rth_close
            and self._gap_until > self._sessions[k].t_rth_open
        )

    cdef void _doubt(self, Row* row) noexcept nogil:
        """Make invalid what rests on trades that are missing."""
        cdef int k
        for k in range(18):
            if (
                k == 0 or k == 2 or k == 7 or k == 14 or k == 15 or k == 16
                or (k == 1 and self._whole < 1)
                or (k == 4 and self._whole < self._p.feat_f5_bars)
            ):
                row.valid[k] = 0
                row.feature[k] = 0.5 if k == 16 else 0.0

    cdef void _forget_options(self) noexcept nogil:
        memset(&self._options, 0, sizeof(OptionsInput))
        self._options.gamma_flip = NAN
        self._options.call_wall = NAN
        self._options.put_wall = NAN

    def set_contract(self, int64_t contract, int64_t settles=0):
        """Announce the contract, by an ordinal of the caller's, of the data that follow.

        It takes effect with the next session, which also drops the previous session's levels
        and the basis of the options; before the first trade it takes effect at once.

        Parameters
        ----------
        contract : int
        settles : int
            When it settles, ns UTC, for the basis between it and the index; 0 if unknown.
        """
        self._next_contract = contract
        self._next_settle = settles
        if self._session < 0:
            self._contract = contract
            self.options.change_contract(settles)

    def add_options(self, snapshots not None):
        """Queue snapshots of the option chain, records of options_state.SNAPSHOT_DTYPE.

        Each acts from the first close at or after its `effective`; from then on every close
        brings the options up to date.

        Raises
        ------
        ValueError
            If they are not in the order of effect.
        RuntimeError
            If another thread is inside.
        """
        if self._busy:
            raise RuntimeError("this market state is advanced by another thread")
        self.options.add(snapshots)

    def set_options(self, const OptionsInput[::1] options not None):
        """Use a record of OPTIONS_DTYPE, shape (1,), from the next close on.

        It stands as it is; snapshots of `add_options` replace it.
        """
        if options.shape[0] != 1:
            raise ValueError(f"one record is needed, were {options.shape[0]}")
        self._options = options[0]
        self.options.active = False

    def clear_options(self):
        """Go on without options: neutral features, validity 0."""
        self._forget_options()

    def on_book(
        self,
        int64_t ts,
        const int64_t[::1] bid_sizes not None,
        const int64_t[::1] ask_sizes not None,
        int64_t spread,
    ):
        """Take the state of the book: sizes from the touch outward, spread in ticks."""
        cdef Py_ssize_t levels = bid_sizes.shape[0]
        if levels < 1 or ask_sizes.shape[0] != levels:
            raise ValueError("bid and ask sizes must have the same number of levels, at least 1")
        self.order_flow.book.on_book(ts, &bid_sizes[0], &ask_sizes[0], levels, spread)

    def lose_book(self):
        """Go on without what the book has said: it is stale, or cannot be believed."""
        self.order_flow.book.forget()

    def expect_book(self, bint expected):
        """Count the book among the sources that features are expected of, or not."""
        self._p.sources_book = expected

    def take_rows(self):
        """Return a copy of the rows recorded since the last call, ROW_DTYPE, and free them."""
        rows = self._rows_memory[: self._n_rows].copy()
        self._n_rows = 0
        return rows

    @property
    def events(self):
        """Events of the last call, a sum of `CLOSE`, `SETUP`, `SESSION`, `ROWS`, `PENDING`."""
        return self._events

    @property
    def row(self):
        """Newest row, shape (1,), read-only, valid until the next close; None before one."""
        if self._newest < 0:
            return None
        return self._rows_memory[self._newest : self._newest + 1]

    @property
    def newest(self):
        """Newest row as a dict of its fields, None before the first close."""
        if self._newest < 0:
            return None
        return self._rows[self._newest]

    @property
    def reasons(self):
        """Closes so far with a setup, waiting for a regime, and without a setup."""
        return self._reasons[0], self._reasons[1], self._reasons[2]

    @property
    def session_id(self):
        """Session of the newest data, yyyymmdd; 0 before the first."""
        return self._sessions[self._session].session_id if self._session >= 0 else 0

    @property
    def open_micro(self):
        """The open micro bar as a dict, None without one."""
        if self._micro_builder is None or not self._micro_builder.has_bar:
            return None
        return self._micro_builder.bar

    @property
    def carried(self):
        """What outlives a session: arrays and numbers by name, in an order of its own.

        ``volumes``, ``atrs``, ``micro_volumes`` and ``frame_volumes`` are the reference rings by
        phase, ``scores`` those that rank later ones, the running session's last, ``previous`` the
        levels of the session before.
        """
        frames = (
            self.timeframes.first,
            self.timeframes.second,
            self.timeframes.third,
            self.timeframes.fourth,
        )
        return {
            "contract": self._contract,
            "volumes": self._volume_ref.values,
            "atrs": self._atr_ref.values,
            "micro_volumes": self._micro_volume_ref.values,
            "frame_volumes": [frame.volumes for frame in frames],
            "scores": [*self._tiers.sessions, self._tiers.current],
            "previous": self.levels.previous,
        }

    @property
    def has_gap(self):
        """Whether trades of the running session are missing."""
        return bool(self._has_gap)

    @property
    def open_bar(self):
        """The open primary bar as a dict, None without one."""
        if self._ready_made is not None:
            return self._ready_made.bar if self._ready_made.has_bar else None
        if not self._builder.has_bar:
            return None
        self.footprint.total(&self._builder.bar)
        return self._builder.bar
