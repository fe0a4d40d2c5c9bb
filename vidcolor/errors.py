"""Errors that a person can act on. `program.run` prints them as one line."""


class UserError(Exception):
  """Something that the person at the keyboard can fix.

  The message is one line. It says what is wrong, in which file or flag, and
  how to fix it.
  """


class PartlyReadError(UserError):
  """A video cannot be read to its end. The frames before were yielded."""


class PreemptedError(Exception):
  """The machine is about to be taken away. All is saved: run it again."""
