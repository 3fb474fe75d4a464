//! What leaves the program: data on stdout, talk on stderr. Nothing else writes to either.
//!
//! A table on a terminal, tab-separated lines without a header off it, the API's JSON with `--json`.
//! What came from outside passes `display_safe`, except in JSON, which escapes by itself.

use std::fmt;
use std::io::{self, Write};

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, presets};
use serde::Serialize;
use timely_core::body::Page;
use timely_core::text::display_safe;

use crate::error::CliError;

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// For people: columns, a header, words.
    Terminal,
    /// For `cut`, `awk` and spreadsheets.
    Tabs,
}

/// Rows with named columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    name: &'static str,
    is_number: bool,
}

impl Table {
    /// Columns by name; a `>` in front makes one of numbers, which stands to the right.
    pub fn new(columns: &[&'static str]) -> Self {
        let columns = columns
            .iter()
            .map(|name| match name.strip_prefix('>') {
                Some(name) => Column { name, is_number: true },
                None => Column { name, is_number: false },
            })
            .collect();
        Self { columns, rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

/// The only writer to stdout and stderr.
pub struct Output {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    format: Format,
    is_quiet: bool,
    is_coloured: bool,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Output {
    pub fn new(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>) -> Self {
        Self { stdout, stderr, format: Format::Tabs, is_quiet: false, is_coloured: false }
    }

    /// Settles the form once the arguments are known.
    pub fn configure(&mut self, format: Format, is_quiet: bool, is_coloured: bool) {
        self.format = format;
        self.is_quiet = is_quiet;
        self.is_coloured = is_coloured;
    }

    pub const fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    pub const fn is_terminal(&self) -> bool {
        matches!(self.format, Format::Terminal)
    }

    /// Whether colour is wanted.
    pub const fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// A line of data as it stands, at once: the reader may be waiting for it.
    pub fn verbatim(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.stdout, "{line}").and_then(|()| self.stdout.flush()).map_err(broken)
    }

    /// A line of data for people.
    pub fn line(&mut self, line: &str) -> Result<(), CliError> {
        self.verbatim(&display_safe(line))
    }

    /// The API's JSON on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value)
            .map_err(|error| CliError::failure(format!("the answer cannot be written as JSON: {error}")))?;
        self.verbatim(&text)
    }

    /// What a write led to: its value with `--json`, else lines for people, which `--quiet` leaves out.
    pub fn reply(&mut self, value: &impl Serialize, lines: &[String]) -> Result<(), CliError> {
        if self.is_json() {
            return self.json(value);
        }
        self.done(lines)
    }

    /// Lines for people about something that has no value any more.
    pub fn done(&mut self, lines: &[String]) -> Result<(), CliError> {
        if self.is_json() || self.is_quiet {
            return Ok(());
        }
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// A whole list: a page that has no next one with `--json`, else the table of it.
    pub fn list<T: Serialize>(&mut self, items: Vec<T>, table: impl FnOnce(&[T]) -> Table) -> Result<(), CliError> {
        if self.is_json() {
            return self.json(&Page { items, next: None });
        }
        let table = table(&items);
        self.table(&table)
    }

    pub fn table(&mut self, table: &Table) -> Result<(), CliError> {
        let text = match self.format {
            Format::Terminal if table.rows.is_empty() => return self.note("nothing to show"),
            Format::Terminal => self.drawn(table),
            Format::Tabs | Format::Json => tabs(table),
        };
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()).map_err(broken)
    }

    fn drawn(&self, table: &Table) -> String {
        let mut drawn = comfy_table::Table::new();
        drawn.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = drawn.width() {
            drawn.set_width(width);
        }
        // Whether to style is settled by --color and NO_COLOR, not by the library.
        drawn.force_no_tty();
        if self.is_coloured {
            drawn.enforce_styling();
        }
        let align = |column: &Column| if column.is_number { CellAlignment::Right } else { CellAlignment::Left };
        drawn.set_header(
            table
                .columns
                .iter()
                .map(|column| Cell::new(column.name).set_alignment(align(column)).add_attribute(Attribute::Bold)),
        );
        for row in &table.rows {
            let cells = row.iter().zip(&table.columns);
            drawn.add_row(cells.map(|(text, column)| Cell::new(display_safe(text)).set_alignment(align(column))));
        }
        for column in drawn.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in drawn.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Talk: a line on stderr. Silent with `--quiet`, and with `--json`, where stderr is for errors.
    pub fn note(&mut self, line: &str) -> Result<(), CliError> {
        if self.is_quiet || self.is_json() {
            return Ok(());
        }
        writeln!(self.stderr, "{}", display_safe(line)).map_err(broken)
    }

    /// A question, without a line break. Only asked where somebody can answer.
    pub fn ask(&mut self, question: &str) -> Result<(), CliError> {
        write!(self.stderr, "{} ", display_safe(question)).and_then(|()| self.stderr.flush()).map_err(broken)
    }

    /// The last words of a command that failed.
    pub fn error(&mut self, error: &CliError) {
        if error.is_silent() {
            return;
        }
        let text = if self.is_json() {
            error.json()
        } else {
            error.to_string().lines().map(display_safe).collect::<Vec<_>>().join("\n")
        };
        // The exit code still says it when stderr is gone.
        drop(writeln!(self.stderr, "{text}"));
    }

    /// Help and version, made here and not outside.
    pub fn help(&mut self, text: &str) -> Result<(), CliError> {
        self.stdout.write_all(text.as_bytes()).and_then(|()| self.stdout.flush()).map_err(broken)
    }
}

fn tabs(table: &Table) -> String {
    let mut text = String::new();
    for row in &table.rows {
        // `display_safe` turns tabs and line breaks in a cell into spaces: a row stays a row.
        let cells: Vec<_> = row.iter().map(|cell| display_safe(cell)).collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn broken(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        CliError::closed_pipe()
    } else {
        CliError::failure(format!("cannot write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::Exit;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, is_quiet: bool, is_coloured: bool, act: impl FnOnce(&mut Output)) -> (String, String) {
        let (out, err) = (Shared::default(), Shared::default());
        let mut output = Output::new(Box::new(out.clone()), Box::new(err.clone()));
        output.configure(format, is_quiet, is_coloured);
        act(&mut output);
        let text = |shared: &Shared| String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        (text(&out), text(&err))
    }

    fn teams() -> Table {
        let mut table = Table::new(&["team", ">points"]);
        table.row(["Eagles".into(), "4".into()]);
        table.row(["Ha\tw\u{1b}[31mks".into(), "13".into()]);
        table
    }

    #[test]
    fn a_table_has_a_header_for_people_and_none_for_scripts() {
        let drawn = written(Format::Terminal, false, false, |out| out.table(&teams()).unwrap()).0;
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines.len(), 3, "{drawn}");
        assert!(lines[0].contains("team") && lines[0].ends_with("points"), "{drawn}");
        assert!(lines[1].ends_with(" 4") && lines[2].ends_with("13"), "{drawn}");
        assert!(!drawn.contains('\u{1b}'), "no escape without colour, none from outside: {drawn:?}");
        let tabs = written(Format::Tabs, true, false, |out| out.table(&teams()).unwrap()).0;
        assert_eq!(tabs, "Eagles\t4\nHa w\u{fffd}[31mks\t13\n", "--quiet leaves data alone");
    }

    #[test]
    fn talk_stays_off_stdout_and_is_silent_where_nobody_listens() {
        let (out, err) = written(Format::Tabs, false, false, |out| {
            out.note("Event: Cup").unwrap();
            out.reply(&1, &["done".into()]).unwrap();
        });
        assert_eq!((out.as_str(), err.as_str()), ("done\n", "Event: Cup\n"));
        let quiet = written(Format::Tabs, true, false, |out| {
            out.note("Event: Cup").unwrap();
            out.reply(&1, &["done".into()]).unwrap();
        });
        assert_eq!(quiet, (String::new(), String::new()));
        let json = written(Format::Json, true, false, |out| {
            out.note("Event: Cup").unwrap();
            out.reply(&1, &["done".into()]).unwrap();
            out.list(vec![1, 2], |_| Table::default()).unwrap();
            out.error(&CliError::usage("no"));
        });
        assert_eq!(json.0, "1\n{\"items\":[1,2],\"next\":null}\n");
        assert_eq!(json.1, "{\"code\":\"usage\",\"message\":\"no\",\"hint\":null,\"candidates\":[]}\n");
    }

    #[test]
    fn a_closed_pipe_ends_it_without_a_word() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let err = Shared::default();
        let mut output = Output::new(Box::new(Closed), Box::new(err.clone()));
        let error = output.verbatim("{}").unwrap_err();
        assert_eq!(error.exit, Exit::ClosedPipe);
        output.error(&error);
        assert!(err.0.lock().unwrap().is_empty());
    }
}
