"""`tfplus jobs`: what an agent does by itself; submit, list, watch, pause, resume, cancel."""

from tfplus.cli.commands.jobs.group import app

__all__ = ["app"]
