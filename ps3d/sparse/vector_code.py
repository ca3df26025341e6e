"""Pieces of LLVM vector code for the intrinsics of this package."""

import functools

from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

FLOAT, INT, LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)


@functools.cache
def lanes() -> int:
    """Floats in the widest vector register of the CPU that numba compiles for (NUMBA_CPU_FEATURES included)."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    if "avx512f" in enabled:
        return 16
    return 8 if "avx" in enabled else 4


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
