from typing import final

@final
class Touches:
    def __new__(cls) -> Touches: ...
