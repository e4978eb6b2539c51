"""Errors as one line: what users can mend; an error of the program itself keeps its traceback."""

from __future__ import annotations

import argparse
import errno
import json
import re
import sys
import traceback
from pathlib import Path

from pixel_m4.console.redact import redact_text


class UserError(ValueError):
    """What a user can mend: the message says what is wrong, with the value, and what to write instead.

    A plain ValueError of this package is a mistake of its own.
    """


# Named by package and class, so that nothing needs to be imported to look at an error.
_MENDABLE = {
    *("yaml.YAMLError", "safetensors.SafetensorError", "pyarrow.ArrowException", "datasets.DatasetsError"),
    *("lzma.LZMAError", "zlib.error", "zipfile.BadZipFile", "tarfile.TarError", "pickle.UnpicklingError"),
    *("httpx.HTTPError", "httpx2.HTTPError", "httpx.InvalidURL", "httpx2.InvalidURL"),
    *("argparse.ArgumentError", "argparse.ArgumentTypeError", "torch.DistError"),
}
# Libraries whose ValueErrors are about what users wrote.
_READERS = (
    *("transformers", "huggingface_hub", "datasets", "pyarrow", "yaml", "json", "accelerate", "PIL", "ray"),
    *("safetensors", "httpx", "matplotlib"),
)
FAULT = (
    "this is an error of the program, not yours: please report it, with the lines above, the command, and "
    "what `pixel-m4 --version` says"
)
_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|DataLoader worker .* killed|bad_alloc|"
    r"Cannot allocate memory",
    re.IGNORECASE,
)
# RuntimeErrors of torch and of the Trainer's callbacks that come from the machine, not from the program.
_MACHINE = re.compile(
    "|".join(
        (
            *(r"requires? \S+ to be installed", "pip install", "Found no NVIDIA driver", "no kernel image"),
            *("CUDA driver", "CUDA error", "Torch not compiled with CUDA", "invalid device ordinal"),
            *("CUDA-capable device", "gloo", "NCCL", "Address already in use", "timed? ?out"),
            *("Connection (?:refused|reset|closed)", "PytorchStream(?:Reader|Writer)", "inline_container"),
            *("unexpected pos", "basic_ios::clear", "iostream error", "No space left", "Too many open files"),
            *("DataLoader worker", "bus error"),
        )
    ),
    re.IGNORECASE,
)
_FAULT = re.compile(r"device-side assert|illegal memory access|misaligned address|an illegal instruction")
_SMALLER = (
    "there is not enough memory: give a smaller --per_device_train_batch_size (with a larger "
    "--gradient_accumulation_steps, training is the same), --per_device_eval_batch_size or --max_seq_length"
)


def explain(error: BaseException) -> str | None:
    """One line about an error that users can mend, such as a wrong value, a damaged file or a full disk.

    Returns:
        The line, without secrets; None for an error of the program itself.
    """
    said = _explain(error)
    return None if said is None else redact_text(" ".join(said.split()))


def report(error: BaseException, program: str = "pixel-m4") -> None:
    """Print an error on the standard error: one line, or the traceback if it is the program's own."""
    line = explain(error)
    if line is None:
        shown = "".join(traceback.format_exception(error))
        print(redact_text(shown), file=sys.stderr)
        print(f"{program}: {FAULT}", file=sys.stderr)
    else:
        print(f"{program}: {line}", file=sys.stderr)


def _explain(error: BaseException) -> str | None:
    kinds = {f"{kind.__module__.split('.')[0].lstrip('_')}.{kind.__name__}" for kind in type(error).__mro__}
    text = _from_worker(str(error)).strip() or type(error).__name__
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and _MEMORY.search(text) and not _FAULT.search(text)
    ):
        return f"{_SMALLER} ({_first_line(text)})" if text != "MemoryError" else _SMALLER
    if isinstance(error, UnicodeDecodeError) and error.reason in text:
        return f"a file is not UTF-8: {text}; convert it, as with iconv"
    if isinstance(error, UnicodeEncodeError):
        return f"the output cannot hold such characters: {text}; set PYTHONIOENCODING=utf-8"
    if "loaded state dict" in text and isinstance(error, ValueError):
        advice = "give the options of that run, or another --output_dir"
        return f"the checkpoint to go on from was written by another optimizer or model ({text}); {advice}"
    if "json.JSONDecodeError" in kinds:
        return f"a file is not JSON: {text}"
    if isinstance(error, OSError):
        return _os_error(error, text)
    complaint = isinstance(error, UserError) or (isinstance(error, ValueError) and _by_reader(error))
    if complaint or isinstance(error, ModuleNotFoundError) or kinds & _MENDABLE:
        return text if isinstance(error, ValueError | ImportError) else f"{text} ({type(error).__name__})"
    if isinstance(error, EOFError):
        return f"a file ends too early: {text}"
    if isinstance(error, RecursionError) and _raised_in(error, ("json", "yaml")):
        return "a JSON or YAML file is nested too deeply"
    by_machine = isinstance(error, RuntimeError | ImportError | AssertionError) and _MACHINE.search(text)
    if by_machine and not _FAULT.search(text):
        full = "failed writing" in text or "unexpected pos" in text
        return _first_line(text) + ("; is the disk full?" if full else "")
    return None


def _by_reader(error: ValueError) -> bool:
    """Whether a library complains that reads what users write: files, names on the hub, arguments."""
    frames = traceback.extract_tb(error.__traceback__)
    if "Original Traceback" in str(error):  # of another process
        files = re.findall(r'File "([^"]+)"', str(error))
    else:
        files = [frame.filename for frame in frames]
    if not files:
        return False
    parts = Path(files[-1]).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1] in _READERS
    return Path(files[-1]).parent == Path(json.__file__).parent or files[-1] == argparse.__file__


def _os_error(error: OSError, text: str) -> str:
    if error.strerror is None or error.filename is None or not text.startswith("[Errno"):
        line = text if error.errno != errno.ENOSPC else f"{text}; make room on the disk"
        return re.sub(r"^\[Errno \d+\] ", "", line)
    line = f"{error.strerror}: {error.filename}"
    if error.filename2 is not None:
        line += f" → {error.filename2}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        line += "; make room on the disk"
    return line


def _from_worker(text: str) -> str:
    """The message alone of an error that another process has had, which comes with its traceback."""
    if "Original Traceback" not in text:
        return text
    last = [line for line in text.splitlines() if line.strip()][-1]
    return re.sub(r"^[\w.]+(?:Error|Exception)?: ", "", last)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].strip()


def _raised_in(error: BaseException, packages: tuple[str, ...]) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and any(Path(frames[-1].filename).parent.name == package for package in packages)
