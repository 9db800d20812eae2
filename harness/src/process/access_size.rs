//! How many bytes an instruction of x86-64 reads or writes in memory, for the report of a stray
//! access. Decodes what compilers make of ordinary code; of anything else it says nothing.
//!
//! Source of the encodings: Intel's *Software Developer's Manual*, volume 2, appendix A.
#![allow(unsafe_code)]

use crate::process::guard_pages::page;
use crate::process::status;

/// The longest instruction.
const CODE_MAX: usize = 15;

/// The bytes that the instruction at this address accesses, if it is one of this program. What the C
/// library's functions access at once depends on the machine.
pub(crate) fn of_instruction(address: usize) -> Option<u64> {
    if cfg!(not(target_arch = "x86_64")) || !status::is_in_this_library(address) {
        return None;
    }
    let length = CODE_MAX.min(page() - address % page());
    // SAFETY: the instruction was executed and is in this program's code, which stays mapped; what is
    // read ends with its page.
    access_size(unsafe { std::slice::from_raw_parts(address as *const u8, length) })
}

/// What comes before an opcode.
#[derive(Clone, Copy, Default)]
struct Prefixes {
    /// `66`, `F3` or `F2`, which select the instruction for vectors; 0 if there is none.
    selector: u8,
    /// Operands of 64 bits.
    wide: bool,
    /// Operands of 16 bits.
    short: bool,
    /// Bytes of a vector.
    vector: u64,
}

impl Prefixes {
    /// The bytes of a general operand.
    fn general(self) -> u64 {
        match self {
            Prefixes { wide: true, .. } => 8,
            Prefixes { short: true, .. } => 2,
            _ => 4,
        }
    }

    /// The bytes of an operand that is a vector, or with `F3` or `F2` one of its numbers.
    fn vector_or_scalar(self) -> u64 {
        match self.selector {
            0xF3 => 4,
            0xF2 => 8,
            _ => self.vector,
        }
    }
}

/// The bytes that the instruction at the start of `code` accesses.
fn access_size(code: &[u8]) -> Option<u64> {
    let mut prefixes = Prefixes { vector: 16, ..Prefixes::default() };
    let mut code = code.iter().copied();
    let mut byte = code.next()?;
    loop {
        match byte {
            0x66 => prefixes.short = true,
            0xF2 | 0xF3 => prefixes.selector = byte,
            0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0x67 | 0xF0 => {}
            _ => break,
        }
        byte = code.next()?;
    }
    if prefixes.short && prefixes.selector == 0 {
        prefixes.selector = 0x66;
    }
    if byte & 0xF0 == 0x40 {
        prefixes.wide = byte & 8 != 0;
        byte = code.next()?;
    }
    match byte {
        0x0F => match code.next()? {
            0x38 => after_0f38(code.next()?, prefixes),
            0x3A => Some(prefixes.vector),
            opcode => after_0f(opcode, prefixes),
        },
        0xC5 | 0xC4 | 0x62 => with_vectors(byte, &mut code),
        opcode => one_byte(opcode, prefixes, code.next().unwrap_or(0)),
    }
}

/// An instruction with the prefix of AVX (`C5`, `C4`) or of AVX-512 (`62`).
fn with_vectors(prefix: u8, code: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let first = code.next()?;
    let (map, second) = match prefix {
        0xC5 => (1, first),
        _ => (first & 7, code.next()?),
    };
    let mut prefixes = Prefixes {
        selector: [0, 0x66, 0xF3, 0xF2][usize::from(second & 3)],
        wide: prefix != 0xC5 && second & 0x80 != 0,
        short: false,
        vector: if second & 4 != 0 { 32 } else { 16 },
    };
    if prefix == 0x62 {
        let third = code.next()?;
        prefixes.vector = 16 << (third >> 5 & 3);
        if third & 0x10 != 0 {
            // One number for all places.
            prefixes.vector = if prefixes.wide { 8 } else { 4 };
        }
    }
    let opcode = code.next()?;
    match map {
        1 => after_0f(opcode, prefixes),
        2 => after_0f38(opcode, prefixes),
        3 => Some(prefixes.vector),
        _ => None,
    }
}

fn one_byte(opcode: u8, prefixes: Prefixes, modrm: u8) -> Option<u64> {
    let is_wide_form = opcode & 1 != 0;
    Some(match opcode {
        0x00..=0x3F if opcode & 7 < 4 && !is_wide_form => 1,
        0x00..=0x3F if opcode & 7 < 4 => prefixes.general(),
        0x63 => 4,
        0x69 | 0x6B | 0x83 => prefixes.general(),
        0x8F => 8,
        // Calls, jumps and pushes.
        0xFF if modrm >> 3 & 7 >= 2 => 8,
        0x80
        | 0x81
        | 0x84..=0x8B
        | 0xA4..=0xA7
        | 0xAA..=0xAF
        | 0xC0
        | 0xC1
        | 0xC6
        | 0xC7
        | 0xD0..=0xD3
        | 0xF6
        | 0xF7
        | 0xFE
        | 0xFF => match is_wide_form {
            true => prefixes.general(),
            false => 1,
        },
        _ => return None,
    })
}

