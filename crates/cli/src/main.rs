//! The program `boxwright`.

use std::process::ExitCode;

use boxwright_core::Host;

fn main() -> ExitCode {
    boxwright_cli::main(std::env::args_os(), Host::system(), boxwright_engines::catalog)
}
