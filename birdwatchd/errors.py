"""Everything birdwatchd raises on purpose.

    BirdwatchdError
    ├── UserError            a mistake or a missing thing that the user can mend: exit status 2, one sentence
    │   ├── ConfigError      the config file, with every mistake in it
    │   ├── DeviceError      no such microphone, busy, or gone
    │   ├── RecordingError   a file that is not readable as sound
    │   ├── StreamError      a stream that cannot be opened (no ffmpeg, wrong address)
    │   ├── BundleError      a model file that is not a model bundle
    │   ├── StoreError       a database that is newer, in use, or on a full disk
    │   │   ├── DamagedError a database that is not what was written to it
    │   │   └── FullError    the disk it lies on is full
    │   └── ServiceError     a port that cannot be listened at
    ├── Lapped               a reader of the ring was overtaken by its writer
    └── DeviceStuck          a sound system call that does not return

The message of a UserError is the whole of what the user sees: what is wrong, where, and what to do.
"""


class BirdwatchdError(Exception):
    """The root of the tree."""


class UserError(BirdwatchdError):
    """Something that the user can mend; shown as one sentence, exit status 2."""


class ConfigError(UserError):
    """The config file is wrong. The message has one line for each mistake, `file:line: what (what to do)`."""


class DeviceError(UserError):
    """A microphone that is not there, is busy, or does not do what was asked."""


class RecordingError(UserError):
    """A file that cannot be read as sound."""


class StreamError(UserError):
    """A stream that cannot be opened."""


class BundleError(UserError):
    """A model file that is not a usable bundle."""


class StoreError(UserError):
    """A database that cannot be used."""


class DamagedError(StoreError):
    """A database that is not what was written to it: the daemon moves it aside and begins a new one."""


class ServiceError(UserError):
    """A port that cannot be listened at."""


class FullError(StoreError):
    """A database on a full disk."""


class Lapped(BirdwatchdError):  # noqa: N818 - it names what happened, as StopIteration does
    """The samples asked for have been overwritten already."""


class DeviceStuck(BirdwatchdError):  # noqa: N818 - it names what happened
    """A call into the sound system did not return within its deadline: the process has to be restarted."""
