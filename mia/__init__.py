"""MIA: order-flow trading of CME E-mini S&P 500 futures with the Battle Navale method."""

__version__ = "0.1.0"
