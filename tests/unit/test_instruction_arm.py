"""Which memory aarch64, arm and thumb instructions touch."""

import pytest

from evdiag.model.machine import AARCH64, ARM
from evdiag.parse import instruction_arm
from tests.unit.test_instruction import A32, A64, AT, T32, Memory, first, memory, read_word


@pytest.mark.parametrize(
    ("code", "operands"),
    [
        ("200c40f9", [("[x1, #0x18]", 0x1018, 8, "r")]),  # ldr x0, [x1, #24]
        ("20d822b8", [("[x1, w2, sxtw #2]", 0x9000, 4, "w")]),  # str w0, ...
        ("20682238", [("[x1, x2]", 0x3000, 1, "w")]),  # strb
        ("207862f8", [("[x1, x2, lsl #3]", 0x11000, 8, "r")]),  # ldr
        ("204862f8", [("[x1, w2, uxtw]", 0x3000, 8, "r")]),  # ldr
        ("20687fb8", [("[x1, xzr]", 0x1000, 4, "r")]),  # ldr w0
        ("208440f8", [("[x1]", 0x1000, 8, "r")]),  # ldr x0, [x1], #8
        ("200c1ff8", [("[x1, #-0x10]", 0xFF0, 8, "w")]),  # str x0, [x1, #-16]!
        ("fd7bc2a8", [("[sp]", 0x7FFF0000, 16, "r")]),  # ldp x29, x30, [sp], #32
        ("fd7bbea9", [("[sp, #-0x20]", 0x7FFEFFE0, 16, "w")]),  # stp x29, x30, [sp, #-32]!
        ("200400ad", [("[x1]", 0x1000, 32, "w")]),  # stp q0, q1
        ("20084069", [("[x1]", 0x1000, 8, "r")]),  # ldpsw
        ("80000058", [("[#0x400010]", 0x400010, 8, "r")]),  # ldr x0, a literal
        ("200080b9", [("[x1]", 0x1000, 4, "r")]),  # ldrsw
        ("20004079", [("[x1]", 0x1000, 2, "r")]),  # ldrh
        ("207c02c8", [("[x1]", 0x1000, 8, "w")]),  # stxr w2, x0
        ("227c2048", [("[x1]", 0x1000, 16, "rw")]),  # casp
        ("2100e078", [("[x1]", 0x1000, 2, "rw")]),  # ldaddalh
        ("20a09f4c", [("[x1]", 0x1000, 32, "w")]),  # st1 {v0.16b, v1.16b}, [x1], #32
        ("20c8404d", [("[x1]", 0x1000, 4, "r")]),  # ld1r {v0.4s}
        ("200c400d", [("[x1]", 0x1000, 1, "r")]),  # ld1 {v0.b}[3]
        ("20001fe0", [("[x1]", 0x1000, 16, "r")]),  # ld1b {za0h.b[w12, 0]}: a tile of SME
        ("2008a0d9", [("[x1]", 0x1000, 32, "w")]),  # st2g
        ("200060d9", [("[x1]", 0x1000, 16, "r")]),  # ldg
        ("20d03ff8", [("[x1]", 0x1000, 64, "r")]),  # ld64b
        ("21740bd5", [("[x1]", 0x1000, 64, "w")]),  # dc zva
        ("227e0bd5", [("[x2]", 0x2000, 64, "r")]),  # dc civac
        ("200080f9", []),  # prfm
        ("20a0e1a5", []),  # ld1d {z0.d}, p0/z, [x1, #1, mul vl]
        ("2000028b", []),  # add
    ],
)
def test_memory_of_aarch64(code: str, operands: list[Memory]) -> None:
    assert memory(first(AARCH64, code, A64)) == operands


