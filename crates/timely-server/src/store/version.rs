//! Who writes over what: the version that the caller saw against the one that stands.

use serde_json::Value;

use crate::error::Error;
use crate::store::Expected;

/// Whether the thing already stands as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    AsWanted,
    Otherwise,
}

/// Lets a write to a versioned thing through, or refuses it with what stands now.
///
/// A write that names no version passes only if it changes nothing: nobody may replace what they
/// have not seen. `current` and `yours` are asked for only when they are answered.
///
/// # Errors
/// [`Error::Version`] for another version, [`Error::VersionRequired`] for none.
pub(crate) fn check(
    expected: Expected,
    version: i64,
    standing: Standing,
    current: impl FnOnce() -> Result<Value, Error>,
    yours: impl FnOnce() -> Result<Value, Error>,
) -> Result<Standing, Error> {
    match (expected, standing) {
        (Expected::Version(seen), _) if seen != version => {
            Err(Error::Version { version, current: current()?, yours: yours()? })
        }
        (Expected::Unsaid, Standing::Otherwise) => Err(Error::VersionRequired { version, current: current()? }),
        (Expected::Unsaid | Expected::Any | Expected::Version(_), standing) => Ok(standing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_saw_it_or_insists_replaces_it() {
        let meet = |expected, standing| match check(expected, 3, standing, || Ok(Value::Null), || Ok(Value::Null)) {
            Ok(Standing::AsWanted) => "unchanged",
            Ok(Standing::Otherwise) => "write",
            Err(Error::Version { version: 3, .. }) => "lost",
            Err(Error::VersionRequired { version: 3, .. }) => "unsaid",
            Err(error) => panic!("{error}"),
        };
        for (expected, standing, outcome) in [
            (Expected::Unsaid, Standing::AsWanted, "unchanged"),
            (Expected::Unsaid, Standing::Otherwise, "unsaid"),
            (Expected::Any, Standing::AsWanted, "unchanged"),
            (Expected::Any, Standing::Otherwise, "write"),
            (Expected::Version(3), Standing::AsWanted, "unchanged"),
            (Expected::Version(3), Standing::Otherwise, "write"),
            (Expected::Version(2), Standing::AsWanted, "lost"),
            (Expected::Version(2), Standing::Otherwise, "lost"),
            (Expected::Version(4), Standing::Otherwise, "lost"),
        ] {
            assert_eq!(meet(expected, standing), outcome, "{expected:?} {standing:?}");
        }
    }
}
