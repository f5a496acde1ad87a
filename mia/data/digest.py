"""A hash of plain values, for what must be recognised again."""

import hashlib
import json


def digest(*parts: object) -> str:
    """Hash plain values in a canonical form."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
