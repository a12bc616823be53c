"""For a program that kills itself: what stands before each of its calls that change files."""

from __future__ import annotations

# It calls `about_to_call`, which the program has. `count_calls` begins with that.
COUNTED = """
CHANGES = {"os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.setxattr"}


def audit(event, arguments):
    if event in CHANGES or (event == "open" and arguments[2] and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        about_to_call()


def counted(function):
    def call(*arguments, **more):
        about_to_call()
        return function(*arguments, **more)
    return call


def count_calls():
    for name in ("fsync", "fchmod", "fchown"):
        setattr(os, name, counted(getattr(os, name)))
    sys.addaudithook(audit)

"""
