//! What processor a program is for, by its first bytes.

/// How many bytes of a program are looked at.
pub(crate) const HEAD: u64 = 20;

/// Returns the processor by Go's name, or `None` if `head` is no ELF program of a processor known here.
/// Source: System V ABI, "ELF Header", and the registry of `e_machine`.
pub(crate) fn architecture(head: &[u8]) -> Option<&'static str> {
    let [0x7f, b'E', b'L', b'F', class, order, ..] = *head else { return None };
    let machine: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    let machine = match order {
        1 => u16::from_le_bytes(machine),
        2 => u16::from_be_bytes(machine),
        _ => return None,
    };
    Some(match (machine, class, order) {
        (3, 1, 1) => "386",
        (62, _, 1) => "amd64",
        (40, 1, 1) => "arm",
        (183, 2, 1) => "arm64",
        (243, 2, 1) => "riscv64",
        (258, 2, 1) => "loong64",
        (22, 2, 2) => "s390x",
        (21, 2, 1) => "ppc64le",
        (21, 2, 2) => "ppc64",
        (8, 2, 1) => "mips64le",
        (8, 1, 1) => "mipsle",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(class: u8, order: u8, machine: u16) -> Vec<u8> {
        let mut head = vec![0x7f, b'E', b'L', b'F', class, order];
        head.resize(18, 0);
        head.extend(if order == 2 { machine.to_be_bytes() } else { machine.to_le_bytes() });
        head
    }

    #[test]
    fn programs_are_told_apart_and_scripts_are_none() {
        assert_eq!(architecture(&head(2, 1, 62)), Some("amd64"));
        assert_eq!(architecture(&head(2, 1, 183)), Some("arm64"));
        assert_eq!(architecture(&head(2, 2, 22)), Some("s390x"));
        assert_eq!(architecture(&head(2, 1, 0xffff)), None);
        for other in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF", &head(2, 1, 62)[..19], &head(2, 9, 62)]
        {
            assert_eq!(architecture(other), None);
        }
        let own = std::fs::read("/proc/self/exe").unwrap();
        let expected = boxwright_core::Platform::of_this_machine();
        assert_eq!(architecture(&own), Some(expected.architecture()));
    }
}
