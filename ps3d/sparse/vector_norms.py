"""The loops of batch normalization over rows, written as LLVM vector code for the CPU at hand.

What numba makes of such a loop starts anew at each row and keeps its sums in memory; here they stay in registers, so
that the speed is the memory's.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ps3d.sparse.vector_code import FLOAT, LONG, lanes, load, multiply_add, splat, store, zero_sum

UNMASKED, BY_INPUT, BY_OUTPUT = 0, 1, 2
"""What says where the ReLU let a value through: no ReLU, the normalized input, the output."""


@intrinsic(prefer_literal=True)
def column_moments(typingctx, x, rows, columns, mean, squares, vectors):
    """Mean of `rows` rows and the sum of squared distances from it, for `vectors` registers of columns.

    All arguments are integers: `x` is the address of the first wanted element of a float32 matrix of `columns` columns,
    `mean` and `squares` are the addresses of the results; `vectors` is a constant of the code, 0 for a
    single column. Sums of distances from the first row stay small where the mean is large.
    """
    signature = types.void(*[types.int64] * 5, vectors)
    vectors, width = _breadth(vectors.literal_value)

    def generate(context, builder, signature, args):
        x, rows, columns, mean, squares = args[:5]
        vector = ir.VectorType(FLOAT, width)
        stride = builder.mul(columns, LONG(4))
        places = [LONG(4 * width * v) for v in range(vectors)]
        first = [load(builder, builder.add(x, place), vector) for place in places]
        totals, spreads = ([zero_sum(builder, vector) for _ in range(vectors)] for _ in range(2))
        with cgutils.for_range(builder, rows) as loop:
            row = builder.add(x, builder.mul(loop.index, stride))
            for place, base, total in zip(places, first, totals, strict=True):
                away = builder.fsub(load(builder, builder.add(row, place), vector), base)
                builder.store(builder.fadd(builder.load(total), away), total)
        share = splat(builder, builder.fdiv(FLOAT(1.0), builder.sitofp(rows, FLOAT)), vector)
        middles = [
            builder.fadd(builder.fmul(builder.load(total), share), base)
            for total, base in zip(totals, first, strict=True)
        ]
        with cgutils.for_range(builder, rows) as loop:
            row = builder.add(x, builder.mul(loop.index, stride))
            for place, middle, spread in zip(places, middles, spreads, strict=True):
                away = builder.fsub(load(builder, builder.add(row, place), vector), middle)
                multiply_add(builder, spread, away, away)
        for place, middle, spread in zip(places, middles, spreads, strict=True):
            for target, value in ((mean, middle), (squares, builder.load(spread))):
                store(builder, value, builder.add(target, place))
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def column_gradient_sums(typingctx, x, y, gradient, before, vectors_at, sums_at, rows, columns, vectors, mode):
    """Sums over `rows` rows of the gradient before the ReLU and of it times x - center, added to what is there.

    All arguments are integers. `x`, `y`, `gradient` and `before` are addresses of the first wanted element of float32
    matrices of `columns` columns, `vectors_at` and `sums_at` of matrices of as many columns whose rows are (center,
    scale, shift) and (sum, sum of products). `vectors` (registers of columns, 0: a single column) and `mode` are
    constants of the code.
    By the output, the gradient before the ReLU is written to `before`; else neither `y` nor `before` is touched.
    """
    signature = types.void(*[types.int64] * 8, vectors, mode)
    (vectors, width), mode = _breadth(vectors.literal_value), mode.literal_value

    def generate(context, builder, signature, args):
        x, y, gradient, before, vectors_at, sums_at, rows, columns = args[:8]
        vector = ir.VectorType(FLOAT, width)
        stride = builder.mul(columns, LONG(4))
        places = [LONG(4 * width * v) for v in range(vectors)]
        constants = _constants(builder, vectors_at, stride, places, vector, 3)
        totals, products = ([zero_sum(builder, vector) for _ in range(vectors)] for _ in range(2))
        with cgutils.for_range(builder, rows) as loop:
            offset = builder.mul(loop.index, stride)
            for place, (center, scale, shift), total, product in zip(places, constants, totals, products, strict=True):
                here = builder.add(offset, place)
                away = builder.fsub(load(builder, builder.add(x, here), vector), center)
                value = load(builder, builder.add(gradient, here), vector)
                if mode == BY_INPUT:
                    value = _where_positive(builder, _normalized(builder, away, scale, shift), value)
                elif mode == BY_OUTPUT:
                    value = _where_positive(builder, load(builder, builder.add(y, here), vector), value)
                    store(builder, value, builder.add(before, here))
                builder.store(builder.fadd(builder.load(total), value), total)
                multiply_add(builder, product, value, away)
        for place, total, product in zip(places, totals, products, strict=True):
            for slot, address in ((total, sums_at), (product, builder.add(sums_at, stride))):
                address = builder.add(address, place)
                store(builder, builder.fadd(load(builder, address, vector), builder.load(slot)), address)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def column_input_gradient(typingctx, x, gradient, result, vectors_at, rows, columns, vectors, is_masked):
    """factor * g + constant + slope * (x - center) with g the gradient where the normalized input is positive.

    All arguments are integers: as in `column_gradient_sums`, with rows (center, scale, shift, factor, constant, slope)
    at `vectors_at`. `vectors` and `is_masked` are constants of the code; without a mask g is the gradient.
    """
    signature = types.void(*[types.int64] * 6, vectors, is_masked)
    (vectors, width), is_masked = _breadth(vectors.literal_value), bool(is_masked.literal_value)

    def generate(context, builder, signature, args):
        x, gradient, result, vectors_at, rows, columns = args[:6]
        vector = ir.VectorType(FLOAT, width)
        stride = builder.mul(columns, LONG(4))
        places = [LONG(4 * width * v) for v in range(vectors)]
        constants = _constants(builder, vectors_at, stride, places, vector, 6)
        slots = [cgutils.alloca_once(builder, vector) for _ in range(vectors)]
        with cgutils.for_range(builder, rows) as loop:
            offset = builder.mul(loop.index, stride)
            for place, numbers, slot in zip(places, constants, slots, strict=True):
                center, scale, shift, factor, constant, slope = numbers
                here = builder.add(offset, place)
                away = builder.fsub(load(builder, builder.add(x, here), vector), center)
                value = load(builder, builder.add(gradient, here), vector)
                if is_masked:
                    value = _where_positive(builder, _normalized(builder, away, scale, shift), value)
                builder.store(constant, slot)
                multiply_add(builder, slot, factor, value)
                multiply_add(builder, slot, slope, away)
                store(builder, builder.load(slot), builder.add(result, here))
        return context.get_dummy_value()

    return signature, generate


def _breadth(vectors):
    """How many registers, and how many columns each."""
    return (vectors, lanes()) if vectors else (1, 1)


def _constants(builder, address, stride, places, vector, count):
    """For each register of columns the rows of a matrix."""
    rows = [builder.add(address, builder.mul(stride, LONG(row))) for row in range(count)]
    return [[load(builder, builder.add(row, place), vector) for row in rows] for place in places]


def _normalized(builder, away, scale, shift):
    """In the forward pass's two roundings, so that both agree on what is positive."""
    return builder.fadd(builder.fmul(away, scale), shift)


def _where_positive(builder, condition, value):
    zero = ir.Constant(value.type, None)
    return builder.select(builder.fcmp_ordered(">", condition, zero), value, zero)
