"""PyTorch: its tape, eagerly or through `torch.compile`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from shutil import which
from typing import Any, ClassVar, Literal

import numpy as np

from diffkit.backends.base import Capabilities, Info, Program, check_dtype
from diffkit.backends.peers.library import load, require
from diffkit.backends.peers.measures import fresh, leaf_dtypes, reverse_mode_info
from diffkit.backends.peers.reading import read
from diffkit.backends.peers.torch_functions import torch_functions
from diffkit.backends.phases import Phases
from diffkit.errors import BackendError, UserInputError, unknown_name

MODES = ("eager", "compile")
COMPILERS = ("c++", "g++", "clang++", "cl")


@dataclass(frozen=True, slots=True)
class Torch:
    """`torch.autograd.grad` of the program read into tensors, on the CPU.

    * ``mode="eager"``: a tape is written anew at every call;
    * ``mode="compile"``: `torch.compile` makes kernels of both passes when prepared; it
      needs a C++ compiler.

    ``threads`` is set for the length of a call and put back; None leaves it alone.

    Raises MissingDependencyError without PyTorch, UnknownNameError for another mode,
    UserInputError for fewer than one thread; `compile` raises BackendError where
    ``mode="compile"`` finds no C++ compiler.
    """

    mode: Literal["eager", "compile"] = "eager"
    threads: int | None = None

    name: ClassVar[str] = "torch"
    runs_on: ClassVar[str] = "torch"
    capabilities: ClassVar[Capabilities] = Capabilities(exact=True, evaluations="1")

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown_name("mode of torch", self.mode, MODES)
        if self.threads is not None and self.threads < 1:
            raise UserInputError(
                f"threads={self.threads} was given to torch. Use 1 or more, or None to "
                "leave the number alone."
            )
        require("torch", "torch")

    def compile(self, program: Program) -> TorchCompiled:
        """Read the program into tensor functions, and compile them if asked to."""
        check_dtype(self.name, self.capabilities, np.dtype(program.dtype))
        if self.mode == "compile" and not any(map(which, COMPILERS)):
            raise BackendError(
                "torch.compile needs a C++ compiler, and none of "
                f"{', '.join(COMPILERS)} is on the PATH. Install one, or use "
                "mode='eager'."
            )
        return TorchCompiled(program, self)


class TorchCompiled:
    """A program in PyTorch's functions."""

    def __init__(self, program: Program, backend: Torch) -> None:
        phases = Phases()
        with phases("load"):
            self._torch = torch = load("torch", "torch")
            functions = torch_functions(torch, np.dtype(program.dtype))
        self._program, self._backend = program, backend
        self._dtype = np.dtype(program.dtype)
        with phases("read"):
            self._run = read(program.graph, functions, self._dtype)
        nodes, inputs = program.graph.nodes, program.graph.inputs
        self._wanted = set(program.wrt)
        self._leaf_dtypes = leaf_dtypes(program)
        if backend.mode == "compile":
            with phases("compile"):
                self._run = torch.compile(self._run, fullgraph=True, dynamic=False)
                ones = [np.ones(nodes[place].shape) for place in inputs]
                self(ones)
        self._seconds = phases.seconds

    @cached_property
    def info(self) -> Info:
        """Counts of the gradient graph; PyTorch plans no memory and counts nothing."""
        details = {
            "runtime": Torch.runs_on,
            "mode": self._backend.mode,
            "threads": self._backend.threads or self._torch.get_num_threads(),
        }
        return reverse_mode_info(Torch.name, self._program, self._seconds, 0, details)

    def __call__(
        self, leaves: Sequence[np.ndarray]
    ) -> tuple[Any, list[np.ndarray], list[np.ndarray]]:
        torch = self._torch
        with self._threads(), torch.enable_grad():
            tensors = self._enter(leaves)
            wanted = [tensors[p] for p in self._program.wrt]
            for tensor in wanted:
                tensor.requires_grad_()
            value, *auxiliary = self._run(tensors)
            if value.requires_grad:
                gradients = torch.autograd.grad(
                    value, wanted, allow_unused=True, materialize_grads=True
                )
            else:  # depends on none of them
                gradients = [torch.zeros_like(tensor) for tensor in wanted]
            return (
                self._leave(value)[()],
                [self._leave(g) for g in gradients],
                [self._leave(a) for a in auxiliary],
            )

    def resident(self, leaves: Sequence[np.ndarray]) -> Callable[[], Any]:
        """One gradient of tensors that are there already, left as tensors.

        What someone who works in PyTorch pays: nothing is converted or copied, and the
        number of threads, where one was asked for, is set here and stays.
        """
        torch, run = self._torch, self._run
        if self._backend.threads is not None:
            torch.set_num_threads(self._backend.threads)
        tensors = self._enter(leaves)
        wanted = [tensors[p].requires_grad_() for p in self._program.wrt]

        def call() -> Any:
            value = run(tensors)[0]
            return value, torch.autograd.grad(value, wanted, allow_unused=True)

        return call

    def value(self, leaves: Sequence[np.ndarray]) -> Any:
        """The primal alone, without a tape."""
        with self._threads(), self._torch.no_grad():
            return self._leave(self._run(self._enter(leaves))[0])[()]

    def _enter(self, leaves: Sequence[np.ndarray]) -> list[Any]:
        # Copied: a tensor must not share memory with a caller's array, nor have its
        # strides, which may be negative.
        return [
            self._torch.from_numpy(np.array(leaf, dtype=dtype, order="C"))
            for leaf, dtype in zip(leaves, self._leaf_dtypes, strict=True)
        ]

    def _leave(self, tensor: Any) -> np.ndarray:
        return fresh(tensor.detach().numpy(), self._dtype)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """The number of threads that was asked for, and the user's again after it."""
        torch, wanted = self._torch, self._backend.threads
        before = torch.get_num_threads()
        if wanted is None or wanted == before:
            yield
            return
        torch.set_num_threads(wanted)
        try:
            yield
        finally:
            torch.set_num_threads(before)