fn after_0f(opcode: u8, prefixes: Prefixes) -> Option<u64> {
    let Prefixes { selector, wide, vector, .. } = prefixes;
    let general_32 = if wide { 8 } else { 4 };
    Some(match opcode {
        0x12 | 0x16 if selector == 0xF3 => vector,
        0x12 | 0x13 | 0x16 | 0x17 => 8,
        0x10 | 0x11 | 0x51..=0x59 | 0x5C..=0x5F | 0xC2 => prefixes.vector_or_scalar(),
        0x5A if selector == 0 => vector / 2,
        0x5A => prefixes.vector_or_scalar(),
        0x2A => general_32,
        0x2C | 0x2D => prefixes.vector_or_scalar(),
        0x2E | 0x2F if selector == 0x66 => 8,
        0x2E | 0x2F => 4,
        0x40..=0x4F | 0xA3 | 0xAB | 0xAF | 0xB1 | 0xB3 | 0xBA | 0xBB | 0xC1 => prefixes.general(),
        0x6E => general_32,
        0x7E if selector == 0xF3 => 8,
        0x7E => general_32,
        0xD6 => 8,
        0x6F | 0x7F if selector == 0 => 8,
        0x90..=0x9F | 0xB0 | 0xB6 | 0xBE | 0xC0 => 1,
        0xB7 | 0xBF => 2,
        0xB8 | 0xBC | 0xBD => prefixes.general(),
        0xC7 if wide => 16,
        0xC7 => 8,
        0x14
        | 0x15
        | 0x28
        | 0x29
        | 0x2B
        | 0x5B
        | 0x60..=0x6D
        | 0x6F
        | 0x70
        | 0x74..=0x76
        | 0x7F
        | 0xC6
        | 0xD0..=0xFE => vector,
        _ => return None,
    })
}

fn after_0f38(opcode: u8, prefixes: Prefixes) -> Option<u64> {
    let Prefixes { wide, vector, .. } = prefixes;
    Some(match opcode {
        0x18 | 0x58 => 4,
        0x19 | 0x59 => 8,
        0x1A | 0x5A => 16,
        0x78 => 1,
        0x79 => 2,
        // These widen what they load.
        0x20 | 0x23 | 0x25 | 0x30 | 0x33 | 0x35 => vector / 2,
        0x21 | 0x24 | 0x31 | 0x34 => vector / 4,
        0x22 | 0x32 => vector / 8,
        0xF0 | 0xF1 if prefixes.selector != 0xF2 => prefixes.general(),
        0xF2 | 0xF3 | 0xF5..=0xF7 if wide => 8,
        0xF2 | 0xF3 | 0xF5..=0xF7 => 4,
        0x00..=0x0F | 0x10..=0x1F | 0x28..=0x2B | 0x37..=0x4F | 0x8C..=0xBF => vector,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operand_in_memory_has_its_size() {
        let cases: [(&[u8], Option<u64>, &str); 22] = [
            (&[0x8A, 0x07], Some(1), "mov al, [rdi]"),
            (&[0x66, 0x89, 0x07], Some(2), "mov [rdi], ax"),
            (&[0x8B, 0x07], Some(4), "mov eax, [rdi]"),
            (&[0x48, 0x8B, 0x07], Some(8), "mov rax, [rdi]"),
            (&[0xC6, 0x07, 0x01], Some(1), "mov byte ptr [rdi], 1"),
            (&[0x48, 0xC7, 0x07, 1, 0, 0, 0], Some(8), "mov qword ptr [rdi], 1"),
            (&[0x0F, 0xB6, 0x07], Some(1), "movzx eax, byte ptr [rdi]"),
            (&[0x48, 0x0F, 0xBF, 0x07], Some(2), "movsx rax, word ptr [rdi]"),
            (&[0x80, 0x3F, 0x00], Some(1), "cmp byte ptr [rdi], 0"),
            (&[0x48, 0x01, 0x07], Some(8), "add [rdi], rax"),
            (&[0xF0, 0x0F, 0xB1, 0x0F], Some(4), "lock cmpxchg [rdi], ecx"),
            (&[0xFF, 0x10], Some(8), "call [rax]"),
            (&[0x0F, 0x10, 0x07], Some(16), "movups xmm0, [rdi]"),
            (&[0xF3, 0x0F, 0x10, 0x07], Some(4), "movss xmm0, [rdi]"),
            (&[0xF2, 0x0F, 0x10, 0x07], Some(8), "movsd xmm0, [rdi]"),
            (&[0x66, 0x0F, 0x6F, 0x07], Some(16), "movdqa xmm0, [rdi]"),
            (&[0xF3, 0x0F, 0x7E, 0x07], Some(8), "movq xmm0, [rdi]"),
            (&[0xC5, 0xFC, 0x10, 0x07], Some(32), "vmovups ymm0, [rdi]"),
            (&[0xC4, 0xE2, 0x7D, 0x18, 0x07], Some(4), "vbroadcastss ymm0, [rdi]"),
            (&[0x62, 0xF1, 0x7C, 0x48, 0x10, 0x07], Some(64), "vmovups zmm0, [rdi]"),
            (&[0x90], None, "nop"),
            (&[0x66], None, "cut short"),
        ];
        for (code, size, text) in cases {
            assert_eq!(access_size(code), size, "{text}");
        }
    }
}
