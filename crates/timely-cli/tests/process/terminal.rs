//! A terminal with `timely` in it: a pseudo-terminal, keys typed, and the screen as a person sees it.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use vt100::Parser;

use crate::program::{Home, signal};

/// How long anything that must happen may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `timely` has drawn so far.
struct Seen {
    parser: Parser,
    /// Every byte, for what must never be sent.
    bytes: Vec<u8>,
    /// The other side has closed.
    is_over: bool,
}

/// A running `timely` with a terminal of its own. Dropping it kills the program.
pub(crate) struct Terminal {
    seen: Arc<(Mutex<Seen>, Condvar)>,
    keyboard: Box<dyn std::io::Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

/// How the program ended, and what it left of the terminal.
#[derive(Debug)]
pub(crate) struct Left {
    /// 0 when it ended by itself and well.
    pub(crate) code: u32,
    /// What stands on the ordinary screen.
    pub(crate) screen: String,
    pub(crate) is_restored: bool,
}

impl Terminal {
    /// `timely ARGS…` at `columns` x `rows`.
    pub(crate) fn start(home: &Home, args: &[&str], (columns, rows): (u16, u16)) -> Self {
        Self::start_with(home, args, (columns, rows), &[])
    }

    pub(crate) fn start_with(home: &Home, args: &[&str], size: (u16, u16), env: &[(&str, &str)]) -> Self {
        let pty = native_pty_system().openpty(pty_size(size)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_timely"));
        command.args(args);
        command.env_clear();
        for (name, value) in [
            ("HOME", home.path().to_str().unwrap()),
            ("XDG_RUNTIME_DIR", home.path().join("run").to_str().unwrap()),
            ("TMPDIR", home.path().to_str().unwrap()),
            ("TERM", "xterm-256color"),
            ("LANG", "C.UTF-8"),
        ]
        .into_iter()
        .chain(env.iter().copied())
        {
            command.env(name, value);
        }
        command.cwd(home.path());
        let child = pty.slave.spawn_command(command).unwrap();
        // The only slave is that of the program: when it ends, so does what is read here.
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let keyboard = pty.master.take_writer().unwrap();
        let (columns, rows) = cells(size);
        let seen = Seen { parser: Parser::new(rows, columns, 0), bytes: Vec::new(), is_over: false };
        let seen = Arc::new((Mutex::new(seen), Condvar::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut chunk = vec![0; 64 * 1024];
            loop {
                // A pseudo-terminal without its program fails with EIO, as if at its end.
                let read = reader.read(&mut chunk).unwrap_or(0);
                let mut seen = lock(&shared.0);
                seen.parser.process(&chunk[..read]);
                seen.bytes.extend_from_slice(&chunk[..read]);
                seen.is_over = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { seen, keyboard, master: pty.master, child }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub(crate) fn resize(&self, size: (u16, u16)) {
        let (columns, rows) = cells(size);
        lock(&self.seen.0).parser.screen_mut().set_size(rows, columns);
        self.master.resize(pty_size(size)).unwrap();
    }

    /// The screen as text, a line a row.
    pub(crate) fn screen(&self) -> String {
        lock(&self.seen.0).parser.screen().contents()
    }

    /// Bytes drawn so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.seen.0).bytes.clone()
    }

    /// Waits until the screen fits; answers it, and after how long.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, fits: impl Fn(&str) -> bool) -> (String, Duration) {
        self.wait_up_to(PATIENCE, what, fits)
    }

    #[track_caller]
    pub(crate) fn wait_up_to(&self, most: Duration, what: &str, fits: impl Fn(&str) -> bool) -> (String, Duration) {
        let began = Instant::now();
        let mut seen = lock(&self.seen.0);
        loop {
            let screen = seen.parser.screen().contents();
            if fits(&screen) {
                return (screen, began.elapsed());
            }
            let left = most.checked_sub(began.elapsed()).filter(|_| !seen.is_over);
            let Some(left) = left else { panic!("no {what} within {most:?}:\n{screen}") };
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Watches the screen for a while; it must fit all the time.
    #[track_caller]
    pub(crate) fn stays(&self, long: Duration, what: &str, fits: impl Fn(&str) -> bool) {
        let began = Instant::now();
        let mut seen = lock(&self.seen.0);
        while let Some(left) = long.checked_sub(began.elapsed()) {
            let screen = seen.parser.screen().contents();
            assert!(fits(&screen), "not {what} any more after {:?}:\n{screen}", began.elapsed());
            assert!(!seen.is_over, "the program has ended:\n{screen}");
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for the end of the program.
    pub(crate) fn left(mut self) -> Left {
        let code = self.ended();
        let mut seen = lock(&self.seen.0);
        while !seen.is_over {
            seen = self.seen.1.wait_timeout(seen, PATIENCE).unwrap().0;
        }
        let screen = seen.parser.screen();
        let is_restored = !screen.alternate_screen()
            && !screen.hide_cursor()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
            && !screen.bracketed_paste()
            && is_cooked(self.master.as_ref());
        Left { code, screen: screen.contents(), is_restored }
    }

    fn ended(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "the program does not end:\n{}", self.screen());
            std::thread::yield_now();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Already ended: nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A test that failed while it looked leaves what it saw as it was.
fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cells((columns, rows): (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(columns).unwrap(), NonZeroU16::new(rows).unwrap())
}

fn pty_size((columns, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

/// Whether lines are edited and echoed again.
fn is_cooked(master: &(dyn MasterPty + Send)) -> bool {
    // `stty` speaks of the terminal at its standard input.
    let name = master.tty_name().unwrap();
    let tty = std::fs::File::open(name).unwrap();
    let settings = std::process::Command::new("stty").arg("-a").stdin(tty).output().unwrap();
    let settings = String::from_utf8(settings.stdout).unwrap();
    let is_set = |name: &str| settings.split_whitespace().any(|word| word.trim_end_matches(';') == name);
    is_set("icanon") && is_set("echo") && is_set("isig")
}
