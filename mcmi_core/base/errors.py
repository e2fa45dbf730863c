"""Errors that a user can act on: each message quotes the bad value and says what would do."""


class CompanionError(Exception):
    """Anything that the command line reports as one line, without a traceback."""


class DataError(CompanionError):
    """A data set that is missing, incomplete or not what it says."""


class StoreError(CompanionError):
    """A file that cannot be read or written, or that belongs to something else."""


class Damaged(StoreError):
    """A file that was cut off or altered since it was written. What it held is made again."""


class ParentDamaged(StoreError):
    """The run that this one builds on was finished, and has to be made again first."""


class MissingExtra(CompanionError, ImportError):
    """A part that was not installed; the message says how to install it."""


class NotMeasured(CompanionError):
    """A result was asked for that has no record, where training was not allowed."""


class RunsFailed(CompanionError):
    """Some runs failed; those that did not depend on them were finished."""


class OutOfTime(CompanionError):
    """Stopped at a deadline, nothing lost; the message says how much is done."""


class IncompatibleNetworks(CompanionError, ValueError):
    """A student and a teacher that a distiller cannot compare; the message names their shapes."""


class NonFiniteLogits(CompanionError, ValueError):
    """Logits that contain NaN or inf, of which nothing can be measured."""


class TrainingCollapsed(CompanionError):
    """Training left the region where its result means anything; the message says what to try."""
