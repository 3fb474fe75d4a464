//! `timely-tui`: the dashboard of `timely watch` as a program of its own.

fn main() -> std::process::ExitCode {
    timely_tui::main()
}
