"""How long the stages of the live cycle take, counted by powers of two.

A count costs less than keeping the time would: nothing is allocated, and a reader computes any
quantile to within a factor of two.
"""

BUCKETS = 40
"""The last one holds all from ``2**39`` ns, nine minutes."""


class StageTimes:
    """Times of one stage.

    Attributes
    ----------
    counts : list of int
        ``counts[k]`` is how often it took from ``2**k`` up to ``2**(k + 1)`` ns.
    total_ns : int
        All of it.
    times : int
        How often.
    """

    __slots__ = ("counts", "times", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total_ns = 0
        self.times = 0

    def add(self, taken_ns: int) -> None:
        """Count one; a clock that went back counts as the shortest."""
        taken_ns = max(taken_ns, 1)
        self.counts[min(taken_ns.bit_length(), BUCKETS) - 1] += 1
        self.total_ns += taken_ns
        self.times += 1


class CycleTimes:
    """The stages of a cycle, from the socket to the socket.

    Attributes
    ----------
    data : StageTimes
        From the first tick of what a packet brought until the cycle has taken it.
    features : StageTimes
        A block in which a primary bar closed, through the kernels.
    decision : StageTimes
        A close that needs a decision: kill switch, exits, strategy, gates, size.
    orders : StageTimes
        From the decision until the last byte of its orders was handed to the socket: last gate,
        journal, sending.
    frame : StageTimes
        Showing the frame.
    """

    __slots__ = ("data", "decision", "features", "frame", "orders")

    def __init__(self) -> None:
        self.data = StageTimes()
        self.features = StageTimes()
        self.decision = StageTimes()
        self.orders = StageTimes()
        self.frame = StageTimes()

    def named(self) -> dict[str, StageTimes]:
        """Return the stages by name, in their order."""
        return {
            "data": self.data,
            "features": self.features,
            "decision": self.decision,
            "orders": self.orders,
            "frame": self.frame,
        }
