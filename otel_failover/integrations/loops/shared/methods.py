"""Finding the class that defines a method, and wrapping it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_failover.integrations import patching

if TYPE_CHECKING:
    from collections.abc import Callable


def class_that_defines(met: type, method: str) -> type | None:
    """Return the class that defines a method: the one that was met, or the first of its bases that does.

    Args:
        met: The class of an object that was met.
        method: The method's name.
    """
    for each in met.__mro__:
        if method in vars(each):
            return each
    return None


def wrap_where_defined(library: str, met: type, method: str, wrapper: Callable[..., Any]) -> bool:
    """Wrap a method on the class that defines it, once.

    Candidates are the host's own objects, so their classes are known only when a loop meets one. Wrapped is the class
    that defines the method, not the one that was met: else each subclass would get a wrapper of its own, and one call
    would pass through several.

    Args:
        library: The adapter's library, which has to be patched.
        met: The class of an object that was met.
        method: The method's name.
        wrapper: A wrapt wrapper `(wrapped, instance, args, kwargs)`.

    Returns:
        Whether it is wrapped now; False where no class defines it.
    """
    owner = class_that_defines(met, method)
    return owner is not None and patching.also(library, owner, method, wrapper)
