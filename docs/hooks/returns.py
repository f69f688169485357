"""Take what stands under "Returns" in plain words for a description, not for a type."""

import re
from typing import Any

from griffe import Docstring, Extension, Function

SECTION = re.compile(r"(?<=\n)(Returns|Yields)\n-+\n((?:(?!\n\n)[\s\S])+)")


class ReturnsInWords(Extension):
    """Puts the type of the signature above the words, as the NumPy style has it."""

    def on_function(self, *, func: Function, **_: Any) -> None:  # noqa: ANN401 - griffe gives more than is used
        """Rewrite the section of one docstring; one that names what is returned stays as it is."""
        if func.docstring is None or func.returns is None:
            return
        kind = str(func.returns)

        def typed(found: re.Match[str]) -> str:
            lines = found[2].rstrip().splitlines()
            if any(line.startswith(" ") for line in lines):
                return found[0]
            words = "\n".join(f"    {line}" for line in lines)
            return f"{found[1]}\n{'-' * len(found[1])}\n{kind}\n{words}"

        func.docstring = Docstring(
            SECTION.sub(typed, func.docstring.value),
            lineno=func.docstring.lineno,
            endlineno=func.docstring.endlineno,
            parent=func,
        )
