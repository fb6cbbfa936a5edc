"""Requests that come one by one: simulator, routers, contenders."""
