"""The web page of a trader: a process of its own that reads what the trader shows.

It maps the trader's newest frame, reads the files that lie in the state directory, and pushes
to browsers over a WebSocket. What a person orders goes the way of the kill command.
"""
