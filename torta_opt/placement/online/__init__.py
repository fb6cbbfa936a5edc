"""Requests that arrive one by one: simulator, routers, methods."""
