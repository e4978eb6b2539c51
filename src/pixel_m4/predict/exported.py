"""An ONNX file that `pixel-m4 export` wrote, at work: neither torch nor transformers is loaded.

Needs the package onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.console.threads import share
from pixel_m4.tasks.batch import Arrays
from pixel_m4.tasks.portable import METADATA, fields_of


class ExportedModel:
    """A model of a task as one file, computed by onnxruntime on the CPU.

    Args:
        file: The file; `~` is the home folder.

    Attributes:
        file: The file.
        fields: What it says of its task; see :mod:`pixel_m4.tasks.portable`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: onnxruntime is missing, or the file is no ONNX or does not say its task.
    """

    def __init__(self, file: Path) -> None:
        self.file = file = file.expanduser().absolute()
        if not file.is_file():
            raise FileNotFoundError(f"there is no file {file}")
        self._session = self._open()
        self.fields = fields_of(self._session.get_modelmeta().custom_metadata_map.get(METADATA), file)
        self._inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [each.name for each in self._session.get_outputs()]

    def __getstate__(self) -> dict[str, Any]:
        """All but the session, which is opened again where this is unpickled; the file must be there."""
        return {name: value for name, value in self.__dict__.items() if name != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._session = self._open()

    def _open(self) -> Any:
        file = self.file
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"{file} needs onnxruntime: pip install 'pixel-m4[export]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int((share(1) or "0").split(",")[0])
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common class for its errors
            raise UserError(f"{file} cannot be opened as ONNX: {str(error).splitlines()[0]}") from error

    def answer(self, batch: Arrays) -> Any:
        """Run it on a batch; outputs are attributes, arrays with the names that they have in PyTorch."""
        found = self._session.run(self._outputs, {name: batch[name] for name in self._inputs})
        return SimpleNamespace(**dict(zip(self._outputs, found, strict=True)))
