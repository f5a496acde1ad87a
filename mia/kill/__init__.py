"""The kill command: stops a trader, or acts at the broker in its place when it is dead.

Standard library only, and nothing of the trader's own code: what a person needs when everything
else has failed may not depend on any of it. ``python -m mia.kill --help``.
"""
