"""The scenario through `ib_insync`."""

from asyncio_client import main

if __name__ == "__main__":
    main("ib_insync")
