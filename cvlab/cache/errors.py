"""What can go wrong with data and the disk, each with a message that says what to do next."""


class DatasetError(RuntimeError):
    """What was asked of the data cannot be done; the message says why and what to do next."""


class SpaceError(DatasetError):
    """The disk of the cache is full."""


class DownloadError(DatasetError):
    """A file could not be fetched, or is not the file it should be."""
