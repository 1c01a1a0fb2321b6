//! 32-bit programs: each makes one system call, and exits with the number of its error.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use boxwright_core::Step;
use boxwright_image::tar::{Header, Kind};

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] =
    &[("a_32_bit_program_runs", runs), ("a_32_bit_program_has_the_rights_of_docker", rights)];

/// Where a program is in memory, and how far its code and its data are from there.
const BASE: u32 = 0x0804_8000;
const CODE: u32 = 52 + 32;
const DATA: u32 = CODE + 37;

/// An i386 program for Linux that makes the system call `number`. Source: ELF specification, version 1.2, part 1.
fn program(number: u32, arguments: [u32; 3], data: &[u8]) -> Vec<u8> {
    let size = DATA + data.len() as u32;
    let halves =
        |halves: &[u16]| halves.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    let words = |words: &[u32]| words.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    let move_word = |code: u8, value: u32| [&[code][..], &value.to_le_bytes()].concat();
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for the 80386; its entry point, its program headers.
    elf.extend(halves(&[2, 3]));
    elf.extend(words(&[1, BASE + CODE, 52, 0, 0]));
    elf.extend(halves(&[52, 32, 1, 40, 0, 0]));
    // All of the file is loaded, to read and to execute.
    elf.extend(words(&[1, 0, BASE, BASE, size, size, 5, 0x1000]));
    let [first, second, third] = arguments;
    // mov eax, NUMBER; mov ebx, FIRST; mov ecx, SECOND; mov edx, THIRD; int 0x80
    for (code, value) in [(0xb8, number), (0xbb, first), (0xb9, second), (0xba, third)] {
        elf.extend(move_word(code, value));
    }
    elf.extend([0xcd, 0x80]);
    // neg eax; jns over; xor eax, eax; over: mov ebx, eax; mov eax, 1 (exit); int 0x80
    elf.extend([0xf7, 0xd8, 0x79, 0x02, 0x31, 0xc0, 0x89, 0xc3]);
    elf.extend(move_word(0xb8, 1));
    elf.extend([0xcd, 0x80]);
    assert_eq!(elf.len() as u32, DATA);
    elf.extend(data);
    elf
}

/// Returns whether this machine's kernel runs such programs at all. It may be built without.
#[expect(clippy::disallowed_methods, reason = "a program of the test is started as it is")]
fn machine_runs_them(world: &World) -> bool {
    let path = world.place.path().join("getpid");
    std::fs::write(&path, program(20, [0; 3], b"")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    Command::new(path).status().is_ok_and(|status| status.success())
}

/// Makes a system call in a step, and returns its error and what it wrote.
fn call(world: &World, number: u32, arguments: [u32; 3], data: &[u8]) -> (i32, String) {
    let program = program(number, arguments, data);
    let size = program.len() as u64;
    let header = Header::new("program", Kind::File { size }, 0o755);
    let layer = world::add(&world.store, &world::tar(&[(header, &program[..])]));
    let mut step: Step = world.step("");
    step.arguments = vec!["/program".to_owned()];
    step.rootfs.push(layer);
    let ran = world.run(step);
    (ran.code, ran.out)
}

fn runs() {
    let world = World::new();
    if !machine_runs_them(&world) {
        return;
    }
    let data = BASE + DATA;
    assert_eq!(call(&world, 4, [1, data, 3], b"hi\n"), (0, "hi\n".to_owned()));
    // socketcall(SYS_SOCKET, {AF_UNIX, SOCK_STREAM, 0})
    let arguments: Vec<u8> = [1_u32, 1, 0].iter().flat_map(|it| it.to_le_bytes()).collect();
    assert_eq!(call(&world, 102, [1, data, 0], &arguments).0, 0);
    // socket(AF_UNIX, SOCK_STREAM, 0), personality(PER_LINUX32), getuid32()
    for (number, arguments) in [(359, [1, 1, 0]), (136, [8, 0, 0]), (199, [0; 3])] {
        assert_eq!(call(&world, number, arguments, b"").0, 0, "{number}");
    }
}

fn rights() {
    let world = World::new();
    if !machine_runs_them(&world) {
        return;
    }
    let (refused, unknown) = (rustix::io::Errno::PERM, rustix::io::Errno::NOSYS);
    // keyctl(KEYCTL_GET_KEYRING_ID, session, create), clone(CLONE_NEWUSER), socket(AF_VSOCK, SOCK_STREAM, 0),
    // personality(ADDR_NO_RANDOMIZE), io_uring_setup(1, data), clone3(data, 88): the kernel itself refuses none
    // of them so.
    let data = BASE + DATA;
    for (number, arguments, error) in [
        (288, [0, 0xffff_fffd, 1], refused),
        (120, [0x1000_0011, 0, 0], refused),
        (359, [40, 1, 0], refused),
        (136, [0x0004_0000, 0, 0], refused),
        (425, [1, data, 0], refused),
        (435, [data, 88, 0], unknown),
    ] {
        assert_eq!(call(&world, number, arguments, &[0; 128]).0, error.raw_os_error(), "{number}");
    }
}
