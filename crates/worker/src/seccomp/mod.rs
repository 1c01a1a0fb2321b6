//! The system calls that a step may make: those of Docker's default profile for its default capabilities.

mod allowed;
#[cfg(target_arch = "x86_64")]
mod i386;

use std::collections::BTreeSet;

use boxwright_core::{Error, ErrorKind, Result};

use crate::syscalls::filter_system_calls;

// Source: Linux, `include/uapi/linux/{bpf_common,filter,seccomp,audit}.h`.
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const GO_ON_AT: u16 = 0x05;
const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x0005_0000;
const AT_NUMBER: u32 = 0;
const AT_ARCHITECTURE: u32 = 4;
/// The lower half of the first argument, on a little-endian machine.
const AT_ARGUMENT: u32 = 16;

/// How the kernel names this machine's architecture.
#[cfg(target_arch = "x86_64")]
const AUDIT: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT: u32 = 0xc000_00b7;

/// The flags of `clone` that make namespaces.
const NAMESPACES: u32 = 0x7e02_0000;
/// What `personality` may be asked: nothing, Linux on 32 bits, the same with a 2.6 version, and what it is.
const PERSONALITIES: [u32; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
const AF_VSOCK: u32 = 40;

/// Restricts the process, and all that it becomes and starts. It has no new privileges from then on.
pub(crate) fn restrict() -> Result<()> {
    filter_system_calls(&program()).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot restrict the step's system calls")
            .with_source(error)
    })
}

/// The calls of programs of one architecture: each has numbers of its own.
struct Architecture {
    audit: u32,
    clone: u32,
    clone3: u32,
    socket: u32,
    personality: u32,
    /// Those that need no look at their arguments.
    allowed: BTreeSet<u32>,
}

/// Returns the architectures whose programs run, the machine's own first. The third one of x86_64, x32, which few
/// kernels have, is none of them: its calls have the machine's own architecture and numbers of 2³⁰ and more.
fn architectures() -> Vec<Architecture> {
    let own = Architecture {
        audit: AUDIT,
        clone: number(libc::SYS_clone),
        clone3: number(libc::SYS_clone3),
        socket: number(libc::SYS_socket),
        personality: number(libc::SYS_personality),
        allowed: allowed::calls(),
    };
    vec![
        own,
        #[cfg(target_arch = "x86_64")]
        i386::architecture(),
    ]
}

/// Returns the filter as a program for the kernel's packet filter.
fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![operation(LOAD, AT_ARCHITECTURE)];
    for architecture in architectures() {
        let part = part(&architecture);
        // Farther than a condition can jump.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        program.extend([jump(IF_EQUAL, architecture.audit, 1, 0), operation(GO_ON_AT, length)]);
        program.extend(part);
    }
    program.push(fail(libc::EPERM));
    program
}

/// Returns what answers to calls of one architecture.
fn part(of: &Architecture) -> Vec<libc::sock_filter> {
    let mut part = vec![operation(LOAD, AT_NUMBER)];
    // The C library goes back to `clone`, whose flags can be looked at.
    part.extend([jump(IF_EQUAL, of.clone3, 0, 1), fail(libc::ENOSYS)]);
    part.extend([
        jump(IF_EQUAL, of.clone, 0, 5),
        operation(LOAD, AT_ARGUMENT),
        operation(AND, NAMESPACES),
        jump(IF_EQUAL, 0, 1, 0),
        fail(libc::EPERM),
        operation(RETURN, ALLOW),
    ]);
    part.extend([
        jump(IF_EQUAL, of.socket, 0, 4),
        operation(LOAD, AT_ARGUMENT),
        jump(IF_EQUAL, AF_VSOCK, 0, 1),
        fail(libc::EPERM),
        operation(RETURN, ALLOW),
    ]);
    let count = PERSONALITIES.len() as u8;
    part.push(jump(IF_EQUAL, of.personality, 0, count + 3));
    part.push(operation(LOAD, AT_ARGUMENT));
    for (index, value) in (0..count).zip(PERSONALITIES) {
        part.push(jump(IF_EQUAL, value, count - index, 0));
    }
    part.extend([fail(libc::EPERM), operation(RETURN, ALLOW)]);
    for (first, last) in ranges(&of.allowed) {
        part.extend([
            jump(IF_AT_LEAST, first, 1, 0),
            fail(libc::EPERM),
            jump(IF_GREATER, last, 1, 0),
            operation(RETURN, ALLOW),
        ]);
    }
    part.push(fail(libc::EPERM));
    part
}

