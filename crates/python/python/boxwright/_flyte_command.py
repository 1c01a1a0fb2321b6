"""What stands for `docker buildx build` in the builder for flyte 2.

`python -m boxwright._flyte_command RESULT FLAGS… CONTEXT` builds, shows it, and writes the name with the digest, or the
error, to RESULT.
"""

from __future__ import annotations

import json
import sys
from typing import List

from ._program import BoxwrightError, run
from ._progress import show


def main(arguments: List[str]) -> int:
    result, flags = arguments[0], arguments[1:]
    try:
        done = run(["build", "--progress=json", *flags], on_event=show)
    except BoxwrightError as error:
        answer, code = {"error": str(error)}, error.exit_code
    else:
        pinned = [line for line in done.stdout.splitlines() if "@sha256:" in line]
        answer, code = {"pinned": pinned[0] if pinned else None}, 0
    with open(result, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
