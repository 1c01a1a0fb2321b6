//! The smallest programs: each ends at once with the status 0. Pure.

/// A processor, as far as a program needs it.
struct Processor {
    /// Go's name for it.
    name: &'static str,
    /// Source: the System V ABI's list of `e_machine`.
    machine: u16,
    is_64_bit: bool,
    is_big_endian: bool,
    /// `e_flags`: the version of the ABI, where kernel and emulators look at it.
    flags: u32,
    /// The system call `exit` with 0, as Linux numbers it there.
    code: &'static [u8],
}

const PROCESSORS: &[Processor] = &[
    Processor {
        name: "amd64",
        machine: 62,
        is_64_bit: true,
        is_big_endian: false,
        flags: 0,
        // xor edi, edi; mov eax, 60; syscall
        code: &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
    },
    Processor {
        name: "386",
        machine: 3,
        is_64_bit: false,
        is_big_endian: false,
        flags: 0,
        // xor ebx, ebx; mov eax, 1; int 0x80
        code: &[0x31, 0xdb, 0xb8, 1, 0, 0, 0, 0xcd, 0x80],
    },
    Processor {
        name: "arm64",
        machine: 183,
        is_64_bit: true,
        is_big_endian: false,
        flags: 0,
        // mov x0, 0; mov x8, 93; svc 0
        code: &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4],
    },
    Processor {
        name: "arm",
        machine: 40,
        is_64_bit: false,
        is_big_endian: false,
        flags: 0x0500_0000,
        // mov r0, 0; mov r7, 1; svc 0
        code: &[0x00, 0x00, 0xa0, 0xe3, 0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef],
    },
    Processor {
        name: "riscv64",
        machine: 243,
        is_64_bit: true,
        is_big_endian: false,
        flags: 0,
        // li a0, 0; li a7, 93; ecall
        code: &[0x13, 0x05, 0x00, 0x00, 0x93, 0x08, 0xd0, 0x05, 0x73, 0x00, 0x00, 0x00],
    },
    Processor {
        name: "ppc64le",
        machine: 21,
        is_64_bit: true,
        is_big_endian: false,
        flags: 2,
        // li r3, 0; li r0, 1; sc
        code: &[0x00, 0x00, 0x60, 0x38, 0x01, 0x00, 0x00, 0x38, 0x02, 0x00, 0x00, 0x44],
    },
    Processor {
        name: "s390x",
        machine: 22,
        is_64_bit: true,
        is_big_endian: true,
        flags: 0,
        // lghi %r2, 0; svc 1
        code: &[0xa7, 0x29, 0x00, 0x00, 0x0a, 0x01],
    },
];

/// `PT_LOAD`.
const LOAD: u32 = 1;
/// `PF_R | PF_X`.
const READ_AND_RUN: u32 = 5;
/// Where programs are in memory; a multiple of the largest page.
const ADDRESS: u64 = 0x0040_0000;

/// Returns a static program for a processor of this name, if it is known.
pub(crate) fn program(architecture: &str) -> Option<Vec<u8>> {
    PROCESSORS.iter().find(|known| known.name == architecture).map(elf)
}

/// Source: the System V ABI, chapter 4; `ELF-64 Object File Format` 1.5.
fn elf(processor: &Processor) -> Vec<u8> {
    let wide = processor.is_64_bit;
    let (header, segment): (u64, u64) = if wide { (64, 56) } else { (52, 32) };
    let start = header + segment;
    let size = start + processor.code.len() as u64;
    let mut out = Out { bytes: Vec::new(), wide, big: processor.is_big_endian };
    out.bytes.extend([0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }]);
    out.bytes.extend([if processor.is_big_endian { 2 } else { 1 }, 1]);
    out.bytes.extend([0; 9]);
    // An executable.
    out.half(2);
    out.half(processor.machine);
    out.word(1);
    // Where it starts, where its segments are listed, and that it lists no sections.
    out.address(ADDRESS + start);
    out.address(header);
    out.address(0);
    out.word(processor.flags);
    for value in [header, segment, 1, 0, 0, 0] {
        out.half(value as u16);
    }
    // One segment, loaded whole, which can be read and run.
    out.word(LOAD);
    if wide {
        out.word(READ_AND_RUN);
    }
    for value in [0, ADDRESS, ADDRESS, size, size] {
        out.address(value);
    }
    if !wide {
        out.word(READ_AND_RUN);
    }
    out.address(0x1_0000);
    out.bytes.extend(processor.code);
    out.bytes
}

/// Bytes in the order of a processor.
struct Out {
    bytes: Vec<u8>,
    wide: bool,
    big: bool,
}

impl Out {
    fn half(&mut self, value: u16) {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn word(&mut self, value: u32) {
        self.bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn address(&mut self, value: u64) {
        match (self.wide, self.big) {
            (true, true) => self.bytes.extend(value.to_be_bytes()),
            (true, false) => self.bytes.extend(value.to_le_bytes()),
            (false, _) => self.word(value as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "nothing but the program itself is of interest")]
    fn the_program_for_this_machine_ends_well_and_another_one_is_no_program_here() {
        let here = boxwright_core::Platform::of_this_machine();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        std::fs::write(&file, program(here.architecture()).unwrap()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(std::process::Command::new(&file).status().unwrap().success());
        assert_eq!(program("pdp11"), None);
    }

    #[test]
    fn headers_say_what_they_are_for() {
        for known in PROCESSORS {
            let bytes = program(known.name).unwrap();
            let machine = [bytes[18], bytes[19]];
            let read = if known.is_big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            assert_eq!(read(machine), known.machine, "{}", known.name);
            let header = if known.is_64_bit { 64 + 56 } else { 52 + 32 };
            assert_eq!(bytes[header..], *known.code, "{}", known.name);
        }
    }
}
