"""Mutations of small valid files: pure, seeded, of the bytes and of the structure of each format."""

import ast
import copy
import csv
import gzip
import io
import json
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import yaml

Mutator = Callable[[bytes, random.Random], bytes]

DEEP = 2000
"""Nested lists; no reader of ours needs 100."""

CANARY_PATH = "zzcanary.networks.Network"
"""An import path that no file may have imported; there is no such module."""

TEXTS = ("", " ", "x", "nan", "-inf", "1e400", "1,5", "١", "é", "=1+1", "[low]", "[/]", "$x_$", "\x00", "\x1b[31m")
TEXTS += ("a\nb", "../../elsewhere", "/dev/null", CANARY_PATH, "long" * 3000, "-1", "None", "<b>", "2026-13-41")
NUMBERS = (0, 1, -1, 2, 7, 255, 2**16, 2**31, -(2**31), 2**63, 2**64 - 1, 10**30, -(10**400), 0.5, 1e308, -1e-320)
ODD = (None, True, False, float("nan"), float("inf"), [], {}, [[]], {"a": 1}, {"": None}, [None, 1, "x"])
RAW = ("[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP)  # as text, for what a tree cannot hold
RAW_YAML = ("!!int x", "!!float []", "!!binary é", "!!timestamp x", "!!set [1]", "!!omap {a: 1}", "!ours 1", "*none")
RAW_YAML += ("&a [*a]", "&a {b: *a}", "{<<: 3}", "{[1]: 2}", "{a: 1, a: 2}", "1_0:30", "0x", "'", "%", "? ", "|", "~")
RAW_YAML += ("!!python/name:" + CANARY_PATH,)


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, set, cut, insert, repeat, splice, blank or swap some bytes."""
    at, n = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64, 512))
    if rng.random() < 0.5:
        at = min(at, rng.randrange(400))  # headers stand at the start
    part = data[at : at + n]
    other = rng.randrange(len(data) + 1)
    kind = rng.randrange(11)
    changed = {
        0: data[:at] + bytes(b ^ (1 << rng.randrange(8)) for b in data[at : at + 1]) + data[at + 1 :],
        1: data[:at] + rng.randbytes(len(part)) + data[at + n :],
        2: data[:at],
        3: data[:at] + data[at + n :],
        4: data[:at] + rng.randbytes(n) + data[at:],
        5: data[:at] + part * rng.choice((2, 3, 50)) + data[at + n :],
        6: data[:at] + data[other : other + n] + data[at + n :],
        7: data[:at] + bytes(len(part)) + data[at + n :],
        8: data[:at] + b"\xff" * len(part) + data[at + n :],
        9: data[:at] + part[::-1] + data[at + n :],
        10: data + rng.randbytes(n),
    }[kind]
    return b"" if rng.random() < 0.01 else changed


# --- trees and text ---------------------------------------------------------------------------------------------------


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for key, child in children for found in _paths(child, (*path, key)))]


def _odd_value(rng: random.Random, raw: tuple[str, ...]) -> Any:
    group = rng.choice((TEXTS, NUMBERS, ODD, ODD, raw))
    index = rng.randrange(len(group))
    return f"@{index}@" if group is raw else group[index]


def change_tree(tree: Any, rng: random.Random, raw: tuple[str, ...] = RAW) -> Any:
    """Replace, remove, rename, repeat or wrap one node; `@N@` stands for the raw text of that number."""
    tree, path = copy.deepcopy(tree), rng.choice(_paths(tree))
    if not path:
        return tree if rng.random() < 0.5 else _odd_value(rng, raw)
    *above, key = path
    holder = tree
    for step in above:
        holder = holder[step]
    kind = rng.choice(("replace",) * 6 + ("remove", "rename", "repeat", "wrap", "text", "scale"))
    if kind == "remove":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[rng.choice((*TEXTS, f"{key}_", str(key).upper()))] = holder.pop(key)
    elif kind == "repeat" and isinstance(holder, list):
        holder[key:key] = [holder[key]] * rng.choice((1, 40))
    elif kind == "wrap":
        holder[key] = rng.choice(([holder[key]], {"a": holder[key]}, {str(key): holder[key]}))
    elif kind == "text":
        holder[key] = str(holder[key])
    elif kind == "scale" and isinstance(holder[key], int | float):
        holder[key] = holder[key] * rng.choice((-1, 10, 1e6, 0.001)) + rng.choice((0, 1))
    else:
        holder[key] = _odd_value(rng, raw)
    return tree


def _fill(text: str, raw: tuple[str, ...]) -> bytes:
    filled = re.sub(r"[\"']@(\d+)@[\"']", lambda found: raw[int(found[1]) % len(raw)], text)
    return filled.encode("utf-8", "surrogatepass")


def change_json(data: bytes, rng: random.Random) -> bytes:
    """Change a node of the tree, or a line."""
    if rng.random() < 0.15:
        return change_lines(data, rng)
    return _fill(json.dumps(change_tree(json.loads(data), rng), indent=1), RAW)


def change_yaml(data: bytes, rng: random.Random) -> bytes:
    """Change a node of the tree, or a line; tags, anchors and aliases too."""
    if rng.random() < 0.25:
        return change_lines(data, rng)
    tree = change_tree(yaml.safe_load(data), rng, RAW + RAW_YAML)
    return _fill(yaml.safe_dump(tree, allow_unicode=True, width=10**6), RAW + RAW_YAML)


def change_lines(data: bytes, rng: random.Random) -> bytes:
    """Change the lines of a text, or its encoding."""
    lines = data.decode("utf-8").split("\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(10)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(other, lines[at])
    elif kind == 2:
        lines[at] = rng.choice(("  ", "\t", "- ", "#", '"', "{", "%")) + lines[at]
    elif kind == 3:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    elif kind == 4:
        lines[at] = rng.choice(TEXTS)
    elif kind == 5:
        lines[at] += rng.choice(TEXTS)
    elif kind == 6:
        lines = lines[: at + 1]
    text = "\n".join(lines)
    if kind == 7:
        text = text.replace("\n", rng.choice(("\r\n", "\r", "\n\n")))
    encoding = rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp037")) if kind > 7 else "utf-8"
    return text.encode(encoding, "replace")


def change_csv(data: bytes, rng: random.Random) -> bytes:
    """Change a cell, row or column, the delimiter, the quotes or the encoding."""
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
    at = rng.choice((0, rng.randrange(len(rows))))
    row = rows[at]
    if not row:
        return change_lines(data, rng)
    column = rng.randrange(len(row))
    kind = rng.randrange(10)
    if kind < 4:
        row[column] = rng.choice((*TEXTS, '"', '"open', str(rng.choice(NUMBERS)), "Ä;Ö"))
    elif kind == 4:
        del row[column]
    elif kind == 5:
        row.insert(column, row[column])
    elif kind == 6:
        rows.insert(at, list(rng.choice(rows)))
    elif kind == 7:
        row[column] = rng.choice(rows)[-1]
    else:
        return change_lines(data, rng)
    delimiter = rng.choice((*",,,,,", ";", "\t", "|"))
    text = "\n".join(delimiter.join(cells) for cells in rows)
    if delimiter == ";" and rng.random() < 0.5:
        text = re.sub(r"(\d)\.(\d)", r"\1,\2", text)
    return text.encode("utf-8", "replace")


# --- arrays -----------------------------------------------------------------------------------------------------------

DTYPES = (
    "|O",
    ">f4",
    "<f2",
    "<f8",
    "|b1",
    "<c16",
    "<M8[s]",
    "|S5",
    "<U7",
    "|V4",
    "<i8",
    "|u1",
    "<f16",
    "x",
    "",
    None,
    4,
)
DTYPES += ([("a", "<f4")], [("a", "|O")], [("a", "<f4", (2,))], [], ["<f4"], {"a": 1})
SHAPES = (
    (),
    (0,),
    (1,),
    (-1, 4),
    (2**62, 2),
    (2**64,),
    (10**6, 10**6, 10),
    (True, False),
    ("4", 4),
    (4.0,),
    [4, 4],
    None,
)
SHAPES += ((40000, 40000), (0, 2**62), (1,) * 40, "4", {})


def change_npy(data: bytes, rng: random.Random) -> bytes:
    """Change the header of a `.npy` file: its type, shape, order, version or length."""
    length = int.from_bytes(data[8:10], "little")
    header, body = ast.literal_eval(data[10 : 10 + length].decode("latin-1").strip()), data[10 + length :]
    kind = rng.randrange(8)
    if kind < 2:
        header["descr"] = rng.choice(DTYPES)
    elif kind < 4:
        shape = header["shape"]
        header["shape"] = rng.choice((*SHAPES, shape[::-1], shape[:-1], (*shape, 2), tuple(n + 1 for n in shape)))
    elif kind == 4:
        header["fortran_order"] = rng.choice((True, 1, None, "x", [], float("inf")))
    elif kind == 5:
        header = change_tree(header, rng)
    text = (
        repr(header)
        if kind != 6
        else rng.choice(("{", "{}", "[" * 90 + "]" * 90, "1", "a", "{'descr': '<f4'}", "-" * 99))
    )
    encoded = text.encode("latin-1", "replace") + b" " * rng.choice((1, 20)) + b"\n"
    version = rng.choice((b"\1\0", b"\2\0", b"\3\0", b"\x09\0")) if kind == 7 else b"\1\0"
    stated = rng.choice((0, 1, 65535, len(encoded) - 3)) if kind == 7 and rng.random() < 0.5 else len(encoded)
    size = struct.pack("<H", stated % 65536) if version == b"\1\0" else struct.pack("<I", stated)
    return b"\x93NUMPY" + version + size + encoded + body


def change_npz(data: bytes, rng: random.Random) -> bytes:
    """Change, rename, repeat or remove a member of an archive, or what the archive declares of it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [[name, archive.read(name)] for name in archive.namelist()]
    at, kind = rng.randrange(len(members)), rng.randrange(9)
    if kind < 5:
        members[at][1] = rng.choice((change_npy, change_bytes))(members[at][1], rng)
    elif kind == 5:
        members[at][0] = rng.choice(("../x.npy", "/x.npy", "x", "é.npy", members[0][0], members[at][0] + "_"))
    elif kind == 6:
        del members[at]
    elif kind == 7:
        members.append(list(members[at]))
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", rng.choice((0, 8))) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    changed = out.getvalue()
    if kind == 8:  # a field of the central directory: method, sizes, offset, flags
        where = changed.find(b"PK\1\2") + rng.choice((8, 10, 16, 20, 24, 28, 42))
        changed = changed[:where] + rng.randbytes(2) + changed[where + 2 :]
    return changed


WIDTHS = {"F64": 8, "I64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U8": 1, "BOOL": 1}


def change_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Change a tensor so that the file stays whole, or its text of metadata, its header, or the header's length."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    state = header.get("__metadata__", {}).get("state")
    kind = rng.randrange(8)
    if state is not None and kind < 5:
        header["__metadata__"]["state"] = change_json(state.encode(), rng).decode("utf-8", "replace")
    elif kind < 6:
        header, body = _change_tensor(header, body, rng)
    elif kind == 6:
        header = change_tree(header, rng)
    text = _fill(json.dumps(header), RAW) if kind == 6 else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    stated = rng.choice((0, 1, 2**63, 10**9, len(text) - 1)) if kind == 7 else len(text)
    return struct.pack("<Q", stated) + text + body


def _change_tensor(header: dict[str, Any], body: bytes, rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """Another type, shape, name or value of a tensor, or none of it, in a file that holds together."""
    tensors = {
        name: [about["dtype"], about["shape"], body[slice(*about["data_offsets"])]]
        for name, about in header.items()
        if name != "__metadata__"
    }
    name = rng.choice(list(tensors))
    dtype, shape, values = tensors[name]
    kind = rng.randrange(6)
    if kind == 0:
        dtype = rng.choice(list(WIDTHS))
        shape = [len(values) // WIDTHS[dtype]]
        tensors[name] = [dtype, shape, values[: shape[0] * WIDTHS[dtype]]]
    elif kind == 1:
        dtype, size = rng.choice([(key, size) for key, size in WIDTHS.items() if key != dtype])
        n = len(values) // WIDTHS[tensors[name][0]]
        tensors[name] = [dtype, shape, rng.randbytes(n * size) if dtype != "BOOL" else bytes(n)]
    elif kind == 2:
        tensors[name][1] = rng.choice((shape[::-1], [*shape, 1], [1, *shape], [len(values) // WIDTHS[dtype]]))
    elif kind == 3:
        tensors[rng.choice((f"{name}_", "denoiser.x", "", name.split(".")[0], *TEXTS))] = tensors.pop(name)
    elif kind == 4:
        del tensors[name]
    elif values and dtype == "F32":
        at, value = 4 * rng.randrange(len(values) // 4), rng.choice((float("nan"), float("-inf"), 1e38, 0.0))
        tensors[name][2] = values[:at] + struct.pack("<f", value) + values[at + 4 :]
    changed: dict[str, Any] = {key: header[key] for key in header if key == "__metadata__"}
    at = 0
    for name, (dtype, shape, values) in tensors.items():
        changed[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
        at += len(values)
    return changed, b"".join(values for _, _, values in tensors.values())


# --- pictures and volumes ---------------------------------------------------------------------------------------------


def change_png(data: bytes, rng: random.Random) -> bytes:
    """Change, move, repeat or remove a chunk, with a checksum that is right."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    pick, kind = rng.randrange(len(chunks)), rng.randrange(8)
    name, body = chunks[pick]
    if kind < 3:
        chunks[pick] = name, change_bytes(body, rng)
    elif kind == 3:  # width, height, depth, colour, compression, filter, interlace
        header = list(struct.unpack(">IIBBBBB", chunks[0][1]))
        field = rng.randrange(7)
        header[field] = (
            rng.choice((0, 1, 3, 20000, 2**31 - 1)) if field < 2 else rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        )
        chunks[0] = b"IHDR", struct.pack(">IIBBBBB", *header)
    elif kind == 4:
        del chunks[pick]
    elif kind == 5:
        chunks.insert(rng.randrange(len(chunks)), chunks[pick])
    elif kind == 6:
        chunks.insert(
            1, (rng.choice((b"tRNS", b"gAMA", b"PLTE", b"acTL", b"tEXt", b"iCCP", b"zzzz")), rng.randbytes(9))
        )
    else:
        chunks[pick] = rng.choice((b"IDAT", b"IEND", b"abcd", b"\0\0\0\0")), body
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def change_tiff(data: bytes, rng: random.Random) -> bytes:
    """Change the tag, type, count or value of an entry of a directory, or what the header says."""
    order = "<" if data[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", data, 4)
    changed = bytearray(data)
    if rng.random() < 0.1:
        struct.pack_into(order + "I", changed, 4, rng.choice((0, 8, first + 2, len(data), 2**32 - 1)))
        return bytes(changed)
    (n,) = struct.unpack_from(order + "H", data, first)
    at, kind = first + 2 + 12 * rng.randrange(n), rng.randrange(6)
    if kind == 0:
        struct.pack_into(
            order + "H", changed, at, rng.choice((256, 257, 258, 259, 262, 273, 277, 278, 339, 320, 65000))
        )
    elif kind == 1:
        struct.pack_into(order + "H", changed, at + 2, rng.choice((0, 1, 2, 3, 4, 5, 7, 11, 12, 13, 16, 99)))
    elif kind == 2:
        struct.pack_into(order + "I", changed, at + 4, rng.choice((0, 1, 2, 3, 1000, 2**31, 2**32 - 1)))
    elif kind < 5:
        (kind_of_value,) = struct.unpack_from(order + "H", data, at + 2)
        value = rng.choice((0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 20000, 32773, 65535, 2**31, 2**32 - 1))
        packed = struct.pack(order + "HH", value % 65536, 0) if kind_of_value == 3 else struct.pack(order + "I", value)
        changed[at + 8 : at + 12] = packed
    else:
        struct.pack_into(order + "H", changed, first, rng.choice((0, 1, n - 1, n + 1, 65535)))
    return bytes(changed)


NIFTI = {  # offset and kind of the fields of a header of NIfTI-1, of 348 bytes
    "sizeof_hdr": (0, "i"), **{f"dim{i}": (40 + 2 * i, "h") for i in range(8)}, "intent_code": (68, "h"),
    "datatype": (70, "h"), "bitpix": (72, "h"), "slice_start": (74, "h"),
    **{f"pixdim{i}": (76 + 4 * i, "f") for i in range(8)}, "vox_offset": (108, "f"), "scl_slope": (112, "f"),
    "scl_inter": (116, "f"), "xyzt_units": (123, "b"), "qform_code": (252, "h"), "sform_code": (254, "h"),
    **{f"quatern{i}": (256 + 4 * i, "f") for i in range(6)}, **{f"srow{i}": (280 + 4 * i, "f") for i in range(12)},
    "magic": (344, "i"), "extension": (348, "i"), "esize": (352, "i"),
}  # fmt: skip
WHOLE = (
    0,
    1,
    -1,
    2,
    3,
    4,
    7,
    8,
    16,
    64,
    127,
    128,
    255,
    256,
    512,
    1024,
    1536,
    1792,
    2304,
    30000,
    32767,
    -32768,
    2**31 - 1,
)
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 3e38, float("nan"), float("inf"), 352.0, 353.0, -352.0, 1e9, 2e4)


def change_nifti(data: bytes, rng: random.Random) -> bytes:
    """Set one or two fields of the header, or swap its bytes."""
    changed = bytearray(data)
    if rng.random() < 0.1:
        for at, kind in NIFTI.values():
            size = struct.calcsize(kind)
            changed[at : at + size] = changed[at : at + size][::-1]
        return bytes(changed)
    for _ in range(rng.choice((1, 1, 2))):
        at, kind = NIFTI[rng.choice(list(NIFTI))]
        bits = 8 * struct.calcsize(kind)
        whole = (rng.choice(WHOLE) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        struct.pack_into("<" + kind, changed, at, rng.choice(REALS) if kind == "f" else whole)
    return bytes(changed)


def change_gzip(data: bytes, rng: random.Random) -> bytes:
    """Change what is packed, or the pack."""
    if rng.random() < 0.3:
        return change_bytes(data, rng)
    return gzip.compress(mutate(gzip.decompress(data), ".nii", rng), mtime=0)


LONG_VR = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
VRS = (
    *LONG_VR,
    b"AE",
    b"AS",
    b"AT",
    b"CS",
    b"DA",
    b"DS",
    b"DT",
    b"FD",
    b"FL",
    b"IS",
    b"LO",
    b"PN",
    b"SH",
    b"SL",
    b"SS",
)
VRS += (b"ST", b"TM", b"UI", b"UL", b"US", b"ZZ", b"\0\0")
SYNTAXES = tuple(
    f"1.2.840.10008.1.2{end}".encode()
    for end in ("", ".1", ".1.99", ".2", ".5", ".4.50", ".4.70", ".4.80", ".4.90", ".4.201", ".4.100", ".9")
)
VALUES = (
    b"nan",
    b"inf",
    b"1e400",
    b"abc",
    b"1\\2\\3",
    b"1\\2",
    b"\\",
    b"-1",
    b"0",
    b"1",
    b"\0\0",
    b"\xff\xff",
    b"\xe4",
)
VALUES += (b"9" * 20, b"9" * 400, b"\1\0", b"\x08\0", b"\x10\0", b"\x0c\0", b"\x0f\0", b"1.5", b"ISO_IR 999", b"x" * 70)
VALUES += (b"MONOCHROME1", b"RGB", b"LOCALIZER", b"HU", b"US", b"1.2.3", b"", b" ", b"\x1b[31m", b"1\\0\\0\\0\\1\\0")


def _elements(data: bytes) -> list[list[Any]]:
    """Tag, value representation, length that is stated and value of every element, explicit and little-endian."""
    found, at = [], 132
    while at + 8 <= len(data):
        tag, vr = struct.unpack_from("<HH", data, at), data[at + 4 : at + 6]
        start = at + (12 if vr in LONG_VR else 8)
        (length,) = struct.unpack_from("<I" if vr in LONG_VR else "<H", data, start - (4 if vr in LONG_VR else 2))
        found.append([tag, vr, length, data[start : start + length]])
        at = start + length
    return found


def _encoded(tag: tuple[int, int], vr: bytes, length: int, value: bytes) -> bytes:
    wide = struct.pack("<HI", 0, length % 2**32) if vr in LONG_VR else struct.pack("<H", length % 65536)
    return struct.pack("<HH", *tag) + vr + wide + value


def change_dicom(data: bytes, rng: random.Random) -> bytes:
    """Change the tag, VR, length or value of an element; remove, repeat or move one."""
    elements = _elements(data)
    for _ in range(rng.choice((1, 1, 1, 2))):
        at = rng.randrange(len(elements))
        element, kind = elements[at], rng.randrange(12)
        value = element[3]
        if kind == 0 and len(elements) > 2:
            del elements[at]
        elif kind == 1:
            element[1] = rng.choice(VRS)
        elif kind == 2:
            element[2] = rng.choice((0, 1, 2, 2**32 - 1, 2**32 - 2, 2**31, 65534, len(value) + 2, len(value) - 1))
        elif kind == 3:
            elements.insert(rng.randrange(len(elements)), list(element))
        elif kind == 4:
            group, number = element[0]
            element[0] = rng.choice(
                ((group, number ^ 1), (group + 1, number), (0x7FE0, 0x10), (2, 0x10), rng.choice(elements)[0])
            )
        elif kind == 5:
            elements.insert(rng.randrange(len(elements)), elements.pop(at))
        elif kind == 6:
            syntax = rng.choice(SYNTAXES)
            for one in elements:
                if one[0] == (2, 0x10):
                    one[2:] = [len(syntax), syntax + b"\0" * (len(syntax) % 2)]
                    one[2] = len(one[3])
        else:
            value = rng.choice((*VALUES, *VALUES, change_bytes(value, rng)))
            value += b"\0" * (len(value) % 2)
            element[2:] = [len(value), value]
    return data[:132] + b"".join(_encoded(*element) for element in elements)


FIELDS = (
    "-1",
    "0",
    "1",
    "2",
    "3 5",
    "8 8 6",
    "8 8",
    "6 8 8 1",
    "1 1 384",
    "70000 70000 70000",
    "8 8 99999999999",
    "True",
)
FIELDS += (
    "False",
    "MET_FLOAT",
    "MET_UCHAR",
    "MET_DOUBLE",
    "MET_SHORT_ARRAY",
    "float",
    "uint8",
    "block",
    "LOCAL",
    "LIST",
)
FIELDS += ("words.raw", "../words.raw", "/dev/zero", "w_%03d.raw 1 6 1", "w_%03d.raw 6 1 -1", "w_%99999999d.raw 1 6 1")
FIELDS += (
    "%s",
    "%n%n",
    "big",
    "little",
    "raw",
    "gzip",
    "bzip2",
    "hex",
    "(1,0,0) (0,1,0) (0,0,1)",
    "none none none",
    "()",
)
FIELDS += (
    "1 0 0 0 1 0 0 0 1",
    "nan 1 1",
    "0 0 0",
    "1e-9 1e-9 1",
    "RGB-color domain domain",
    "LPS",
    "um",
    '"um" "um" "mm"',
)
NAMES = (
    "NDims",
    "HeaderSize",
    "CompressedData",
    "ElementNumberOfChannels",
    "ElementToIntensityFunctionSlope",
    "DistanceUnits",
)
NAMES += (
    "data file",
    "byte skip",
    "line skip",
    "space",
    "space directions",
    "space units",
    "kinds",
    "spacings",
    "axis mins",
)


def change_header(data: bytes, rng: random.Random) -> bytes:
    """Change the value or the name of a field in a header of lines before words; remove, repeat, move or add one."""
    mark = data.find(b"LOCAL\n") + 6 if b"LOCAL\n" in data else data.find(b"\n\n") + 1 or len(data)
    lines, rest = data[:mark].split(b"\n"), data[mark:]
    at, kind = rng.randrange(len(lines)), rng.randrange(8)
    colon = b": " if b": " in data[:mark] else b" = "
    name, _, value = lines[at].partition(colon)
    text = rng.choice((*FIELDS, *FIELDS, *TEXTS, str(rng.choice(NUMBERS)))).encode("utf-8", "replace")
    if kind < 4:
        lines[at] = name + colon + text
    elif kind == 4:
        del lines[at]
    elif kind == 5:
        lines.insert(at, rng.choice(lines))
    elif kind == 6:
        lines.insert(at, rng.choice(NAMES).encode() + colon + text)
    else:
        lines[at] = rng.choice(NAMES).encode() + colon + value
    return b"\n".join(lines) + rest


STRUCTURE: dict[str, Mutator] = {
    ".dcm": change_dicom, ".nii": change_nifti, ".nii.gz": change_gzip, ".npy": change_npy, ".npz": change_npz,
    ".png": change_png, ".tif": change_tiff, ".csv": change_csv, ".imrmc": change_csv, ".json": change_json,
    ".yaml": change_yaml, ".safetensors": change_safetensors, ".mha": change_header, ".mhd": change_header,
    ".nrrd": change_header, ".nhdr": change_header,
}  # fmt: skip
"""How each format is changed in its structure, by the ending of its files; others are changed in their bytes."""


def mutate(data: bytes, ending: str, rng: random.Random) -> bytes:
    """Change a valid file: mostly in its structure, else in its bytes."""
    change = STRUCTURE.get(ending, change_bytes)
    return (change_bytes if rng.random() < 0.3 else change)(data, rng)
