"""The `tfplus` command line.

`entry` is the console script; `main` mounts the commands that the installed packages bring, and
turns every error into a message and an exit code. A command is a file in `commands`, here or in the
package that it needs; what it prints is in `text`.
"""
