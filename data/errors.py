"""The errors that diffagent raises, one small tree.

    DiffAgentError
    ├── BadInput            the caller's value is wrong (exit status 1; HTTP 400)
    │   ├── BadPrompt       empty, too long, not text
    │   ├── BadCall         a T2I call that is not callable
    │   ├── BadImage        an image that cannot be decoded safely
    │   └── UnknownModel    no catalog entry of that name, AIR, id, hash or file
    ├── BadCatalog          a catalog file that is missing, damaged or of another version
    │   └── BadSpecifications   a file of image specifications, likewise, or of other encoders
    ├── MissingWeights      model weights that are nowhere to be found
    ├── MissingExtra        an optional dependency is not installed
    ├── EngineError         the language model failed
    │   ├── BadAnswer       its answer is not a call, or is outside its grammar
    │   └── EngineGone      the engine no longer answers any request
    ├── CrawlError          an API that cannot be crawled
    │   └── GatedItem       an item that needs an API key (HTTP 401, 403)
    └── TargetError         an image API that did not deliver
        ├── Unreachable     it does not answer, hangs, or is another API
        ├── Refused         it refuses the request, the model or the key
        ├── JobFailed       it lost the job, gave up on it, or made fewer images
        └── Censored        its safety filter held the image back

Each message says on one line what was given and why it is wrong. What to do stands in the message too, or in
the error's ``hint`` where it names commands or options of the command line.
"""


class DiffAgentError(Exception):
    """The base of all errors; ``str()`` is the message, ``hint`` the remedy in words of the command line,
    if any."""

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
    """An image that is missing, broken, too large or of an unknown format."""


class UnknownModel(BadInput):
    """No catalog entry has the given name, AIR, id, hash or file name."""


class BadCatalog(DiffAgentError):
    """A catalog file that is missing, damaged, or written by another version."""


class BadSpecifications(BadCatalog):
    """A file of image specifications that is missing, damaged, or made with other encoders."""


class MissingWeights(DiffAgentError):
    """Model weights that are neither at the path nor cached, on a hub or in a registry."""


class MissingExtra(DiffAgentError):
    """An optional dependency is not installed; the message names its install line."""


class EngineError(DiffAgentError):
    """The language model failed."""

    retryable = False


class BadAnswer(EngineError):
    """The language model's answer is not a call, or is outside its grammar."""


class EngineGone(EngineError):
    """The engine no longer answers: its server is down, or refuses the key or the model."""


class CrawlError(DiffAgentError):
    """An API that cannot be crawled further; fetched data is kept."""


class GatedItem(CrawlError):
    """An item that its creator shows only to holders of an API key (HTTP 401 or 403)."""


class TargetError(DiffAgentError):
    """An image API that did not deliver; no image was written."""


class Unreachable(TargetError):
    """The API does not answer, hangs, or answers like another API."""


class Refused(TargetError):
    """The API refuses the request, the model or the key; a retry would not help."""


class JobFailed(TargetError):
    """The API lost the job, gave up on it, or returned fewer images than requested."""


class Censored(TargetError):
    """The API's safety filter held the image back."""
