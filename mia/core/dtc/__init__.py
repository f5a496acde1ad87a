"""The DTC protocol of Sierra Chart: codec, and a client for orders and positions."""
