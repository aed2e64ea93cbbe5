"""The errors that diffagent raises, one small tree.

    DiffAgentError
    ├── BadInput            the caller's value is wrong (exit status 1; HTTP 400)
    │   ├── BadPrompt       empty, too long, not text
    │   ├── BadCall         a T2I call that is not callable
    │   ├── BadImage        an image that cannot be decoded safely
    │   └── UnknownModel    no catalog entry of that name, AIR, id, hash or file
    ├── BadCatalog          a catalog file that is missing, damaged or of another version
    │   └── BadSpecifications   a file of image specifications, likewise, or made by other encoders
    ├── MissingWeights      model weights that can be found nowhere
    ├── MissingExtra        an optional dependency is not installed
    ├── EngineError         the language model failed
    │   ├── BadAnswer       it answered what is no call, or outside its grammar
    │   └── EngineGone      the engine answers nothing any more, whatever it is asked
    ├── CrawlError          an API that cannot be crawled
    │   └── GatedItem       an item that needs an API key (HTTP 401, 403)
    └── TargetError         an image API that did not deliver
        ├── Unreachable     it does not answer, hangs, or is no such API
        ├── Refused         it refuses the request, the model or the key
        ├── JobFailed       it lost the job, gave up on it, or made fewer images
        └── Censored        its safety filter held the image back

Each message says on one line what was given and why it is wrong. What to do stands in the message too, or in
the error's ``hint`` where it names commands or options of the command line.
"""


class DiffAgentError(Exception):
    """Base of all: ``str()`` is the message, ``hint`` what to do in words of the command line, if any."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """The message and the hint, as the command line prints them."""
        return f"{self}: {self.hint}" if self.hint else str(self)


class BadInput(DiffAgentError):
    """The caller's value is wrong."""


class BadPrompt(BadInput):
    """A prompt that cannot be routed."""


class BadCall(BadInput):
    """A T2I call that is not callable: see ``contract`` in :mod:`diffagent.data.records`."""


class BadImage(BadInput):
    """An image that is missing, broken, too large or of no format that is read."""


class UnknownModel(BadInput):
    """No catalog entry answers to the given name, AIR, id, hash or file name."""


class BadCatalog(DiffAgentError):
    """A catalog file that is missing, damaged, or written by another version."""


class BadSpecifications(BadCatalog):
    """A file of image specifications that is missing, damaged, or made with other encoders."""


class MissingWeights(DiffAgentError):
    """Model weights that are neither at the path, nor cached, nor on a hub or in a registry."""


class MissingExtra(DiffAgentError):
    """An optional dependency is not installed; the message names its install line."""


class EngineError(DiffAgentError):
    """The language model failed."""

    retryable = False


class BadAnswer(EngineError):
    """The language model answered, but what it said is no call, or outside its grammar."""


class EngineGone(EngineError):
    """The engine answers nothing any more: a server that is down, or that refuses the key or the model."""


class CrawlError(DiffAgentError):
    """An API that cannot be crawled further; what was fetched is kept."""


class GatedItem(CrawlError):
    """An item that its creator shows only to holders of an API key (HTTP 401 or 403)."""


class TargetError(DiffAgentError):
    """An image API that did not deliver; nothing was written for the image."""


class Unreachable(TargetError):
    """The API does not answer, hangs, or answers what no such API would."""


class Refused(TargetError):
    """The API refuses the request, the model or the key; asking again would change nothing."""


class JobFailed(TargetError):
    """The API lost the job, gave up on it, or returned fewer images than it was asked for."""


class Censored(TargetError):
    """The API's safety filter held the image back."""
