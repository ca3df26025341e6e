"""The two innermost loops of sparse convolution, written as LLVM vector code for the CPU at hand.

numba compiles Python loops well, but does not keep a block of sums in vector registers. These intrinsics emit exactly
that: a tile of R rows by V vectors whose sums stay in registers while one runs over the channels (or over the pairs).
LLVM turns it into AVX-512, AVX2, SSE or NEON instructions; only the number of floats per register is ours to choose.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ps3d.sparse.vector_code import FLOAT, INT, LONG, lanes, load, multiply_add, splat, zero_sum

_LINE = 64


@intrinsic(prefer_literal=True)
def multiply_rows(typingctx, x, weight, y, source, target, count, ahead, last, inputs, columns, rows, vectors):
    """`y[target[r]] += x[source[r]] @ weight` for `count` <= `rows` pairs and `vectors` registers of columns.

    All arguments are integers: addresses of float32 matrices (x: `inputs` columns; weight and y: `columns` columns,
    moved to the first column wanted) and of int32 row numbers. `ahead` and `last` are addresses in `source`: rows from
    `ahead` on are fetched into the cache, never reading beyond `last`. `rows` and `vectors` are constants of the code.
    """
    signature = types.void(*[types.int64] * 10, rows, vectors)
    rows, vectors, width = rows.literal_value, vectors.literal_value, lanes()

    def generate(context, builder, signature, args):
        x, weight, y, source, target, count, ahead, last, inputs, columns = args[:10]
        vector = ir.VectorType(FLOAT, width)
        is_row = [builder.icmp_signed("<", LONG(r), count) for r in range(rows)]
        inputs_of_row, outputs_of_row = [], []
        for r in range(rows):
            place = builder.select(is_row[r], LONG(4 * r), LONG(0))
            row = load(builder, builder.add(source, place), INT)
            inputs_of_row.append(_row_address(builder, x, row, inputs))
            row = load(builder, builder.add(target, place), INT)
            outputs_of_row.append(_row_address(builder, y, row, columns))
        for r in range(rows):
            _prefetch_row(builder, x, builder.add(ahead, LONG(4 * r)), last, inputs, 1 + vectors * width // 32)
        sums = [[zero_sum(builder, vector) for _ in range(vectors)] for _ in range(rows)]
        stride = builder.mul(columns, LONG(4))
        with cgutils.for_range(builder, inputs) as loop:
            here = builder.add(weight, builder.mul(loop.index, stride))
            matrix = [load(builder, builder.add(here, LONG(4 * width * v)), vector) for v in range(vectors)]
            step = builder.mul(loop.index, LONG(4))
            for r in range(rows):
                value = splat(builder, load(builder, builder.add(inputs_of_row[r], step), FLOAT), vector)
                for v in range(vectors):
                    multiply_add(builder, sums[r][v], value, matrix[v])
        for r in range(rows):
            with builder.if_then(is_row[r], likely=True):
                _add_to_memory(builder, outputs_of_row[r], sums[r], vector)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def multiply_columns(typingctx, left, right, result, count, row, column, columns, rows, vectors):
    """`result[r, :] += sum over p < count of x[p, r] * y[p, :]` for `rows` columns of x, `vectors` registers of y.

    All arguments are integers: `left` and `right` are addresses of lists of `count` addresses, of the rows of x and of
    y; `row` and `column` are the bytes to the first wanted column of x and of y; `result` is the address of the first
    wanted element of a float32 matrix of `columns` columns; the rest as in `multiply_rows`.
    """
    signature = types.void(*[types.int64] * 7, rows, vectors)
    rows, vectors, width = rows.literal_value, vectors.literal_value, lanes()

    def generate(context, builder, signature, args):
        left, right, result, count, row, column, columns = args[:7]
        vector = ir.VectorType(FLOAT, width)
        sums = [[zero_sum(builder, vector) for _ in range(vectors)] for _ in range(rows)]
        with cgutils.for_range(builder, count) as loop:
            place = builder.mul(loop.index, LONG(8))
            x = builder.add(load(builder, builder.add(left, place), LONG), row)
            y = builder.add(load(builder, builder.add(right, place), LONG), column)
            matrix = [load(builder, builder.add(y, LONG(4 * width * v)), vector) for v in range(vectors)]
            for r in range(rows):
                value = splat(builder, load(builder, builder.add(x, LONG(4 * r)), FLOAT), vector)
                for v in range(vectors):
                    multiply_add(builder, sums[r][v], value, matrix[v])
        stride = builder.mul(columns, LONG(4))
        for r in range(rows):
            _add_to_memory(builder, builder.add(result, builder.mul(LONG(r), stride)), sums[r], vector)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def prefetch(typingctx, address, size):
    """Ask for `size` bytes at an address to be brought into the cache."""

    def generate(context, builder, signature, args):
        with cgutils.for_range_slice(builder, LONG(0), args[1], LONG(_LINE), inc=True) as (position, _):
            _prefetch_line(builder, builder.add(args[0], position))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def clear(typingctx, address, size):
    """Set `size` bytes at an address to zero."""

    def generate(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        cgutils.memset(builder, pointer, args[1], 0)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _row_address(builder, matrix, row, columns):
    offset = builder.mul(builder.sext(row, LONG), builder.mul(columns, LONG(4)))
    return builder.add(matrix, offset)


def _prefetch_row(builder, x, place, last, inputs, lines):
    is_inside = builder.icmp_unsigned("<=", place, last)
    row = load(builder, builder.select(is_inside, place, last), INT)
    address = _row_address(builder, x, row, inputs)
    for line in range(lines):
        _prefetch_line(builder, builder.add(address, LONG(_LINE * line)))


def _prefetch_line(builder, address):
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, INT, INT, INT])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.inttoptr(address, pointer), INT(0), INT(3), INT(1)])


def _add_to_memory(builder, address, sums, vector):
    for v, slot in enumerate(sums):
        pointer = builder.inttoptr(builder.add(address, LONG(4 * vector.count * v)), vector.as_pointer())
        before = builder.load(pointer)
        before.align = 4
        builder.store(builder.fadd(before, builder.load(slot)), pointer).align = 4