@pytest.mark.parametrize(
    ("code", "operands"),
    [
        ("180091e5", [("[r1, #0x18]", 0x1018, 4, "r")]),  # ldr r0, [r1, #24]
        ("820111e7", [("[r1, -r2, lsl #3]", 0xFFFF1000, 4, "r")]),
        ("420191e7", [("[r1, r2, asr #2]", 0x1800, 4, "r")]),
        ("220191e7", [("[r1, r2, lsr #2]", 0x1800, 4, "r")]),
        ("620291e7", [("[r1, r2, ror #4]", 0x1200, 4, "r")]),
        ("080091e4", [("[r1]", 0x1000, 4, "r")]),  # ldr r0, [r1], #8
        ("f800c2e1", [("[r2, #8]", 0x2008, 8, "w")]),  # strd
        ("9f0fb2e1", [("[r2]", 0x2000, 8, "r")]),  # ldrexd
        ("d000d111", [("[r1]", 0x1000, 1, "r")]),  # ldrsbne
        ("b000d1e1", [("[r1]", 0x1000, 2, "r")]),  # ldrh
        ("b000c101", [("[r1]", 0x1000, 2, "w")]),  # strheq
        ("00009195", [("[r1]", 0x1000, 4, "r")]),  # ldrls: not a signed halfword
        ("910fc2e1", [("[r2]", 0x2000, 1, "w")]),  # strexb
        ("0e00b0e8", [("[r0]", 0, 12, "r")]),  # ldm r0!, {r1, r2, r3}
        ("060010e9", [("[r0 - 8]", 0xFFFFFFF8, 8, "r")]),  # ldmdb
        ("060080e9", [("[r0 + 4]", 4, 8, "w")]),  # stmib
        ("060000e8", [("[r0 - 4]", 0xFFFFFFFC, 8, "w")]),  # stmda
        ("10402de9", [("[sp - 8]", 0x6FFF8, 8, "w")]),  # push {r4, lr}
        ("04402de5", [("[sp, #-4]", 0x6FFFC, 4, "w")]),  # push {r4}
        ("1080bde8", [("[sp]", 0x70000, 8, "r")]),  # pop {r4, pc}
        ("08009fe5", [("[pc, #8]", AT + 16, 4, "r")]),  # ldr r0, a literal
        ("020b90ed", [("[r0, #8]", 8, 8, "r")]),  # vldr d0
        ("000a80ed", [("[r0]", 0, 4, "w")]),  # vstr s0
        ("040b90ec", [("[r0]", 0, 16, "r")]),  # vldmia r0, {d0, d1}
        ("048b2ded", [("[sp - 0x10]", 0x6FFF0, 16, "w")]),  # vpush {d8, d9}
        ("0f0a20f4", [("[r0]", 0, 16, "r")]),  # vld1.8 {d0, d1}
        ("bf0880f4", [("[r0:0x20]", 0, 4, "w")]),  # vst1.32 {d0[1]}
        ("910002e1", [("[r2]", 0x2000, 4, "rw")]),  # swp
        ("910042e1", [("[r2]", 0x2000, 1, "rw")]),  # swpb
        ("00f0d0f5", []),  # pld
        ("020081e0", []),  # add
    ],
)
def test_memory_of_arm(code: str, operands: list[Memory]) -> None:
    assert memory(first(ARM, code, A32)) == operands


@pytest.mark.parametrize(
    ("code", "operands"),
    [
        ("8869", [("[r1, #0x18]", 0x1018, 4, "r")]),
        ("51f83200", [("[r1, r2, lsl #3]", 0x11000, 4, "r")]),  # ldr.w
        ("10b5", [("[sp - 8]", 0x6FFF8, 8, "w")]),
        ("dfe800f0", [("[pc, r0]", AT + 4, 1, "r")]),  # tbb
        ("d1e810f0", [("[r1, r0, lsl #1]", 0x1000, 2, "r")]),  # tbh
    ],
)
def test_memory_of_thumb(code: str, operands: list[Memory]) -> None:
    assert memory(first(ARM, code, T32)) == operands


def test_pc_is_aligned_in_thumb_literals() -> None:
    # ldr r0, [pc, #16] at an address that is no multiple of four
    assert memory(first(ARM, "0448", T32, AT + 2)) == [("[pc, #0x10]", AT + 20, 4, "r")]


def test_assembly_without_brackets_and_without_a_literal() -> None:
    line = instruction_arm.Line("ldr", "x0, somewhere", AT)
    assert memory(instruction_arm.explain(line, AARCH64, A64, read_word)) == []
