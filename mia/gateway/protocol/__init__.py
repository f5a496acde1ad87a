"""The TWS socket protocol: frames, requests, replies."""
