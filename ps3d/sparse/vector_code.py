"""Pieces of LLVM code for the intrinsics of this package, and intrinsics on 64-bit words in memory."""

import functools
import os
import platform

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

FLOAT, INT, LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)


@functools.cache
def lanes() -> int:
    """Floats in the widest vector register of the CPU that numba compiles for (NUMBA_CPU_FEATURES included)."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    if "avx512f" in enabled:
        return 16
    return 8 if "avx" in enabled else 4


def registers() -> int:
    """Vector registers of the CPU that numba compiles for."""
    return 32 if lanes() == 16 or platform.machine().lower() in ("aarch64", "arm64") else 16


def load(builder, address, kind):
    """The value of a kind at an address, which need not be aligned beyond four bytes."""
    load = builder.load(builder.inttoptr(address, kind.as_pointer()))
    load.align = 4
    return load


def zero_sum(builder, vector):
    """A place for a sum, zero; LLVM keeps it in a register."""
    slot = cgutils.alloca_once(builder, vector)
    builder.store(ir.Constant(vector, None), slot)
    return slot


def splat(builder, value, vector):
    """A vector of one value."""
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, INT(0))
    mask = ir.Constant(ir.VectorType(INT, vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def multiply_add(builder, slot, left, right):
    """slot += left * right, in one instruction where the CPU has it."""
    vector = left.type
    kind = ir.FunctionType(vector, [vector] * 3)
    name = f"llvm.fmuladd.v{vector.count}f32"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.store(builder.call(function, [left, right, builder.load(slot)]), slot)


def store(builder, value, address):
    """Write a vector to an address, which need not be aligned beyond four bytes."""
    builder.store(value, builder.inttoptr(address, value.type.as_pointer())).align = 4


@intrinsic
def word(typingctx, address, place):
    """The 64-bit integer number `place` after an address."""

    def generate(context, builder, signature, args):
        return load(builder, builder.add(args[0], builder.mul(args[1], LONG(8))), LONG)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def pointer(typingctx, address):
    """An address as what `numba.carray` takes."""

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def read_atomically(typingctx, address):
    """The 64-bit integer at an aligned address, in sequence with other threads' changes."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], LONG.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), generate


@intrinsic
def exchange(typingctx, address, value):
    """Write a 64-bit integer to an aligned address, in sequence with other threads' changes; what was there."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("xchg", builder.inttoptr(args[0], LONG.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def add_atomically(typingctx, address, value):
    """Add to the 64-bit integer at an aligned address, in sequence with other threads' changes; what was there."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], LONG.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def pause(typingctx):
    """Tell the processor that this thread waits for another one."""

    def generate(context, builder, signature, args):
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        elif machine in ("aarch64", "arm64"):
            kind = ir.FunctionType(ir.VoidType(), [INT])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint"), [INT(1)])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def give_way(typingctx):
    """Let another thread have the core, where the operating system has a call for that."""

    def generate(context, builder, signature, args):
        if os.name == "posix":
            kind = ir.FunctionType(INT, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def call_kernel(typingctx, kernel, first, last, arguments):
    """Call the machine code at an address with three 64-bit integers."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [LONG, LONG, LONG])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate
