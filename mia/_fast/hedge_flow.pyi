from typing import Self, final

@final
class HedgeFlow:
    def __new__(cls, dvol: float = 0.0) -> Self: ...
