"""The scenario through `ib_async`."""

from asyncio_client import main

if __name__ == "__main__":
    main("ib_async")
