"""The command `embed`: a file of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pixel_m4.analysis.states import Pooling, Running, refuse_blank
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import refuse_existing, replacing
from pixel_m4.render.show import read_texts

FORMATS = (".npy", ".parquet")


def embed(
    model: str,
    texts: Sequence[str],
    file: Path | None,
    output: Path,
    *,
    layer: int = -1,
    pooling: Pooling = "mean",
    running: Running = Running(),
    overwrite: bool = False,
) -> None:
    """Write a vector a text: float32 [N, D] as .npy, or a table of texts and vectors as .parquet.

    Args:
        model: A checkpoint of any kind.
        texts: The texts; none: the lines of ``file``, or of the standard input.
        file: A text a line.
        output: The file to write.
        layer: See :func:`pixel_m4.analysis.states.embed`, as of the rest.
        pooling: How a text becomes one vector.
        running: Where and how the model runs.
        overwrite: Replace ``output`` if it is there.

    Raises:
        ValueError: Something that was asked for does not exist, or ``output`` is there already.
        OSError: A file cannot be read or written.
    """
    if output.suffix not in FORMATS:
        raise UserError(f"--output must end in {' or '.join(FORMATS)}: {output}")
    refuse_existing(output, overwrite)
    texts = list(texts) or read_texts(file)
    refuse_blank(texts)
    output.parent.mkdir(parents=True, exist_ok=True)
    vectors = running.states(model).embed(texts, [layer], pooling)[0]
    with replacing(output) as scratch:
        if output.suffix == ".npy":
            with scratch.open("wb") as stream:
                np.save(stream, vectors)
        else:
            _write_parquet(texts, vectors, scratch)
    plain_console(stderr=True).print(f"{len(texts)} vectors of {vectors.shape[1]} numbers: {output}")


def _write_parquet(texts: Sequence[str], vectors: np.ndarray, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    parquet.write_table(pa.table({"text": list(texts), "vector": column}), path)
