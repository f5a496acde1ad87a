from typing import Self, final

@final
class PhaseRings:
    def __new__(cls, capacity: int, least: int) -> Self: ...

@final
class PatternMemory:
    def __new__(cls, timeout_ns: int) -> Self: ...
    @property
    def dropped(self) -> int: ...
