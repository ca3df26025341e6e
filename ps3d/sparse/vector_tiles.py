"""The two innermost loops of sparse convolution, written as LLVM vector code for the CPU at hand.

numba compiles Python loops well, but does not keep a block of sums in vector registers. These intrinsics emit exactly
that: a tile of R rows by V vectors whose sums stay in registers while one runs over the channels (or over the pairs).
LLVM turns it into AVX-512, AVX2, SSE or NEON instructions; only the number of floats per register is ours to choose.
"""

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

_FLOAT, _INT, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_LINE = 64


def lanes() -> int:
    """Floats in the widest vector register of the CPU that numba compiles for (NUMBA_CPU_FEATURES included)."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    if "avx512f" in enabled:
        return 16
    return 8 if "avx" in enabled else 4


def has_fma() -> bool:
    """Whether the CPU at hand multiplies and adds in one instruction (for the benchmark's report)."""
    return bool(llvmlite.binding.get_host_cpu_features().get("fma", False))


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
        vector = ir.VectorType(_FLOAT, width)
        is_row = [builder.icmp_signed("<", _LONG(r), count) for r in range(rows)]
        inputs_of_row, outputs_of_row = [], []
        for r in range(rows):
            place = builder.select(is_row[r], _LONG(4 * r), _LONG(0))
            row = _load(builder, builder.add(source, place), _INT)
            inputs_of_row.append(_row_address(builder, x, row, inputs))
            row = _load(builder, builder.add(target, place), _INT)
            outputs_of_row.append(_row_address(builder, y, row, columns))
        for r in range(rows):
            _prefetch_row(builder, x, builder.add(ahead, _LONG(4 * r)), last, inputs, 1 + vectors * width // 32)
        sums = [[_zero_sum(builder, vector) for _ in range(vectors)] for _ in range(rows)]
        stride = builder.mul(columns, _LONG(4))
        with cgutils.for_range(builder, inputs) as loop:
            here = builder.add(weight, builder.mul(loop.index, stride))
            matrix = [_load(builder, builder.add(here, _LONG(4 * width * v)), vector) for v in range(vectors)]
            step = builder.mul(loop.index, _LONG(4))
            for r in range(rows):
                value = _splat(builder, _load(builder, builder.add(inputs_of_row[r], step), _FLOAT), vector)
                for v in range(vectors):
                    _multiply_add(builder, sums[r][v], value, matrix[v])
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
        vector = ir.VectorType(_FLOAT, width)
        sums = [[_zero_sum(builder, vector) for _ in range(vectors)] for _ in range(rows)]
        with cgutils.for_range(builder, count) as loop:
            place = builder.mul(loop.index, _LONG(8))
            x = builder.add(_load(builder, builder.add(left, place), _LONG), row)
            y = builder.add(_load(builder, builder.add(right, place), _LONG), column)
            matrix = [_load(builder, builder.add(y, _LONG(4 * width * v)), vector) for v in range(vectors)]
            for r in range(rows):
                value = _splat(builder, _load(builder, builder.add(x, _LONG(4 * r)), _FLOAT), vector)
                for v in range(vectors):
                    _multiply_add(builder, sums[r][v], value, matrix[v])
        stride = builder.mul(columns, _LONG(4))
        for r in range(rows):
            _add_to_memory(builder, builder.add(result, builder.mul(_LONG(r), stride)), sums[r], vector)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def prefetch(typingctx, address, size):
    """Ask for `size` bytes at an address to be brought into the cache."""

    def generate(context, builder, signature, args):
        with cgutils.for_range_slice(builder, _LONG(0), args[1], _LONG(_LINE), inc=True) as (position, _):
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


@intrinsic(prefer_literal=True)
def column_moments(typingctx, x, rows, columns, mean, squares, vectors):
    """Mean of `rows` rows and the sum of squared distances from it, for `vectors` registers of columns.

    All arguments are integers: `x` is the address of the first wanted element of a float32 matrix of `columns` columns,
    `mean` and `squares` are the addresses of the results; `vectors` is a constant of the code. Sums of distances from
    the first row stay small where the mean is large.
    """
    signature = types.void(*[types.int64] * 5, vectors)
    vectors, width = vectors.literal_value, lanes()

    def generate(context, builder, signature, args):
        x, rows, columns, mean, squares = args[:5]
        vector = ir.VectorType(_FLOAT, width)
        stride = builder.mul(columns, _LONG(4))
        places = [_LONG(4 * width * v) for v in range(vectors)]
        first = [_load(builder, builder.add(x, place), vector) for place in places]
        totals, spreads = ([_zero_sum(builder, vector) for _ in range(vectors)] for _ in range(2))
        with cgutils.for_range(builder, rows) as loop:
            row = builder.add(x, builder.mul(loop.index, stride))
            for place, base, total in zip(places, first, totals, strict=True):
                away = builder.fsub(_load(builder, builder.add(row, place), vector), base)
                builder.store(builder.fadd(builder.load(total), away), total)
        share = _splat(builder, builder.fdiv(_FLOAT(1.0), builder.sitofp(rows, _FLOAT)), vector)
        middles = [
            builder.fadd(builder.fmul(builder.load(total), share), base)
            for total, base in zip(totals, first, strict=True)
        ]
        with cgutils.for_range(builder, rows) as loop:
            row = builder.add(x, builder.mul(loop.index, stride))
            for place, middle, spread in zip(places, middles, spreads, strict=True):
                away = builder.fsub(_load(builder, builder.add(row, place), vector), middle)
                _multiply_add(builder, spread, away, away)
        for place, middle, spread in zip(places, middles, spreads, strict=True):
            for target, value in ((mean, middle), (squares, builder.load(spread))):
                address = builder.add(target, place)
                builder.store(value, builder.inttoptr(address, vector.as_pointer())).align = 4
        return context.get_dummy_value()

    return signature, generate


def _load(builder, address, kind):
    load = builder.load(builder.inttoptr(address, kind.as_pointer()))
    load.align = 4
    return load


def _row_address(builder, matrix, row, columns):
    offset = builder.mul(builder.sext(row, _LONG), builder.mul(columns, _LONG(4)))
    return builder.add(matrix, offset)


def _prefetch_row(builder, x, place, last, inputs, lines):
    is_inside = builder.icmp_unsigned("<=", place, last)
    row = _load(builder, builder.select(is_inside, place, last), _INT)
    address = _row_address(builder, x, row, inputs)
    for line in range(lines):
        _prefetch_line(builder, builder.add(address, _LONG(_LINE * line)))


def _prefetch_line(builder, address):
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [builder.inttoptr(address, pointer), _INT(0), _INT(3), _INT(1)])


def _zero_sum(builder, vector):
    slot = cgutils.alloca_once(builder, vector)
    builder.store(ir.Constant(vector, None), slot)
    return slot


def _splat(builder, value, vector):
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT(0))
    mask = ir.Constant(ir.VectorType(_INT, vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def _multiply_add(builder, slot, left, right):
    vector = left.type
    kind = ir.FunctionType(vector, [vector] * 3)
    name = f"llvm.fmuladd.v{vector.count}f32"
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    builder.store(builder.call(function, [left, right, builder.load(slot)]), slot)


def _add_to_memory(builder, address, sums, vector):
    for v, slot in enumerate(sums):
        pointer = builder.inttoptr(builder.add(address, _LONG(4 * vector.count * v)), vector.as_pointer())
        before = builder.load(pointer)
        before.align = 4
        builder.store(builder.fadd(before, builder.load(slot)), pointer).align = 4
