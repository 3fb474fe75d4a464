//! `timely`: the one program people install.

fn main() -> std::process::ExitCode {
    timely_cli::main()
}
