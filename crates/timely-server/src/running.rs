//! Tells other programs of this user that the server runs, and how to reach it.
//!
//! The file holds the owner token, so it is readable by this user alone. Where it lies and what it
//! says is [`timely_core::running`]; a file that outlived its server is ignored by its readers.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use timely_core::running::{RunningServer, ServerKind};
use tracing::warn;

/// The file of this server; dropping it takes it away.
#[derive(Debug)]
pub struct RunningFile(PathBuf);

impl RunningFile {
    /// Writes the file of the server that listens at `address` into `directory`.
    pub fn write(directory: &Path, address: SocketAddr, token: &str, kind: ServerKind) -> io::Result<Self> {
        let pid = std::process::id();
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
        let server = RunningServer { address: local_url(address), token: token.to_owned(), pid, kind };
        // One process may run several servers: tests do, and a demo beside them.
        let path = directory.join(format!("{pid}-{}.json", address.port()));
        // Readers never see half a file.
        let new = directory.join(format!(".{pid}-{}.new", address.port()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(serde_json::to_string(&server)?.as_bytes())?;
        file.write_all(b"\n")?;
        fs::rename(&new, &path)?;
        Ok(Self(path))
    }
}

impl Drop for RunningFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// The address as this computer reaches it: a server that listens on all networks is on loopback too.
fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_this_user_alone_and_goes_with_the_server() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state/timely/run");
        let address = SocketAddr::from(([127, 0, 0, 1], 8000));
        let file = RunningFile::write(&directory, address, "tml_1", ServerKind::Demo).unwrap();
        let other = RunningFile::write(&directory, ([0, 0, 0, 0], 8001).into(), "tml_2", ServerKind::Serve).unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&file.0)), (0o700, 0o600));
        let read = |path: &Path| -> RunningServer { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        assert_eq!(read(&file.0).address, "http://127.0.0.1:8000");
        assert_eq!(read(&file.0).kind, ServerKind::Demo);
        assert_eq!(read(&other.0).address, "http://127.0.0.1:8001", "reached on loopback");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "one each, and nothing half written");

        drop(file);
        drop(other);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_was_open_to_others_is_closed() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        let file = RunningFile::write(home.path(), ([127, 0, 0, 1], 8000).into(), "tml_1", ServerKind::Serve).unwrap();
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(file);
    }
}