/// Returns the numbers as ranges, in their order.
fn ranges(numbers: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

fn operation(code: u16, k: u32) -> libc::sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn fail(error: i32) -> libc::sock_filter {
    operation(RETURN, FAIL | error.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel does.
    fn answer(call: libc::c_long, argument: u64, audit: u32) -> u32 {
        let program = program();
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            at += 1;
            let taken = match step.code {
                RETURN => return step.k,
                LOAD => {
                    value = match step.k {
                        AT_NUMBER => number(call),
                        AT_ARCHITECTURE => audit,
                        AT_ARGUMENT => argument as u32,
                        other => panic!("reads at {other}"),
                    };
                    continue;
                }
                GO_ON_AT => {
                    at += step.k as usize;
                    continue;
                }
                AND => {
                    value &= step.k;
                    continue;
                }
                IF_EQUAL => value == step.k,
                IF_GREATER => value > step.k,
                IF_AT_LEAST => value >= step.k,
                other => panic!("unknown operation {other:x}"),
            };
            at += usize::from(if taken { step.jt } else { step.jf });
        }
    }

    #[test]
    fn calls_of_programs_pass_and_calls_of_administrators_do_not() {
        let ask = |call| answer(call, 0, AUDIT);
        for call in [
            libc::SYS_read,
            libc::SYS_execve,
            libc::SYS_openat,
            libc::SYS_chroot,
            libc::SYS_ptrace,
            libc::SYS_mknodat,
            libc::SYS_fchownat,
            libc::SYS_setresuid,
            libc::SYS_clone,
            libc::SYS_socket,
            libc::SYS_personality,
            libc::SYS_statx,
            452,
        ] {
            assert_eq!(ask(call), ALLOW, "{call}");
        }
        for call in [
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_keyctl,
            libc::SYS_add_key,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_pivot_root,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_move_mount,
            libc::SYS_mount_setattr,
            libc::SYS_reboot,
            libc::SYS_settimeofday,
            5000,
        ] {
            assert_eq!(ask(call), FAIL | libc::EPERM as u32, "{call}");
        }
        assert_eq!(ask(libc::SYS_clone3), FAIL | libc::ENOSYS as u32);
    }

    #[test]
    fn arguments_are_looked_at() {
        let refused = FAIL | libc::EPERM as u32;
        let ask = |call, argument| answer(call, argument, AUDIT);
        assert_eq!(ask(libc::SYS_clone, libc::CLONE_NEWUSER as u64), refused);
        assert_eq!(ask(libc::SYS_clone, libc::CLONE_NEWNS as u64 | 17), refused);
        assert_eq!(ask(libc::SYS_clone, libc::CLONE_THREAD as u64), ALLOW);
        assert_eq!(ask(libc::SYS_socket, 40), refused);
        assert_eq!(ask(libc::SYS_socket, 2), ALLOW);
        for value in PERSONALITIES {
            assert_eq!(ask(libc::SYS_personality, value.into()), ALLOW);
        }
        // Without random addresses, programs would be easier to attack.
        assert_eq!(ask(libc::SYS_personality, 0x0004_0000), refused);
    }

    #[test]
    fn calls_of_another_architecture_do_not_pass() {
        let refused = FAIL | libc::EPERM as u32;
        // 32-bit ARM and MIPS.
        for audit in [0x4000_0028, 0x0000_0008] {
            assert_eq!(answer(libc::SYS_read, 0, audit), refused);
        }
        let x32 = libc::SYS_read | 0x4000_0000;
        assert_eq!(answer(x32, 0, AUDIT), refused);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_of_32_bit_programs_pass_by_their_own_numbers() {
        let i386 = i386::architecture().audit;
        let refused = FAIL | libc::EPERM as u32;
        let ask = |call, argument| answer(call, argument, i386);
        // exit, read, execve, mknod, chroot, socketcall, ipc, mmap2, set_thread_area, statx, clock_gettime64.
        for call in [1, 3, 11, 14, 61, 102, 117, 192, 243, 383, 403] {
            assert_eq!(ask(call, 0), ALLOW, "{call}");
        }
        // mount, stime, umount2, reboot, ioperm, swapoff, init_module, vm86, pivot_root, kexec_load, add_key,
        // keyctl, unshare, perf_event_open, open_by_handle_at, setns, bpf, userfaultfd, io_uring_setup, move_mount.
        for call in [
            21, 25, 52, 88, 101, 115, 128, 166, 217, 283, 286, 288, 310, 336, 342, 346, 357, 374,
            425, 429, 5000,
        ] {
            assert_eq!(ask(call, 0), refused, "{call}");
        }
        assert_eq!(ask(435, 0), FAIL | libc::ENOSYS as u32);
        assert_eq!(ask(120, libc::CLONE_NEWUSER as u64), refused);
        assert_eq!(ask(120, libc::CLONE_THREAD as u64), ALLOW);
        assert_eq!((ask(359, 40), ask(359, 2)), (refused, ALLOW));
        assert_eq!((ask(136, 8), ask(136, 0x0004_0000)), (ALLOW, refused));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_table_of_i386_is_in_order_and_names_each_call_once() {
        assert!(i386::CALLS.is_sorted_by(|(a, _), (b, _)| a < b));
        let names: BTreeSet<&str> = i386::CALLS.iter().map(|(_, name)| *name).collect();
        assert_eq!(names.len(), i386::CALLS.len());
    }
}
