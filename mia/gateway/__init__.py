"""A simulated IB Gateway: speaks the TWS socket protocol, fills orders, and fails on request."""
